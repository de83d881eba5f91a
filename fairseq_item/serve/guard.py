"""Who may ask, and the headers that keep browsers safe."""

import hmac
import logging
from collections.abc import Collection

from fairseq_item.serve.limits import send_error

logger = logging.getLogger(__name__)
HEADERS = {
    "content-security-policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
        "img-src 'self' blob: data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
}
# Anyone may ask whether the service is alive and get the page, which then asks for the token.
OPEN = ("/", "/healthz", "/openapi.json")
OPEN_FOLDER = "/page/"


class Guard:
    """ASGI middleware: refuses who may not ask, adds headers to every answer, keeps errors inside.

    Args:
        app: what answers.
        token: that requests must carry, ``Authorization: Bearer TOKEN``; None for none.
        hosts: names that the service may be asked by, None for any. A page elsewhere whose name
            comes to mean this machine could otherwise read what only this machine may.
    """

    def __init__(self, app, token: str | None = None, hosts: Collection[str] | None = None):
        self.app, self.hosts = app, hosts
        self._right = None if token is None else f"Bearer {token}".encode()

    async def __call__(self, scope, receive, send):
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return

        async def with_headers(message):
            if message["type"] == "http.response.start":
                added = [(name.encode(), value.encode()) for name, value in HEADERS.items()]
                message = {**message, "headers": [*message["headers"], *added]}
            await send(message)

        headers = dict(scope["headers"])
        host = headers.get(b"host", b"").decode("latin-1")
        if self.hosts is not None and _name(host) not in self.hosts:
            text = f"this service is not called {_name(host)!r}; start it with --allow-host"
            await send_error(with_headers, 421, text)
        elif not self._may(scope["path"], headers.get(b"authorization", b"")):
            text = "a token is needed; send the header Authorization: Bearer TOKEN"
            await send_error(with_headers, 401, text, {"www-authenticate": "Bearer"})
        else:
            await self._answer(scope, receive, with_headers)

    async def _answer(self, scope, receive, send):
        begun = False

        async def noting(message):
            nonlocal begun
            begun = True
            await send(message)

        try:
            await self.app(scope, receive, noting)
        except Exception:  # what it says may not be for those who asked
            logger.exception("%s failed", scope["path"])
            if not begun:
                await send_error(send, 500, "something went wrong here; the log tells more")

    def _may(self, path, given):
        if self._right is None or path in OPEN or path.startswith(OPEN_FOLDER):
            return True
        return hmac.compare_digest(given, self._right)


def _name(host):
    """A Host header without its port."""
    name, separator, port = host.rpartition(":")
    return (name if separator and port.isdigit() else host).lower()
