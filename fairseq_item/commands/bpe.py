"""Learn a catalogue's own BPE vocabulary from its titles.

Writes DIR/bpe.model (SentencePiece) and DIR/dict.txt (fairseq: every token and how often it
occurs in the given titles, the most frequent first). Characters too rare for a token of their
own, emojis for instance, are spelt in bytes, so no title holds anything unknown.
Give the training split only: tokens must not be learnt from what is evaluated on.
"""

import time
from pathlib import Path

from fairseq_item.commands.common import Parser, run
from fairseq_item.data.catalog import add_column_arguments
from fairseq_item.errors import InputError
from fairseq_item.files import atomic_path
from fairseq_item.preprocess.bpe import NORMALIZATION, dictionary_text, learn, logger, read_titles


def main(argv=None):
    parser = Parser(__doc__)
    parser.add_argument("catalogs", nargs="+", metavar="TRAIN", help="catalogue to learn from")
    parser.add_argument("--out", required=True, metavar="DIR", help="usually DATA_BIN/title")
    parser.add_argument(
        "--vocab-size", type=int, default=50_000,
        help="symbols at most, <s>, <pad>, </s>, <unk> and <mask> included",
    )  # fmt: skip
    parser.add_argument(
        "--case", choices=sorted(NORMALIZATION), default="fold",
        help="fold: upper and lower case are the same, for sellers shout; keep: they differ",
    )  # fmt: skip
    parser.add_argument(
        "--character-coverage", type=float, default=0.9999,
        help="part of all characters that must have tokens; the rarest are spelt in bytes",
    )  # fmt: skip
    parser.add_argument(
        "--max-titles", type=int, default=10_000_000, help="learn from a random sample of so many"
    )
    parser.add_argument("--seed", type=int, default=1, help="seed of that sample")
    add_column_arguments(parser)
    args = parser.parse_args(argv)

    if not 0.9 <= args.character_coverage <= 1:
        raise InputError(f"--character-coverage {args.character_coverage}: use 0.98 to 1")
    titles = read_titles(args)
    start = time.monotonic()
    bpe, counts = learn(titles, args)
    logger.info("%d tokens learnt in %.1f s", len(counts), time.monotonic() - start)

    out = Path(args.out)
    with atomic_path(out / "bpe.model") as path:
        path.write_bytes(bpe.serialized_model_proto())
    with atomic_path(out / "dict.txt") as path:
        path.write_text(dictionary_text(counts), encoding="utf-8", newline="\n")
    print(f"{out / 'bpe.model'}: {len(counts)} tokens from {len(titles)} titles")
    print(f"{out / 'dict.txt'}: {sum(count > 0 for count in counts.values())} of them occur there")


def cli():
    """Console script ``item-bpe``."""
    run(main)


if __name__ == "__main__":
    cli()
