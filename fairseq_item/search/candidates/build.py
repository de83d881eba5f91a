"""What approximate search needs, written into an index folder, and its recall."""

import numpy as np

from fairseq_item.errors import InputError
from fairseq_item.search.candidates.lists import Source, bytes_of, scales_of, write_lists
from fairseq_item.search.candidates.postings import write_postings
from fairseq_item.search.candidates.recall import ANSWERS, QUERIES, measure
from fairseq_item.search.candidates.search import Candidates
from fairseq_item.search.embeddings import EMBEDDINGS, embedding_path
from fairseq_item.search.fusion import Fuser, own_settings


def check_asked(fusion, weights, factory):
    """Refuse what cannot be searched approximately.

    Raises:
        InputError: the fusion is "max", no embedding counts, or ``factory`` is not "Flat".
    """
    if fusion != "sum":
        raise InputError("--approximate needs --fusion sum: a maximum is no inner product")
    if not any(weights[: len(EMBEDDINGS)]):
        raise InputError("--approximate: --weights leave out all embeddings; give one something")
    if factory != "Flat":
        raise InputError("give either --approximate or --factory")


def write_candidates(work, index, asked, seed, workers):
    """Write ``candidates.*`` and ``postings.*``.

    Args:
        work: index folder that is being written, with all other arrays.
        index: ``ItemIndex`` of it.
        asked: dict: ``kind``, ``lists`` and ``on_disk`` as of ``lists.write_lists``.
        seed: of the training sample, and of the queries that recall is measured with.
        workers: processes.

    Returns:
        dict: ``approximate`` of ``meta.json``.

    Raises:
        InputError: no item has what counts, or faiss refuses it.
    """
    fuser = Fuser(*own_settings(index.meta).values(), index.calibrations)
    check_asked(fuser.kind, fuser.weights, "Flat")
    scales = scales_of(fuser)
    columns = [EMBEDDINGS.index(name) for name in scales]
    rows = np.flatnonzero(index.present[:, columns].any(axis=1))
    if not len(rows):
        raise InputError("--approximate: no item has an embedding that counts; leave it out")
    for vectors in index.vectors.values():
        vectors.flush()
    source = Source(
        {name: embedding_path(work, name) for name in scales},
        {name: index.vectors[name].shape for name in scales},
        scales,
    )
    words = bool(fuser.weights[-1] and index.present[:, -1].any())
    kind, how = asked["kind"], {"lists": asked["lists"], "on_disk": asked["on_disk"]}
    factory = write_lists(source, rows, work, kind, **how, workers=workers, seed=seed)
    if words:
        write_postings(index.lexical, work)
    built = {
        **asked,
        "factory": factory,
        "scales": scales,
        "width": 0 if kind == "flat" else bytes_of(source.dim),
        "words": words,
        "answers": ANSWERS,
        "queries": min(QUERIES, len(index)),
        "seed": seed,
    }
    candidates = Candidates.open(work, {"approximate": built}, index.present)
    return {**built, "settings": measure(index, candidates, seed)}
