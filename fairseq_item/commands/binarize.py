"""Titles of DATA_BIN/items/{split}.tsv to DATA_BIN/title, leaf categories to DATA_BIN/label.

Needs title/bpe.model and title/dict.txt (train_bpe.py) and items/ (pack_images.py). Titles are
stored whole; the model cuts them to the length that it takes.

title/{split}.bin and .idx are, byte for byte, what fairseq itself writes for the same tokens.
To make them with its tools, write each title's tokens on a line, then preprocess:

  cut -f 2 items/train.tsv | tail -n +2 | spm_encode --model title/bpe.model > train.bpe
  fairseq-preprocess --only-source --srcdict title/dict.txt --trainpref train.bpe --destdir title2

label/{split}.bin holds a category's id and </s> for every item. label/dict.txt has the categories
of the training splits, the most frequent first; spaces, % and < in names are escaped as in a URL.
A category that training does not have, or none, is <unk>; how many there are is reported.
"""

from pathlib import Path

from fairseq_item.commands.common import Parser, run
from fairseq_item.data.titles import TitleTokenizer
from fairseq_item.errors import InputError
from fairseq_item.preprocess.binarize import (
    binarize_labels,
    binarize_titles,
    has_labels,
    items_path,
    label_ids,
)


def main(argv=None):
    parser = Parser(__doc__)
    parser.add_argument("data_bin", metavar="DATA_BIN", help="folder with items/ and title/")
    parser.add_argument(
        "--splits", nargs="+", metavar="SPLIT", help="train, valid, ...; all of items/ if not given"
    )
    args = parser.parse_args(argv)

    root = Path(args.data_bin)
    splits = args.splits or sorted(path.stem for path in (root / "items").glob("*.tsv"))
    if not splits:
        raise InputError(f"{root / 'items'} has no .tsv file; run pack_images.py first")
    tokenizer = TitleTokenizer(root / "title" / "bpe.model", root / "title" / "dict.txt")
    for split in splits:
        binarize_titles(root, split, tokenizer)
    labelled = [split for split in splits if has_labels(items_path(root, split))]
    if labelled:
        ids = label_ids(root, labelled)
        for split in labelled:
            binarize_labels(root, split, ids)


def cli():
    """Console script ``item-binarize``."""
    run(main)


if __name__ == "__main__":
    cli()
