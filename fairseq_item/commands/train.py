"""``item-train``: fairseq-train with the options of a recipe.

RECIPE is the name of one that is installed, or a YAML file with lines such as "max-update: 500",
named as the options of fairseq-train, which may follow and win:

    item-train laptop data-bin --save-dir model --max-update 1000

Without --save-dir the model goes to checkpoints/. A run that was cut off goes on.

Several processes, of one machine or many, are started by torchrun (examples/scale_out):

    torchrun --nproc-per-node 8 --no-python item-train paper data-bin --save-dir model
"""

import argparse
import os
import shlex
import sys

from fairseq_item import recipes
from fairseq_item.commands.common import Parser, run
from fairseq_item.recipes import torchrun


def parser():
    """The options of ``item-train``."""
    p = Parser(__doc__)
    p.add_argument("recipe", metavar="RECIPE", help=f"{', '.join(recipes.names())} or a YAML file")
    p.add_argument("data", metavar="DATA_BIN", help="folder with train and valid")
    p.add_argument("--print", action="store_true", help="print the fairseq-train command instead")
    p.add_argument("more", nargs=argparse.REMAINDER, metavar="...", help="for fairseq-train")
    return p


def main(argv=None):
    """Entry point of ``item-train``."""
    argv = list(sys.argv[1:] if argv is None else argv)
    # argparse would stop at the first flag of fairseq-train: --print is looked for beforehand.
    shown = "--print" in argv
    args = parser().parse_args([word for word in argv if word != "--print"])
    options = recipes.read(args.recipe)
    cpu = bool(options.get("cpu")) or "--cpu" in args.more
    more = [*torchrun.flags(os.environ, cpu), *args.more]
    argv = recipes.arguments(options, args.data, more)
    cfg = recipes.parse(argv, recipes.find(args.recipe))
    if shown:
        sys.stdout.write(shlex.join(["fairseq-train", *argv]) + "\n")
    else:
        recipes.train(cfg)


def cli():
    """Console script ``item-train``."""
    # fairseq-train sets up its log when it is imported; --help and refusals need not wait for it.
    if any(word in sys.argv for word in ("-h", "--help", "--version")):
        run(main)
    import fairseq_cli.train  # noqa: F401

    run(main)


if __name__ == "__main__":
    cli()
