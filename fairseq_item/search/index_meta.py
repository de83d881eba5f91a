"""What ``meta.json`` of an index says, checked when it is read."""

from fairseq_item.errors import InputError
from fairseq_item.search import calibration
from fairseq_item.search.embeddings import EMBEDDINGS, FIELDS
from fairseq_item.search.fusion import FUSIONS, check_weights
from fairseq_item.search.hits import SIMILARITIES
from fairseq_item.search.meta import mapping, maybe, number, one_of, read_meta, text, whole
from fairseq_item.search.vectors import DTYPES


def read_index_meta(folder):
    """Read ``meta.json`` of an index folder: dict.

    Raises:
        InputError: the folder holds no whole index, or is damaged.
    """
    return read_meta(folder, "index", _FIELDS)


def embedding_dims(meta):
    """Embedding -> values a row before the transforms; older indexes have one for all."""
    return meta.get("embedding_dims") or dict.fromkeys(EMBEDDINGS, meta["dim"])


def _weights(values):
    if not isinstance(values, list) or not all(map(number, values)):
        return False
    try:
        check_weights(values)
    except InputError:
        return False
    return True


def _calibrations(values):
    # Indexes made before there was a lexical similarity have three.
    wanted = EMBEDDINGS if isinstance(values, dict) and "lexical" not in values else SIMILARITIES
    return mapping(wanted, calibration.is_json)(values)


def _fit(values):
    given = isinstance(values, dict)
    return given and _weights(values.get("weights")) and number(values.get("intercept"))


_FIELDS = {
    **FIELDS,
    "count": whole(1),
    "dims": mapping(EMBEDDINGS, whole(1)),
    "embedding_dims": maybe(mapping(EMBEDDINGS, whole(1))),
    "dtype": one_of(*DTYPES),
    "sources": maybe(lambda values: isinstance(values, list) and all(map(text, values))),
    "factory": text,
    "fusion": one_of(*FUSIONS),
    "weights": _weights,
    "calibrations": _calibrations,
    "fit": maybe(_fit),
    "list_scales": maybe(mapping(EMBEDDINGS, lambda value: number(value) and value >= 0)),
}
