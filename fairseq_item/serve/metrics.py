"""What Prometheus reads at ``/metrics``."""

import time

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4 as CONTENT_TYPE

SECONDS = (0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10)


class Metrics:
    """Counts of one service."""

    def __init__(self):
        self._registry = CollectorRegistry()

        def make(kind, name, text, *args, **settings):
            return kind(f"item_{name}", text, *args, registry=self._registry, **settings)

        labels = ("route", "status")
        self.requests = make(Counter, "requests", "Requests answered", labels)
        self.seconds = make(
            Histogram, "request_seconds", "Time to answer a request", ("route",), buckets=SECONDS
        )
        self.searches = make(
            Histogram, "search_seconds", "Time a search computes", ("query",), buckets=SECONDS
        )
        self.busy = make(Gauge, "searches_in_progress", "Searches that run or wait")
        self.items = make(Gauge, "index_items", "Items of the index")
        self.loaded = make(Gauge, "index_loaded_timestamp_seconds", "When the index was opened")
        self.reloads = make(Counter, "index_reloads", "New indexes met", ("result",))

    def serves(self, engine):
        """Tell which ``Engine`` serves from now on."""
        self.items.set(len(engine))
        self.loaded.set_to_current_time()

    def text(self):
        """Everything, as Prometheus reads it: (bytes, content type)."""
        return generate_latest(self._registry), CONTENT_TYPE


class Counted:
    """ASGI middleware: counts requests by route and status.

    Args:
        app: what answers.
        metrics: ``Metrics``.
    """

    def __init__(self, app, metrics: Metrics):
        self.app, self.metrics = app, metrics

    async def __call__(self, scope, receive, send):
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        start, status = time.perf_counter(), 500

        async def noted(message):
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self.app(scope, receive, noted)
        finally:
            # The route as it is declared: there are as many paths as items.
            route = getattr(scope.get("route"), "path", "other")
            self.metrics.requests.labels(route, str(status)).inc()
            self.metrics.seconds.labels(route).observe(time.perf_counter() - start)
