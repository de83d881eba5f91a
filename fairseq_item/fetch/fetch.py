"""From a catalogue with addresses to a folder of images and a catalogue that names them."""

import hashlib
import os
from collections import Counter
from contextlib import closing
from itertools import islice
from pathlib import Path
from urllib.parse import urlsplit

from fairseq_item.data.tsv import TsvWriter
from fairseq_item.errors import InputError
from fairseq_item.fetch.failure import Failure
from fairseq_item.fetch.journal import Journal
from fairseq_item.fetch.schedule import Schedule
from fairseq_item.files import atomic_path, locked_folder, sweep
from fairseq_item.progress import progress

EXTENSIONS = {"JPEG": "jpg", "MPO": "jpg", "JPEG2000": "jp2"}
BATCH = 10_000


def fetch(catalog, folder, get, manners, url_column="image_url", try_rejected=False):
    """Download the images of a catalogue.

    Into ``folder`` go the images, named by the SHA-256 of their bytes, so that equal ones are kept
    once; ``catalog.tsv`` with ``image`` filled; ``rejected.tsv`` with the rows that have none, and
    why; and ``fetch.sqlite``, by which another run goes on where this one ended.

    Args:
        catalog: ``Catalog``.
        folder: output folder.
        get: function from an address to a ``client.Image``.
        manners: ``schedule.Manners``.
        url_column: its column of addresses. Where it is empty, an address may stand in ``image``.
        try_rejected: ask for what was refused for good before, too.

    Returns:
        Counter: "kept" (images that were there already), "fetched", "rows", "rejected".

    Raises:
        InputError: there is no such column, or another process fetches into the folder.
    """
    folder = Path(folder)
    if url_column not in catalog.fieldnames and not _has_addresses(catalog):
        raise InputError(
            f"{catalog.path} has no column '{url_column}' and no address in 'image'; name the "
            "right column with --url-column"
        )
    counts = Counter()
    with locked_folder(folder), closing(Journal(folder / "fetch.sqlite")) as journal:
        for subfolder in folder.glob("??"):
            sweep(subfolder)
        addresses = filter(None, (_address(row, url_column) for _, row in catalog))
        pairs = ((url, _host(url)) for url in addresses)
        while batch := list(islice(pairs, BATCH)):
            journal.add(batch)
        journal.try_again(lambda name, size: _is_whole(folder / name, size), try_rejected)
        counts["kept"] = journal.count(done=True)
        schedule = Schedule(journal, get, manners)
        for number, result in progress(schedule, "images", journal.count(done=False), "image"):
            if isinstance(result, Failure):
                journal.failed(number, str(result), not result.passing)
            else:
                journal.fetched(number, *_store(folder, result))
                counts["fetched"] += 1
        _write(catalog, journal, folder, url_column, counts)
    return counts


def _address(row, url_column):
    """The address of a row's image; empty where it has none, or the image is there already."""
    image = row.get("image", "")
    if image.startswith(("http://", "https://")):
        return image.strip()
    return "" if image else row.get(url_column, "").strip()


def _host(url):
    """The host of an address, with its port if it has one; empty where there is none."""
    try:
        return urlsplit(url).netloc.rpartition("@")[2].lower()
    except ValueError:
        return ""


def _has_addresses(catalog):
    return any(_address(row, "") for _, row in catalog)


def _is_whole(path, size):
    try:
        return os.stat(path).st_size == size
    except OSError:
        return False


def _store(folder, image):
    """Write an image; returns its name under ``folder``, SHA-256 and size."""
    digest = hashlib.sha256(image.data).hexdigest()
    extension = EXTENSIONS.get(image.format, image.format.lower())
    name = f"{digest[:2]}/{digest[:32]}.{extension}"
    if not _is_whole(folder / name, len(image.data)):
        with atomic_path(folder / name) as path:
            path.write_bytes(image.data)
    return name, digest, len(image.data)


def _write(catalog, journal, folder, url_column, counts):
    with (
        TsvWriter(folder / "catalog.tsv", dict.fromkeys([*catalog.fieldnames, "image"])) as kept,
        TsvWriter(folder / "rejected.tsv", ["id", "image_url", "reason"]) as rejected,
    ):
        for _, row in catalog:
            url = _address(row, url_column)
            if url:
                row["image"], reason = journal.look_up(url)
                if not row["image"]:
                    reason = reason or "was not asked for"
                    rejected.write({"id": row["id"], "image_url": url, "reason": reason})
                    continue
            kept.write(row)
        counts["rows"], counts["rejected"] = kept.count, rejected.count
