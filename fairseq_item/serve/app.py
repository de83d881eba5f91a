"""The service: its routes, as a FastAPI application."""

import asyncio
import contextlib
import time
from collections.abc import Collection
from pathlib import Path
from typing import Annotated, Any

from fastapi import FastAPI, File, Form, HTTPException, UploadFile
from fastapi import Query as Parameter
from fastapi.exceptions import RequestValidationError
from fastapi.responses import FileResponse, JSONResponse, Response
from fastapi.staticfiles import StaticFiles
from starlette.exceptions import HTTPException as AnyHTTPException

import fairseq_item
from fairseq_item.data.images import ImageError, open_image
from fairseq_item.errors import InputError
from fairseq_item.search.hits import SIMILARITIES
from fairseq_item.serve import schemas
from fairseq_item.serve.engine import Query
from fairseq_item.serve.guard import Guard
from fairseq_item.serve.limits import BodyLimit, Gate, Limits
from fairseq_item.serve.metrics import Counted, Metrics
from fairseq_item.serve.reload import Served
from fairseq_item.serve.together import Together

PAGE = Path(__file__).with_name("page")
# Small images are quick: a page asks for many at once.
IMAGE_THREADS, IMAGES_WAITING = 2, 1000
STATUSES = {400: "wrong", 401: "no token", 404: "not there", 413: "too large", 503: "busy"}
FAULTS: dict[int | str, dict[str, Any]] = {
    status: {"model": schemas.Error, "description": d} for status, d in STATUSES.items()
}

Title = Annotated[str | None, Parameter(description="Title of the product asked for")]
ItemId = Annotated[str | None, Parameter(description="Id of an indexed item to find more like")]
K = Annotated[int, Parameter(ge=1, description="Answers wanted")]
Weights = Annotated[
    str | None,
    Parameter(description="Of global, title, image and lexical similarity, such as 0.5,0,1,1"),
]
Where = Annotated[
    list[str], Parameter(description="column=value; of several, all must be fulfilled")
]


class _Api(FastAPI):
    def openapi(self):
        """The description, without FastAPI's own form of errors, which are not sent."""
        described = super().openapi()
        for methods in described["paths"].values():
            for method in methods.values():
                method["responses"].pop("422", None)
        for name in ("HTTPValidationError", "ValidationError"):
            described["components"]["schemas"].pop(name, None)
        return described


def create_app(
    served: Served,
    limits: Limits | None = None,
    token: str | None = None,
    hosts: Collection[str] | None = None,
    poll: float | None = None,
) -> FastAPI:
    """The service.

    Args:
        served: what is served.
        limits: ``Limits``.
        token: that every request to the API must carry, None for none.
        hosts: names that it may be asked by, None for any.
        poll: seconds between two looks at the index folder, None for no look.
    """
    limits, metrics = limits or Limits(), Metrics()
    metrics.serves(served.engine)
    served.told = lambda result: _note(metrics, served, result)
    gate = Gate(limits.threads, limits.waiting, limits.seconds)
    images = Gate(IMAGE_THREADS, IMAGES_WAITING, limits.seconds)

    @contextlib.asynccontextmanager
    async def living(app):
        task = asyncio.create_task(_watch(served, poll)) if poll else None
        yield
        if task:
            task.cancel()
        gate.close()
        images.close()

    app = _Api(
        title="fairseq-item search",
        version=fairseq_item.__version__,
        description="Products of an index that are most like a photo, a title, both, or an item.",
        lifespan=living,
        docs_url=None,  # they load scripts from elsewhere
        redoc_url=None,
        responses=FAULTS,
    )
    _add_search(app, served, limits, gate, metrics)
    _add_items(app, served, limits, images)
    _add_operation(app, served, gate, metrics)
    app.mount("/page", StaticFiles(directory=PAGE), name="page")
    app.get("/", include_in_schema=False)(lambda: FileResponse(PAGE / "index.html"))
    _answer_errors(app)
    # The last one added is met first.
    app.add_middleware(BodyLimit, most=limits.upload, seconds=limits.seconds)
    app.add_middleware(Guard, token=token, hosts=hosts)
    app.add_middleware(Counted, metrics=metrics)
    return app


def _add_search(app, served, limits, gate, metrics):
    def work(engine, queries):
        start = time.perf_counter()
        _check_image(queries[0].image, limits)
        found = engine.answer_all(queries)
        for query in queries:
            kind = "item" if query.item is not None else "image" if query.image else "title"
            metrics.searches.labels(kind).observe(time.perf_counter() - start)
        return found

    together = Together(gate, work)

    async def search(query):
        _check(query, limits)
        engine, start = served.engine, time.perf_counter()
        if query.item is not None:
            engine.row(query.item)  # unknown: told before others are asked for with it
        # Goes on with this engine, even where another one takes its place meanwhile.
        found = await together.answer(engine, query)
        return {**found, "milliseconds": round(1000 * (time.perf_counter() - start), 1)}

    @app.get("/api/search", response_model=schemas.Answers)
    async def search_by_title_or_item(
        title: Title = None,
        item: ItemId = None,
        k: K = 10,
        weights: Weights = None,
        where: Where = [],  # noqa: B006  (FastAPI copies it)
    ):
        """The items most like a title, or like an item of the index."""
        return await search(Query(title or None, None, item, k, _weights(weights), tuple(where)))

    @app.post("/api/search", response_model=schemas.Answers)
    async def search_by_image(
        image: Annotated[UploadFile | None, File(description="A photo of the product")] = None,
        title: Annotated[str | None, Form()] = None,
        item: Annotated[str | None, Form()] = None,
        k: Annotated[int, Form(ge=1)] = 10,
        weights: Annotated[str | None, Form()] = None,
        where: Annotated[list[str], Form()] = [],  # noqa: B006
    ):
        """The same, with a photo: of both, or of a title or an item alone."""
        data = None if image is None else await image.read()
        return await search(Query(title or None, data, item, k, _weights(weights), tuple(where)))


def _add_items(app, served, limits, images):
    @app.get("/api/index", response_model=schemas.Described)
    async def index():
        """What is served: how many items, by which weights, and what they can be chosen by."""
        shown = {name: getattr(limits, name) for name in ("upload", "pixels", "title", "answers")}
        return {**served.engine.describe(), "limits": shown}

    @app.get("/api/items", response_model=schemas.Items)
    async def some_items(
        count: Annotated[int, Parameter(ge=1)] = 12,
        where: Where = [],  # noqa: B006
    ):
        """Items at even distances in the index, to begin with."""
        count = min(count, limits.answers)
        return {"items": await images.run(served.engine.some, count, tuple(where))}

    @app.get("/api/items/{id:path}", response_model=schemas.Item)
    async def item(id: str):
        """What is known of an item."""
        engine = served.engine
        return await images.run(engine.item, engine.row(id))

    @app.get("/api/images/{id:path}", response_class=Response)
    async def image(id: str, v: str | None = None):
        """An item's image, small, as WebP. With ``v``, browsers may keep it."""
        engine = served.engine
        data = await images.run(engine.images.thumbnail, engine.row(id))
        if data is None:
            raise HTTPException(404, "this item has no image")
        kept = "private, max-age=86400, immutable" if v == engine.digest else "no-cache"
        return Response(data, media_type="image/webp", headers={"Cache-Control": kept})


def _add_operation(app, served, gate, metrics):
    @app.get("/healthz", response_model=schemas.Health)
    async def health():
        """Whether the service answers."""
        return {"status": "ok", "index": served.engine.digest, "items": len(served.engine)}

    @app.get("/metrics", response_class=Response)
    async def counts():
        """Figures for Prometheus."""
        metrics.busy.set(gate.busy)
        text, kind = metrics.text()
        return Response(text, media_type=kind)


def _answer_errors(app):
    def answer(status, message, headers=None):
        return JSONResponse({"error": " ".join(str(message).split())}, status, headers)

    def wrong(request, error):
        first = error.errors()[0]
        return answer(400, f"{'.'.join(map(str, first['loc'][1:]))}: {first['msg']}")

    kinds = {
        AnyHTTPException: lambda _, error: answer(error.status_code, error.detail, error.headers),
        RequestValidationError: wrong,
        InputError: lambda _, error: answer(400, error),
        KeyError: lambda _, error: answer(404, f"there is no item {error}"),
    }
    for kind, handler in kinds.items():
        app.add_exception_handler(kind, handler)


def _check(query, limits):
    """Refuse a query that is none, or is too large."""
    asked = [query.title is not None or query.image is not None, query.item is not None]
    if sum(asked) != 1:
        raise HTTPException(400, "give a title, an image or both; or an item alone")
    if len(query.title or "") > limits.title:
        raise HTTPException(413, f"the title is too long; the limit is {limits.title} characters")
    if query.k > limits.answers:
        raise HTTPException(400, f"k is {query.k}; the limit is {limits.answers}")
    if len(query.where) > limits.conditions:
        raise HTTPException(400, f"too many conditions; the limit is {limits.conditions}")


def _check_image(data, limits):
    """Refuse an image that is too large, before it is decoded."""
    if data is None:
        return
    try:
        open_image(data, limits.pixels)
    except ImageError as error:
        status = 413 if str(error).startswith("huge") else 400
        raise HTTPException(status, f"the image cannot be used: {error}") from None


def _weights(text):
    """Four numbers with commas between them, or None."""
    if not text:
        return None
    try:
        weights = tuple(float(number) for number in text.split(","))
    except ValueError:
        weights = ()
    if len(weights) != len(SIMILARITIES):
        raise HTTPException(400, f"weights are {text!r}; give four numbers such as 0.5,0,1,1")
    return weights


def _note(metrics, served, result):
    metrics.reloads.labels(result).inc()
    if result == "taken":
        metrics.serves(served.engine)


async def _watch(served, seconds):
    while True:
        await asyncio.sleep(seconds)
        await asyncio.to_thread(served.check)
