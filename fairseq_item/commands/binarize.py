"""Titles of DATA_BIN/items/{split}.tsv to DATA_BIN/title, leaf categories to DATA_BIN/label.

Needs the vocabulary in title/ (item-bpe) and items/ (item-pack). Titles are stored whole; the
model cuts them to the length that it takes.

title/{split}.bin and .idx are, byte for byte, what fairseq itself writes for the same tokens.
To make them with its tools, write each title's tokens on a line, then preprocess:

  cut -f 2 items/train.tsv | tail -n +2 | spm_encode --model title/bpe.model > train.bpe
  fairseq-preprocess --only-source --srcdict title/dict.txt --trainpref train.bpe --destdir title2

label/{split}.bin holds a category's id and </s> for every item. label/dict.txt has the categories
of the training splits, the most frequent first; spaces, % and < in names are escaped as in a URL.
A category that training does not have, or none, is <unk>; how many there are is reported.
"""

from pathlib import Path

from fairseq_item.commands.common import (
    Parser,
    add_engine,
    add_workers,
    engine_of,
    run,
    say,
    splits,
)
from fairseq_item.data.titles import SPECIALS, open_tokenizer
from fairseq_item.errors import InputError
from fairseq_item.files import locked_folder, sweep
from fairseq_item.preprocess.binarize import binarize_labels, binarize_titles, has_labels, label_ids
from fairseq_item.remote import VOCABULARY, output


def parser():
    """The options of ``item-binarize``."""
    p = Parser(__doc__)
    p.add_argument("data_bin", metavar="DATA_BIN", help="folder with items/ and title/, or its URL")
    p.add_argument(
        "--splits", nargs="+", type=splits, metavar="SPLIT",
        help="train, valid, ...; all of items/ if not given",
    )  # fmt: skip
    add_workers(p, 1, "processes that tokenise")
    add_engine(p)
    return p


def main(argv=None):
    args = parser().parse_args(argv)
    with output(args.data_bin, _needed) as root:
        _main(args, root)


def _needed(name):
    """What of a data-bin titles and labels are made from."""
    return name.startswith("items/") or Path(name).name in VOCABULARY


def _main(args, root):
    names = list(dict.fromkeys(name for listed in args.splits or () for name in listed))
    names = names or sorted(path.stem for path in (root / "items").glob("*.tsv"))
    if not names:
        raise InputError(f"{root / 'items'} has no .tsv file; run item-pack first")
    with locked_folder(root / "title"):
        binarize(root, names, engine_of(args))


def binarize(root, names, engine):
    """Write the titles and labels of the splits ``names`` of the data-bin ``root``."""
    tokenizer = open_tokenizer(root / "title")
    for name in names:
        counts = binarize_titles(root, name, tokenizer, engine)
        empty = f", {counts.empty} of them empty" if counts.empty else ""
        mean = counts.tokens / max(counts.titles - counts.empty, 1)
        say(
            f"{root / 'title' / name}.bin: {counts.titles} titles{empty}, {mean:.1f} tokens a title"
        )
    labelled = [name for name in names if has_labels(root, name)]
    if labelled:
        (root / "label").mkdir(exist_ok=True)
        sweep(root / "label")
        ids = label_ids(root, labelled)
        say(f"{root / 'label' / 'dict.txt'}: {len(ids) - len(SPECIALS)} leaf categories")
        for name in labelled:
            say(f"{root / 'label' / name}.bin: {binarize_labels(root, name, ids)} labels")


def cli():
    """Console script ``item-binarize``."""
    run(main)


if __name__ == "__main__":
    cli()
