"""Learning a BPE vocabulary from titles, and its dictionary for fairseq."""

import io
import itertools
import logging
import random
import re

import numpy as np

from fairseq_item.data import wordpiece
from fairseq_item.data.catalog import Columns, read_catalog
from fairseq_item.data.text import clean_title
from fairseq_item.errors import InputError
from fairseq_item.files import atomic_path
from fairseq_item.progress import progress

logger = logging.getLogger(__name__)

NORMALIZATION = {"fold": "nmt_nfkc_cf", "keep": "nmt_nfkc"}
# Kept out of the learnt tokens, for they are symbols of the model's own.
CONTROL_SYMBOLS = ["<pad>", "<mask>"]
# Recorded in the model file, which would otherwise differ between machines.
THREADS = 4


def read_titles(paths, columns=None, limit=10_000_000, seed=1):
    """The titles of catalogues that are not empty: all, or a uniform sample of ``limit``.

    Raises:
        InputError: there is none.
    """
    columns, generator = columns or Columns(), random.Random(seed)
    titles, seen = [], 0
    for path in paths:
        catalog = read_catalog(path, columns, require=["title"])
        for _, row in progress(catalog, f"reading {path}", unit="title"):
            title = clean_title(row["title"])
            if not title:
                continue
            seen += 1
            if len(titles) < limit:
                titles.append(title)
            elif (position := generator.randrange(seen)) < limit:
                titles[position] = title
    if not titles:
        raise InputError(f"{paths[0]} has no title that is not empty; see --title-column")
    return titles


def learn(titles, vocab_size, case="fold", character_coverage=0.9999):
    """Train on ``titles`` and count the tokens in them.

    A catalogue can be too small for the vocabulary asked for: then BPE goes on until every word,
    even one seen once, is a token of its own, which is of no use for another title. In that case
    the vocabulary is trained anew, without the tokens that occurred once, whole or in others.

    Args:
        titles: list of str.
        vocab_size: symbols at most, control symbols included.
        case: a key of ``NORMALIZATION``.
        character_coverage: part of all characters that must have tokens.

    Returns:
        tuple: the SentencePieceProcessor, and a dict token -> count of the tokens for dict.txt.

    Raises:
        InputError: the vocabulary is too small, or there is nothing to learn in the titles.
    """
    bpe = train(titles, vocab_size, case, character_coverage)
    counts = count_tokens(bpe, titles)
    if len(bpe) < vocab_size:
        size = len(bpe) - sum(count < 2 for count in merge_counts(bpe, counts).values())
        logger.warning(
            "%d titles are too few for a vocabulary of %d: it becomes %d, with no token that "
            "occurs only once", len(titles), vocab_size, size,
        )  # fmt: skip
        bpe = train(titles, size, case, character_coverage)
        counts = count_tokens(bpe, titles)
    return bpe, counts


def merge_counts(bpe, counts):
    """How often each merged token occurs in the titles, on its own or within a larger token.

    That is the frequency at which BPE found it, so it falls in the order of the merges.
    """
    ranks = {
        token: rank
        for rank, token in enumerate(counts)
        if len(token) > 1 and not bpe.is_byte(bpe.piece_to_id(token))
    }
    merged = {token: counts[token] for token in ranks}
    for token in reversed(ranks):  # largest first: each passes its count on to its two halves
        for half in last_halves(token, ranks):
            if half in merged:
                merged[half] += merged[token]
    return merged


def last_halves(token, ranks):
    """What ``token`` was before its own merge: its characters after all merges that came first."""
    parts = list(token)
    while len(parts) > 2:
        pairs = [ranks.get(a + b, len(ranks)) for a, b in itertools.pairwise(parts)]
        i = min(range(len(pairs)), key=pairs.__getitem__)
        parts[i : i + 2] = [parts[i] + parts[i + 1]]
    return parts


def train(titles, vocab_size, case, character_coverage):
    """A SentencePieceProcessor of ``vocab_size`` symbols, or fewer if the titles have no more."""
    import sentencepiece

    model = io.BytesIO()
    try:
        sentencepiece.SentencePieceTrainer.train(
            sentence_iterator=iter(titles),
            model_writer=model,
            model_type="bpe",
            vocab_size=vocab_size,
            hard_vocab_limit=False,
            normalization_rule_name=NORMALIZATION[case],
            character_coverage=character_coverage,
            byte_fallback=True,
            control_symbols=CONTROL_SYMBOLS,
            max_sentence_length=1 << 20,  # bytes; longer ones are left out
            num_threads=THREADS,
            minloglevel=2,
        )
    except RuntimeError as error:
        needed = re.search(r"Vocabulary size is smaller.* vs (\d+)", str(error))
        if not needed:
            reason = " ".join(str(error).split())
            raise InputError(f"no vocabulary can be learnt from these titles ({reason})") from None
        raise InputError(
            f"--vocab-size {vocab_size} is too small: single characters and bytes alone are "
            f"{needed[1]}; raise it, or lower --character-coverage"
        ) from None
    return sentencepiece.SentencePieceProcessor(model_proto=model.getvalue())


def count_tokens(bpe, titles, batch=10_000):
    """How often each token occurs, a dict; all tokens are in it but the control symbols."""
    counts = np.zeros(len(bpe), np.int64)
    for start in range(0, len(titles), batch):
        ids = bpe.encode(titles[start : start + batch], out_type=int)
        flat = np.fromiter(itertools.chain.from_iterable(ids), np.int64)
        counts += np.bincount(flat, minlength=len(bpe))
    return {
        bpe.id_to_piece(i): int(counts[i])
        for i in range(len(bpe))
        if not (bpe.is_control(i) or bpe.is_unknown(i))
    }


def dictionary_text(counts):
    """fairseq's dict.txt, in the order of its ``Dictionary.finalize``: by count, then by name."""
    ordered = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    return "".join(f"{token} {count}\n" for token, count in ordered)


def write(folder, bpe, counts):
    """Write ``bpe.model`` and ``dict.txt``, in place of another tokenizer."""
    with atomic_path(folder / "bpe.model") as path:
        path.write_bytes(bpe.serialized_model_proto())
    with atomic_path(folder / "dict.txt") as path:
        path.write_text(dictionary_text(counts), encoding="utf-8", newline="\n")
    (folder / wordpiece.FILE).unlink(missing_ok=True)
