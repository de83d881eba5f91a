"""``item-index``: from folders of embeddings to an index folder."""

import logging
import os
import re
from pathlib import Path

import numpy as np

from fairseq_item.data.arrays import save_array
from fairseq_item.data.features import check_same_network
from fairseq_item.data.tsv import Table, check_ids, write_table
from fairseq_item.digests import digests
from fairseq_item.errors import InputError
from fairseq_item.files import writing
from fairseq_item.folders import NewFolder
from fairseq_item.progress import progress
from fairseq_item.search import calibration, transforms
from fairseq_item.search.candidates.build import check_asked, write_candidates
from fairseq_item.search.embeddings import BLOCK, EMBEDDINGS, Embeddings, embedding_path
from fairseq_item.search.fusion import Fuser, check_weights, own_settings
from fairseq_item.search.hits import SIMILARITIES
from fairseq_item.search.index import (
    EXACT,
    FUSED,
    ItemIndex,
    faiss_path,
    import_faiss,
    is_index_file,
    transform_path,
)
from fairseq_item.search.lexical import LexicalIndex
from fairseq_item.search.meta import FORMAT, write_meta
from fairseq_item.search.vectors import Vectors, release

logger = logging.getLogger(__name__)
# Global, title, image, lexical. Chosen on dev queries of three catalogues, the synthetic one,
# relisted products and second photos: beside the words of a title its embedding adds nothing.
WEIGHTS = (0.5, 0.0, 0.5, 1.0)
# Where the image embedding has a pretrained network's features; there nor does the global one.
WEIGHTS_WITH_FEATURES = (0.0, 0.0, 0.5, 1.0)
# Enough for 4,096 inverted lists of faiss's 256 points a list.
MAX_TRAIN = 1 << 20


def build_index(
    folders,
    out,
    factory=EXACT,
    transform="whiten",
    whiten_shrinkage=None,
    calibrate="zscore",
    fusion="sum",
    weights=None,
    dtype="float32",
    seed=1,
    fit=None,
    verify=False,
    approximate=None,
    workers=1,
):
    """Build an index folder; what lay there before may be searched until the new one is whole.

    Args:
        folders: folders of embeddings of the same model, indexed one after the other.
        out: folder to write.
        factory: faiss factory string, see ``approximate``; "Flat" is exact, and is not faiss's:
            the stored vectors are searched.
        transform: "none", "center" or "whiten", fitted on these embeddings, each kind for itself.
        whiten_shrinkage: see ``transforms.Whiten.fit``.
        calibrate: "none" or "zscore".
        fusion, weights: what searches do unless told otherwise; weights None takes ``WEIGHTS``,
            or ``WEIGHTS_WITH_FEATURES`` where the embeddings have some.
        dtype: of the stored vectors: "float32", "float16" or "int8".
        seed: of the pairs that calibrations are fitted on, and of faiss's training sample.
        fit: function of the ``ItemIndex`` that gives ``fit`` of ``meta.json``, such as
            ``fit.fit_index``; the fusion must be "sum".
        verify: see ``Embeddings.load``.
        approximate: dict, ``kind``, ``lists`` and ``on_disk`` as of
            ``candidates.lists.write_lists``: also write what approximate search needs.
        workers: processes that do so.

    Returns:
        dict: the description that went into ``meta.json``.

    Raises:
        InputError: the folders do not go together, ``out`` cannot be written or holds other
            things, faiss refuses the factory string, or ``fit`` the index.
    """
    if weights is not None:
        check_weights(weights)
    if fit and fusion != "sum":
        raise InputError(f"weights are fitted for --fusion sum, not {fusion}")
    sources = [Embeddings.load(folder, verify) for folder in folders]
    features, dims = sources[0].meta.get("features"), sources[0].dims
    if weights is None:
        weights = WEIGHTS_WITH_FEATURES if features else WEIGHTS
    if approximate:
        check_asked(fusion, weights, factory)
    items = _concatenated_items(sources)
    _check_same_model(sources)
    if any(Path(out).resolve() == source.path.resolve() for source in sources):
        raise InputError(f"{out} holds the embeddings to be indexed; name another folder")
    if Path(out, "meta.json").exists() and not Path(out, "present.npy").exists():
        raise InputError(f"{out} holds no index, but embeddings; name another folder")
    if factory != EXACT:
        for width in {sum(dims.values())} if fusion == "sum" else set(dims.values()):
            _new_faiss(factory, width)  # a factory string that faiss refuses, before any work
    with NewFolder(out, is_index_file) as new:
        index = _transformed(new.work, sources, items, transform, whiten_shrinkage, dtype)
        if not index.present.any():
            raise InputError(f"{sources[0].path} has neither embeddings nor titles to index")
        _calibrate(index, calibrate, seed)
        index.meta |= {
            "format": FORMAT,
            "content": "index",
            "count": len(items),
            "dim": dims["global"],
            "embedding_dims": dims,
            "dims": {name: vectors.shape[1] for name, vectors in index.vectors.items()},
            "dtype": dtype,
            "factory": EXACT,
            "transform": transform,
            "calibration": calibrate,
            "calibrations": {name: line.to_json() for name, line in index.calibrations.items()},
            "fusion": fusion,
            "weights": list(map(float, weights)),
            "sources": [str(source.path) for source in sources],
            "checkpoint": sources[0].meta.get("checkpoint"),
            "checkpoint_digest": sources[0].meta.get("checkpoint_digest"),
            "untrained": sources[0].meta.get("untrained", False),
            "features": features,
        }
        if fit:
            index.meta["fit"] = fit(index)
        index.meta["factory"] = factory
        if approximate:
            index.meta["approximate"] = approximate
        finish(new, index, seed, workers)
    return index.meta


def finish(new, index, seed, workers=1):
    """Write faiss's indexes and the description of a folder that has the rest; put it in place.

    Args:
        new: ``NewFolder``.
        index: ``ItemIndex`` of its files; ``list_scales`` and ``files`` of its ``meta`` are set.
        seed: of faiss's training sample.
        workers: processes that prepare approximate search.

    Raises:
        InputError: faiss refuses the factory string for these items, or a file cannot be written.
    """
    meta = index.meta
    fuser = Fuser(*own_settings(meta).values(), index.calibrations)
    meta["list_scales"] = _write_lists(new.work, meta["factory"], index, fuser, seed)
    if asked := meta.get("approximate"):
        asked = {name: asked[name] for name in ("kind", "lists", "on_disk")}
        meta["approximate"] = write_candidates(new.work, index, asked, seed, workers)
    meta["words"] = index.lexical.statistics.summary
    meta["files"] = digests(new.work, sorted(os.listdir(new.work)))
    write_meta(new.work, meta)
    new.put()


def _transformed(work, sources, items, transform, whiten_shrinkage, dtype):
    """Write items, titles and transformed embeddings: an ``ItemIndex`` without description."""
    lexical = LexicalIndex.build(items.values("title"), work)
    present = np.zeros((len(items), len(SIMILARITIES)), bool)
    present[:, -1] = lexical.present
    stored, fitted = {}, {}
    for column, name in enumerate(progress(EMBEDDINGS, "indexing", unit="embedding")):
        rows = (rows for _, rows in _blocks(sources, name))
        width = sources[0].dims[name]
        fitted[name] = transforms.fit_transform(transform, rows, width, whiten_shrinkage)
        write_transform(work, name, fitted[name])
        path = embedding_path(work, name)
        stored[name] = _write_vectors(sources, name, fitted[name], path, dtype)
        present[:, column] = present_rows(stored[name])
    save_array(work / "present.npy", present)
    write_table(work / "items.tsv", items)
    return ItemIndex(stored, lexical, present, {}, fitted, {}, items, {})


def write_transform(folder, name, transform):
    """Write the transform of an embedding into an index folder."""
    path = transform_path(folder, name)
    with writing(path), open(path, "wb") as handle:
        transforms.save_transform(transform, handle)


def _calibrate(index, kind, seed):
    for column, name in enumerate(EMBEDDINGS):
        rows = np.flatnonzero(index.present[:, column])
        sample = calibration.sample_similarities(index.vectors[name], rows, seed)
        index.calibrations[name] = calibration.KINDS[kind].fit(sample)
    sample = calibration.sample_lexical(index.lexical, index.items, seed)
    index.calibrations["lexical"] = calibration.KINDS[kind].fit(sample)


def check_same_model(one, other, names):
    """Refuse embeddings of two different models, where both say which model made them.

    Args:
        one, other: descriptions of folders of embeddings or indexes.
        names: of both, for messages.

    Raises:
        InputError: the models differ, or the networks of their image features.
    """
    digests = [meta.get("checkpoint_digest") for meta in (one, other)]
    untrained = [meta.get("untrained", False) for meta in (one, other)]
    if all(digests) and (digests[0] != digests[1] or untrained[0] != untrained[1]):
        raise InputError(f"{names[0]} and {names[1]} come from different checkpoints; embed again")
    features = [meta.get("features") for meta in (one, other)]
    check_same_network(*features, names, "embed both alike")


def _check_same_model(sources):
    for source in sources[1:]:
        names = sources[0].path, source.path
        if source.dim != sources[0].dim:
            raise InputError(f"{names[0]} has {sources[0].dim} dimensions, {names[1]} {source.dim}")
        check_same_model(sources[0].meta, source.meta, names)


def _concatenated_items(sources):
    items = Table.joined([source.items for source in sources])
    if not len(items):
        raise InputError(f"{sources[0].path} has no items; there is nothing to index")
    check_ids(items, " + ".join(f"{source.path}/items.tsv" for source in sources))
    return items


def _blocks(sources, name):
    """``(position in the index, rows)`` over all of an embedding, letting go of what was read."""
    offset = 0
    for source in sources:
        for start, rows in source.blocks(name):
            yield offset + start, rows
            release(source.arrays[name])
        offset += len(source)


def _write_vectors(sources, name, transform, path, dtype):
    dim = transform(np.zeros((1, sources[0].dims[name]), np.float32)).shape[1]
    vectors = Vectors.create(path, dtype, (sum(map(len, sources)), dim))
    for start, rows in _blocks(sources, name):
        vectors.write(start, transform(rows))
    vectors.flush()
    return vectors


def present_rows(vectors):
    """Which rows of ``Vectors`` are not all zero: (n,) bool."""
    blocks = range(0, len(vectors), BLOCK)
    return np.concatenate([np.any(vectors[start : start + BLOCK], axis=1) for start in blocks])


def _new_faiss(factory, dim):
    if re.search(r"[^\d.]0+(?![\d.])", factory):
        # Of graphs and lists of nothing faiss makes searches that fail, or abort.
        raise InputError(f"--factory {factory} has a size of 0; give 1 or more")
    faiss = import_faiss()
    try:
        return faiss.IndexIDMap(faiss.index_factory(dim, factory, faiss.METRIC_INNER_PRODUCT))
    except RuntimeError as error:
        raise InputError(f"--factory {factory} for {dim} dimensions: {_reason(error)}") from None


def _write_lists(work, factory, index, fuser, seed):
    """Write what ``approximate`` searches.

    Returns:
        dict or None: under the sum, embedding -> the scale that it has in the concatenated vectors.
    """
    if factory == EXACT:
        return None
    stored, present = index.vectors, index.present
    if fuser.kind == "max":
        for column, name in enumerate(EMBEDDINGS):
            rows = np.flatnonzero(present[:, column])
            if len(rows):
                path = faiss_path(work, name)
                _write_faiss(factory, stored, {name: 1.0}, rows, path, seed)
        return None
    scales = dict.fromkeys(EMBEDDINGS, 0.0)
    for (_, name), scale in zip(fuser.active(), fuser.linear()[0]):
        if name in scales:
            scales[name] = float(np.sqrt(scale))
    columns = [column for column, name in enumerate(EMBEDDINGS) if scales[name]]
    rows = np.flatnonzero(present[:, columns].any(axis=1))
    if len(rows):
        _write_faiss(factory, stored, scales, rows, faiss_path(work, FUSED), seed)
    return scales


def _write_faiss(factory, stored, scales, rows, path, seed):
    """Train and fill a faiss index with some rows of scaled and concatenated vectors."""
    faiss = import_faiss()
    index = _new_faiss(factory, sum(stored[name].shape[1] for name in scales))

    def read(which):
        return np.concatenate([scale * stored[name][which] for name, scale in scales.items()], 1)

    try:
        if not index.is_trained:
            rng = np.random.default_rng(seed)
            chosen = rows
            if len(rows) > MAX_TRAIN:
                chosen = np.sort(rng.choice(rows, MAX_TRAIN, replace=False))
            index.train(read(chosen))
        for start in range(0, len(rows), BLOCK):
            block = rows[start : start + BLOCK]
            index.add_with_ids(read(block), block)
    except RuntimeError as error:
        raise InputError(
            f"--factory {factory} for {len(rows)} items of {index.d} dimensions: {_reason(error)}"
        ) from None
    try:
        faiss.write_index(index, str(path))
    except RuntimeError as error:
        raise InputError(f"{path} cannot be written ({_reason(error)}); see its disk") from None


def _reason(error):
    """What faiss says, without where in its sources it says it."""
    return " ".join(str(error).split("Error: ")[-1].split()) or "faiss refuses it"
