#!/usr/bin/env python3
"""Learn a catalogue's own BPE vocabulary from its titles.

Writes DIR/bpe.model (SentencePiece) and DIR/dict.txt (fairseq: every token and how often it
occurs in the given titles, the most frequent first). Characters too rare for a token of their
own, emojis for instance, are spelt in bytes, so no title holds anything unknown.
Give the training split only: tokens must not be learnt from what is evaluated on.
"""

import io
import itertools
import logging
import random
import re

import numpy as np

from fairseq_item.data.catalog import Columns, read_catalog
from fairseq_item.data.text import clean_title
from fairseq_item.errors import InputError
from fairseq_item.progress import progress

logger = logging.getLogger("train_bpe")

NORMALIZATION = {"fold": "nmt_nfkc_cf", "keep": "nmt_nfkc"}
# Kept out of the learnt tokens, for they are symbols of the model's own.
CONTROL_SYMBOLS = ["<pad>", "<mask>"]
# Recorded in the model file, which would otherwise differ between machines.
THREADS = 4


def read_titles(args):
    """The titles that are not empty: all of them, or a uniform sample of ``--max-titles``."""
    columns, generator = Columns.from_args(args), random.Random(args.seed)
    titles, seen = [], 0
    for path in args.catalogs:
        catalog = read_catalog(path, columns, require=["title"])
        for _, row in progress(catalog, f"reading {path}", unit="title"):
            title = clean_title(row["title"])
            if not title:
                continue
            seen += 1
            if len(titles) < args.max_titles:
                titles.append(title)
            elif (place := generator.randrange(seen)) < args.max_titles:
                titles[place] = title
    if not titles:
        raise InputError(f"{args.catalogs[0]} has no title that is not empty; see --title-column")
    return titles


def learn(titles, args):
    """Train on ``titles`` and count the tokens in them.

    A catalogue can be too small for the vocabulary asked for: then BPE goes on until every word,
    even one seen once, is a token of its own, which is of no use for another title. In that case
    the vocabulary is trained anew, without the tokens that occurred once, whole or in others.

    Returns:
        tuple: the SentencePieceProcessor, and a dict token -> count of the tokens for dict.txt.
    """
    bpe = train(titles, args.vocab_size, args)
    counts = count_tokens(bpe, titles)
    if len(bpe) < args.vocab_size:
        size = len(bpe) - sum(count < 2 for count in merge_counts(bpe, counts).values())
        logger.warning(
            "%d titles are too few for a vocabulary of %d: it becomes %d, with no token that "
            "occurs only once", len(titles), args.vocab_size, size,
        )  # fmt: skip
        bpe = train(titles, size, args)
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


def train(titles, vocab_size, args):
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
            normalization_rule_name=NORMALIZATION[args.case],
            character_coverage=args.character_coverage,
            byte_fallback=True,
            control_symbols=CONTROL_SYMBOLS,
            max_sentence_length=1 << 20,  # bytes; longer ones are left out
            num_threads=THREADS,
            minloglevel=2,
        )
    except RuntimeError as error:
        needed = re.search(r"Vocabulary size is smaller.* vs (\d+)", str(error))
        if not needed:
            raise
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
