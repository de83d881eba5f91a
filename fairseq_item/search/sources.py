"""Where the items of an index came from."""

from pathlib import Path

from fairseq_item.errors import InputError
from fairseq_item.search.meta import read_meta, text

_FIELDS = {"data": text, "splits": text}


def data_bins(meta):
    """Data-bin folders that items of an index came from, of those that are known and still there.

    Args:
        meta: of the index.

    Returns:
        dict: folder -> list of splits, the latest last.
    """
    found = {}
    for source in meta.get("sources") or ():
        try:
            made = read_meta(source, "embeddings", _FIELDS)
        except InputError:
            continue
        if Path(made["data"]).is_dir():
            found.setdefault(made["data"], []).extend(made["splits"].split(","))
    return {data: list(dict.fromkeys(splits)) for data, splits in found.items()}


def embedded_from(meta):
    """Where an index's items came from, as far as it is known and still there.

    Args:
        meta: of the index.

    Returns:
        (data-bin folder, list of splits), or (None, None).
    """
    try:
        made = [read_meta(source, "embeddings", _FIELDS) for source in meta.get("sources") or ()]
    except InputError:
        return None, None
    data = {one["data"] for one in made}
    if len(data) != 1 or not Path(*data).is_dir():
        return None, None
    return data.pop(), [split for one in made for split in one["splits"].split(",")]
