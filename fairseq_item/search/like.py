"""``item-index --like``: a further part of a catalogue, to be searched together with the first."""

import numpy as np

from fairseq_item.errors import InputError
from fairseq_item.folders import NewFolder
from fairseq_item.search.build import finish
from fairseq_item.search.change import check_sources, write_changed
from fairseq_item.search.embeddings import Embeddings
from fairseq_item.search.index import ItemIndex, is_index_file


def build_like(folders, like, out, approximate=None, seed=1, verify=False, workers=1):
    """Build an index of embeddings that compares items as another one does.

    Transforms, calibrations, weights, probabilities and word statistics are that one's, and stay
    so when the new index is changed.

    Args:
        folders: folders of embeddings of the same model.
        like: folder of the other index.
        out: folder to write.
        approximate, seed, verify, workers: as of ``build.build_index``.

    Returns:
        dict: the description that went into ``meta.json``.

    Raises:
        InputError: the folders do not go together, the other index is of an older version or was
            built with a faiss factory, or ``out`` cannot be written.
    """
    sources = [Embeddings.load(folder, verify) for folder in folders]
    base = ItemIndex.load(like, verify)
    if base.lexical is None or not base.meta.get("words"):
        raise InputError(f"{like} is of an older version; run item-index again to make parts of it")
    if not base.exact:
        raise InputError(f"{like} was built with --factory; parts are searched without")
    check_sources(base, like, sources)
    rows = np.arange(len(base), len(base) + sum(map(len, sources)))
    if not len(rows):
        raise InputError(f"{folders[0]} has no items; there is nothing to index")
    with NewFolder(out, is_index_file) as new:
        statistics = base.lexical.read_statistics(like, base.meta["words"])
        base.meta = {k: v for k, v in base.meta.items() if k not in ("sources", "approximate")}
        index = write_changed(new.work, base, sources, rows, statistics)
        if not index.present.any():
            raise InputError(f"{folders[0]} has neither embeddings nor titles to index")
        if approximate:
            index.meta["approximate"] = approximate
        finish(new, index, seed, workers)
    return index.meta
