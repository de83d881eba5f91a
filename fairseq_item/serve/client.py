"""The search service from Python.

client = SearchClient("http://127.0.0.1:8000")
answers = client.search(title="red shoe", image="shoe.jpg")["answers"]
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx


class SearchError(Exception):
    """The service did not answer as asked.

    Attributes:
        status: of the HTTP answer; 503 says that it is busy, and to try again.
    """

    def __init__(self, status: int, message: str):
        super().__init__(message)
        self.status = status


class SearchClient:
    """One service; safe to be used by several threads.

    Args:
        url: its address.
        token: what its ``--token-file`` holds, or None.
        timeout: seconds.
    """

    def __init__(self, url: str, token: str | None = None, timeout: float = 30.0, **settings: Any):
        headers = {} if token is None else {"Authorization": f"Bearer {token}"}
        url = url.rstrip("/") + "/"
        self._http = httpx.Client(base_url=url, headers=headers, timeout=timeout, **settings)

    def search(
        self,
        title: str | None = None,
        image: str | Path | bytes | None = None,
        item: str | None = None,
        k: int = 10,
        weights: Sequence[float] | None = None,
        where: Sequence[str] = (),
    ) -> dict[str, Any]:
        """The best answers to a title, an image, both, or an item of the index.

        Args:
            title: of the product asked for.
            image: path of its photo, or the bytes of the file.
            item: id of an item to find more like.
            k: answers wanted.
            weights: of global, title, image and lexical similarity; None takes the index's own.
            where: conditions ``column=value``; != < <= > >= do, too.

        Returns:
            dict: as ``/openapi.json`` describes it; ``answers`` are the best first.

        Raises:
            SearchError: the service refuses.
            OSError, httpx.TransportError: the image cannot be read, or the service not reached.
        """
        fields: dict[str, Any] = {"k": str(k), "where": list(where)}
        if weights is not None:
            fields["weights"] = ",".join(map(str, weights))
        fields |= {n: v for n, v in (("title", title), ("item", item)) if v is not None}
        if image is None:
            return self._get("api/search", params=fields).json()
        data = image if isinstance(image, bytes) else Path(image).read_bytes()
        return self._checked(
            self._http.post("api/search", data=fields, files={"image": ("image", data)})
        ).json()

    def item(self, item: str) -> dict[str, Any]:
        """What is known of an item."""
        return self._get(f"api/items/{quote(item, safe='')}").json()

    def image(self, item: str) -> bytes:
        """An item's image, small, as a WebP file."""
        return self._get(f"api/images/{quote(item, safe='')}").content

    def index(self) -> dict[str, Any]:
        """What is served."""
        return self._get("api/index").json()

    def health(self) -> dict[str, Any]:
        """Whether the service answers, and from which index."""
        return self._get("healthz").json()

    def close(self) -> None:
        """Let go of the connections."""
        self._http.close()

    def _get(self, path, **settings):
        return self._checked(self._http.get(path, **settings))

    @staticmethod
    def _checked(answer):
        if answer.is_success:
            return answer
        try:
            message = answer.json()["error"]
        except (ValueError, KeyError, TypeError):
            message = answer.text[:200]
        raise SearchError(answer.status_code, message)
