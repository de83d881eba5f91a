"""How much work is taken on at a time, how long it may take, and how large a request may be."""

import asyncio
import json
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from fastapi import HTTPException


@dataclass(frozen=True)
class Limits:
    """Attributes as the options of ``item-serve``.

    Attributes:
        upload: bytes of a request.
        pixels: width times height of an image.
        title: characters of a title.
        answers: answers a query.
        conditions: conditions a query.
        seconds: that a request's body, and then its answer, may take.
        threads: searches at a time.
        waiting: searches that may wait for a thread; further ones are refused.
    """

    upload: int = 16 << 20
    pixels: int = 50_000_000
    title: int = 1000
    answers: int = 100
    conditions: int = 20
    seconds: float = 20.0
    threads: int = 2
    waiting: int = 64


class Gate:
    """Runs functions in threads: some at a time, some more wait, the rest are refused.

    Args:
        threads: functions that run at a time.
        waiting: functions that may wait.
        seconds: how long one may take, waiting included. A thread cannot be ended: it counts until
            it is done.

    Attributes:
        busy: functions that run or wait.
    """

    def __init__(self, threads: int, waiting: int, seconds: float):
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="search")
        self._most, self._seconds, self.busy = threads + waiting, seconds, 0

    async def run(self, function, *args):
        """What ``function(*args)`` returns.

        Raises:
            HTTPException: too many wait, or it took too long.
        """
        if self.busy >= self._most:
            raise HTTPException(503, "too many searches at once; try again", {"Retry-After": "1"})
        self.busy += 1
        loop, work = asyncio.get_running_loop(), self._pool.submit(function, *args)
        work.add_done_callback(lambda _: loop.call_soon_threadsafe(self._done))
        try:
            return await asyncio.wait_for(asyncio.wrap_future(work), self._seconds)
        except TimeoutError:
            raise HTTPException(504, f"the search took over {self._seconds:g} s") from None

    def _done(self):
        self.busy -= 1

    def close(self):
        """Start nothing more."""
        self._pool.shutdown(wait=False, cancel_futures=True)


class BodyLimit:
    """ASGI middleware: refuses bodies that are too large or come too slowly.

    Args:
        app: what answers.
        most: bytes.
        seconds: until the body must be there.
    """

    def __init__(self, app, most: int, seconds: float):
        self.app, self.most, self.seconds = app, most, seconds

    async def __call__(self, scope, receive, send):
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        length = dict(scope["headers"]).get(b"content-length", b"0")
        if not length.isdigit() or int(length) > self.most:
            await send_error(send, 413, self._too_large())
            return
        read, complete = 0, False
        end = asyncio.get_running_loop().time() + self.seconds

        async def limited():
            nonlocal read, complete
            if complete:  # only whether the client has gone is still asked for
                return await receive()
            try:
                async with asyncio.timeout_at(end):
                    message = await receive()
            except TimeoutError:
                raise HTTPException(
                    408, f"the request took over {self.seconds:g} seconds"
                ) from None
            read += len(message.get("body", b""))
            complete = not message.get("more_body", False)
            if read > self.most:
                raise HTTPException(413, self._too_large())
            return message

        await self.app(scope, limited, send)

    def _too_large(self):
        return f"the request is too large; the limit is {self.most / 2**20:.3g} MiB"


async def send_error(send, status: int, message: str, headers: dict[str, str] | None = None):
    """Send an error as all are sent: JSON with one line."""
    body = json.dumps({"error": message}).encode()
    sent = {"content-type": "application/json", "content-length": str(len(body)), **(headers or {})}
    pairs = [(name.lower().encode(), value.encode()) for name, value in sent.items()]
    await send({"type": "http.response.start", "status": status, "headers": pairs})
    await send({"type": "http.response.body", "body": body})
