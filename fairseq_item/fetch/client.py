"""Getting one image: redirects, limits and what goes wrong, as a reason in a few words."""

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from urllib.parse import urljoin, urlsplit, urlunsplit

from urllib3 import Timeout
from urllib3 import exceptions as errors

from fairseq_item.data.images import ImageError, open_image
from fairseq_item.fetch.addresses import NotPublic
from fairseq_item.fetch.connections import Deadline, pool_manager
from fairseq_item.fetch.failure import Failure

MAX_REDIRECTS = 5
REDIRECTS = (301, 302, 303, 307, 308)
# Asked for too much or too early, or a server in trouble: another time it may be there.
PASSING = (408, 425, 429, 500, 502, 503, 504)
PIECE = 1 << 16


@dataclass(frozen=True)
class Image:
    """What was got: the bytes of a file, and its format as Pillow calls it."""

    data: bytes
    format: str


class Client:
    """Gets images; threads may share one.

    Args:
        timeout: seconds to wait for a connection, and for each part of an answer.
        total: seconds that an image may take, redirects included.
        max_bytes: of an image.
        allow_private: whether addresses inside the own network may be asked.
        per_host: connections to a host that are kept open.
        user_agent: how to introduce oneself.
    """

    def __init__(self, timeout, total, max_bytes, allow_private, per_host, user_agent):
        self.total, self.max_bytes = total, max_bytes
        self._headers = {
            "User-Agent": user_agent,
            "Accept-Encoding": "identity",
            "Accept": "image/*",
        }
        times = Timeout(connect=timeout, read=timeout)
        self._pools = pool_manager(per_host, times, allow_private)

    def get(self, url):
        """The :class:`Image` at an address.

        Raises:
            Failure: there is none, or none that may be had.
        """
        with Deadline(self.total) as deadline:
            try:
                data, kind = self._follow(url, deadline)
            except NotPublic as error:
                raise Failure(str(error)) from None
            except errors.HTTPError as error:
                if deadline.over:
                    raise Failure(f"takes over {self.total:g} seconds", passing=True) from None
                raise _failure(error) from None
        try:
            return Image(data, open_image(data).format)
        except ImageError as error:
            raise Failure(f"{error}{f' ({kind})' if kind else ''}") from None

    def _follow(self, url, deadline):
        for _ in range(MAX_REDIRECTS + 1):
            response = self._pools.request(
                "GET", _plain(url), headers=self._headers, redirect=False, preload_content=False
            )
            whole = False
            try:
                target = response.headers.get("Location")
                if response.status in REDIRECTS and target:
                    url = urljoin(url, target)
                    continue
                self._check(response)
                data = self._body(response, deadline)
                whole = True
                return data, response.headers.get("Content-Type", "")[:80]
            finally:
                if whole:
                    response.release_conn()
                else:  # the rest of the answer is not waited for
                    response.close()
        raise Failure(f"redirects more than {MAX_REDIRECTS} times")

    def _check(self, response):
        if response.status != 200:
            wait = _wait(response.headers.get("Retry-After", ""))
            raise Failure(f"answers {response.status}", response.status in PASSING, wait)
        if response.headers.get("Content-Encoding", "identity").lower() != "identity":
            raise Failure("is sent compressed, which was not asked for")
        if _length(response) > self.max_bytes:
            raise self._too_large()

    def _body(self, response, deadline):
        pieces, size = [], 0
        while piece := response.read1(PIECE, decode_content=False):
            pieces.append(piece)
            size += len(piece)
            if size > self.max_bytes:
                raise self._too_large()
        if deadline.over:
            raise Failure(f"takes over {self.total:g} seconds", passing=True)
        if size < _length(response):
            raise Failure(f"ends after {size} of {_length(response)} bytes", passing=True)
        return b"".join(pieces)

    def _too_large(self):
        return Failure(f"is larger than {self.max_bytes / 2**20:g} MiB")


def _plain(url):
    """``url`` with its host in ASCII.

    Raises:
        Failure: it is no address, or neither http nor https.
    """
    try:
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https"):
            raise Failure(f"{parts.scheme or 'no scheme'}: neither http nor https")
        host, port = parts.hostname, parts.port
        if not host:
            raise Failure("names no host")
        host = f"[{host}]" if ":" in host else host.encode("idna").decode()
    except ValueError as error:  # UnicodeError is one
        raise Failure(f"is no address ({error})") from None
    return urlunsplit(parts._replace(netloc=f"{host}:{port}" if port else host))


def _length(response):
    text = response.headers.get("Content-Length", "")
    return int(text) if re.fullmatch(r"\d{1,18}", text, re.ASCII) else 0


def _wait(text):
    """Seconds of a Retry-After header: a number, or a date."""
    if re.fullmatch(r"\d{1,9}", text, re.ASCII):
        return float(text)
    try:
        date = parsedate_to_datetime(text)
    except ValueError:
        return 0.0
    if date.tzinfo is None:
        date = date.replace(tzinfo=UTC)
    return max(0.0, (date - datetime.now(UTC)).total_seconds())


def _failure(error):
    if isinstance(error, errors.SSLError):
        return Failure(f"has no valid certificate ({error})"[:200])
    if isinstance(error, errors.NameResolutionError):
        return Failure("has a host that is not known", passing=True)
    if isinstance(error, (errors.ConnectTimeoutError, errors.ReadTimeoutError)):
        return Failure("does not answer in time", passing=True)
    if isinstance(error, errors.NewConnectionError):
        return Failure("refuses connections", passing=True)
    if isinstance(error, (errors.LocationValueError, errors.LocationParseError)):
        return Failure("is no address")
    return Failure(f"breaks off ({type(error).__name__})", passing=True)
