"""Learn a catalogue's own BPE vocabulary from its titles.

Writes DIR/bpe.model (SentencePiece) and DIR/dict.txt (fairseq: every token and how often it
occurs in the given titles, the most frequent first). Characters too rare for a token of their
own, emojis for instance, are spelt in bytes, so no title holds anything unknown.
Give the training split only: tokens must not be learnt from what is evaluated on.

With --vocab nothing is learnt: DIR/wordpiece.json and DIR/dict.txt hold the WordPiece vocabulary
of a pretrained BERT, which --init-text of a training needs (docs/pretrained.md).
"""

import logging
import time
from pathlib import Path

from fairseq_item.commands.columns import add_columns, columns_of
from fairseq_item.commands.common import Parser, add_seed, fraction, positive, run, say
from fairseq_item.data.wordpiece import FILE
from fairseq_item.errors import InputError
from fairseq_item.files import locked_folder
from fairseq_item.preprocess import wordpiece
from fairseq_item.preprocess.bpe import NORMALIZATION, learn, read_titles, write

logger = logging.getLogger(__name__)

LARGEST = 10_000_000  # symbols; SentencePiece counts in 32 bits


def parser():
    """The options of ``item-bpe``."""
    p = Parser(__doc__)
    p.add_argument("catalogs", nargs="+", metavar="TRAIN", help="catalogue to learn from")
    p.add_argument("--out", required=True, metavar="DIR", help="usually DATA_BIN/title")
    p.add_argument(
        "--vocab-size", type=positive, default=50_000,
        help="symbols at most, <s>, <pad>, </s>, <unk> and <mask> included",
    )  # fmt: skip
    p.add_argument(
        "--case", choices=sorted(NORMALIZATION), default="fold",
        help="fold: upper and lower case are the same, for sellers shout; keep: they differ",
    )  # fmt: skip
    p.add_argument(
        "--vocab", metavar="FILE",
        help="a BERT's vocab.txt (--case says whether it is of lower case) or tokenizer.json",
    )  # fmt: skip
    p.add_argument(
        "--character-coverage", type=fraction, default=0.9999,
        help="part of all characters that must have tokens; the rarest are spelt in bytes",
    )  # fmt: skip
    p.add_argument(
        "--max-titles",
        type=positive,
        default=10_000_000,
        help="learn from a random sample of so many",
    )
    add_seed(p, "seed of that sample")
    add_columns(p)
    return p


def main(argv=None):
    args = parser().parse_args(argv)
    if not 0.9 <= args.character_coverage <= 1:
        raise InputError(f"--character-coverage {args.character_coverage}: use 0.98 to 1")
    if args.vocab_size > LARGEST:
        raise InputError(f"--vocab-size {args.vocab_size} is more than {LARGEST}; use 50000 or so")
    with locked_folder(args.out):
        _write(args, Path(args.out))


def _write(args, out):
    titles = read_titles(args.catalogs, columns_of(args), args.max_titles, args.seed)
    if args.vocab:
        content = wordpiece.read_vocabulary(args.vocab, args.case)
        counts = wordpiece.count_tokens(content, titles)
        wordpiece.write(out, content, counts)
        say(f"{out / FILE}: {len(counts)} tokens of {args.vocab}")
        _say_dictionary(out, counts)
        return
    start = time.monotonic()
    bpe, counts = learn(titles, args.vocab_size, args.case, args.character_coverage)
    logger.info("%d tokens learnt in %.1f s", len(counts), time.monotonic() - start)

    write(out, bpe, counts)
    say(f"{out / 'bpe.model'}: {len(counts)} tokens from {len(titles)} titles")
    _say_dictionary(out, counts)


def _say_dictionary(out, counts):
    say(f"{out / 'dict.txt'}: {sum(count > 0 for count in counts.values())} of them occur there")


def cli():
    """Console script ``item-bpe``."""
    run(main)


if __name__ == "__main__":
    cli()
