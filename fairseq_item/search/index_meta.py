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


def _words(value):
    given = isinstance(value, dict) and text(value.get("found"))
    return bool(given) and whole(0)(value.get("titles")) and number(value.get("length"))


_setting = mapping(("visits", "near", "postings", "wordy", "scored"), whole(0))


def _settings(values):
    return isinstance(values, list) and all(
        _setting(value) and mapping(("recall", "error"), number)(value) for value in values
    )


def _approximate(built):
    """What ``candidates.build.write_candidates`` gives."""
    given = isinstance(built, dict) and isinstance(built.get("scales"), dict)
    right = given and set(built["scales"]) <= set(EMBEDDINGS) and built["scales"]
    flags = ("on_disk", "words")
    return (
        bool(right)
        and all(number(scale) and scale > 0 for scale in built["scales"].values())
        and text(built.get("kind"))
        and maybe(whole(1))(built.get("lists"))
        and whole(0)(built.get("width"))
        and all(one_of(False, True)(built.get(name)) for name in flags)
        and bool(built.get("settings"))
        and _settings(built["settings"])
    )


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
    "approximate": maybe(_approximate),
    "words": maybe(_words),
    "list_scales": maybe(mapping(EMBEDDINGS, lambda value: number(value) and value >= 0)),
}
