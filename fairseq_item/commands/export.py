"""``item-export``: a trained model as a folder for other tools.

``safetensors``: weights without pickle, config.json, dictionary, BPE and a model card;
ItemModel.from_pretrained reads it.

``onnx``: the network for onnxruntime, with onnx_runner.py, which needs neither fairseq nor torch.

``sentence-transformers``: the first, and what SentenceTransformer needs beside it.
"""

from collections.abc import Sequence
from pathlib import Path

from fairseq_item.commands.common import Parser, amount, run, say
from fairseq_item.errors import InputError

FORMATS = ("safetensors", "onnx", "sentence-transformers")


def parser() -> Parser:
    """The options of ``item-export``."""
    p = Parser(__doc__)
    p.add_argument("checkpoint", metavar="CHECKPOINT", help="model folder or checkpoint file")
    p.add_argument("--out", required=True, metavar="DIR", help="new folder to write")
    p.add_argument("--format", choices=FORMATS, default=FORMATS[0], help="what to write")
    p.add_argument(
        "--dtype",
        choices=("float32", "bfloat16"),
        help="of the weights, not with onnx; bfloat16 is half as large and rounded "
        "(default: float32)",
    )
    p.add_argument(
        "--int8",
        action="store_true",
        help="with onnx: write model.int8.onnx, too, smaller and faster on CPUs, and rounded",
    )
    p.add_argument(
        "--weights",
        nargs=3,
        type=amount,
        metavar=("GLOBAL", "TITLE", "IMAGE"),
        help="with sentence-transformers: weights of the similarities in its one vector a product "
        "(default: 1 1 1)",
    )
    p.add_argument(
        "--index",
        metavar="INDEX",
        help="with sentence-transformers: whiten and calibrate as this index of the model does, "
        "which finds far more",
    )
    return p


def main(argv: Sequence[str] | None = None) -> None:
    """Entry point of ``item-export``."""
    args = parser().parse_args(argv)
    _check(args)
    from fairseq_item import ItemModel

    try:
        hub = ItemModel.from_pretrained(args.checkpoint)
        say(_write(args, hub))
    except ImportError as error:
        raise InputError(f"{error.name} is not installed; run {_install(args.format)}") from None


def _check(args):
    """Refuse options that the format has no use for."""
    for flag, given, formats in (
        ("--dtype", args.dtype, ("safetensors", "sentence-transformers")),
        ("--int8", args.int8, ("onnx",)),
        ("--weights", args.weights, ("sentence-transformers",)),
        ("--index", args.index, ("sentence-transformers",)),
    ):
        if given and args.format not in formats:
            raise InputError(f"{flag} goes with --format {' or '.join(formats)} alone")
    if args.weights and not any(args.weights):
        raise InputError("--weights are all 0; give one of them something")


def _write(args, hub):
    """Write the folder; returns what to say of it."""
    from fairseq_item.export import folder
    from fairseq_item.export.config import WEIGHTS
    from fairseq_item.export.facts import facts

    source, known = _source(args.checkpoint), facts(args.checkpoint)
    dtype = args.dtype or "float32"
    if args.format == "onnx":
        from fairseq_item.export import onnx_model

        difference = onnx_model.write(hub, source, args.out, args.int8, known)
        return f"{args.out}: ONNX, within {difference:.1g} of torch"
    if args.format == "safetensors":
        folder.write(hub, source, args.out, dtype, known)
    else:
        from fairseq_item.export import sentence_module
        from fairseq_item.search.index import ItemIndex

        index = args.index and ItemIndex.load(args.index)
        weights = args.weights or (1, 1, 1)
        sentence_module.write(hub, source, args.out, weights, dtype, known, index)
    size = (Path(args.out) / WEIGHTS).stat().st_size / 1e6
    return f"{args.out}: {size:.1f} MB of {dtype} weights"


def _source(checkpoint):
    """The folder that a checkpoint's dictionary and BPE lie in."""
    path = Path(checkpoint)
    return path if path.is_dir() else path.parent


def _install(format):
    extra = "sentence-transformers" if format == "sentence-transformers" else "export"
    return f"pip install 'fairseq-item[{extra}]'"


def cli() -> None:
    """Console script ``item-export``."""
    run(main)


if __name__ == "__main__":
    cli()
