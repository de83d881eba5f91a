"""``item-attention``: what [CLS] looks at in one product, as an image.

A row a layer: the photo, its patches by the attention that [CLS] gives them in the mean over the
heads, and the tokens of the title. It shows what is mixed into the global embedding, not what
decided.
"""

from collections.abc import Sequence

from fairseq_item.commands.common import Parser, positive, run, say


def parser() -> Parser:
    """The options of ``item-attention``."""
    p = Parser(__doc__)
    p.add_argument("checkpoint", metavar="CHECKPOINT", help="model folder or checkpoint file")
    p.add_argument("--title", help="of the product")
    p.add_argument("--image", metavar="FILE", help="of the product")
    p.add_argument(
        "--layers", type=positive, nargs="+", metavar="N", help="layers to draw, from 1; else all"
    )
    p.add_argument("--out", required=True, metavar="PNG", help="file to write; or .svg, .pdf")
    return p


def main(argv: Sequence[str] | None = None) -> None:
    """Entry point of ``item-attention``."""
    args = parser().parse_args(argv)
    from fairseq_item import ItemModel
    from fairseq_item.reports.attention import cls_attention, shares
    from fairseq_item.reports.attention_plot import plot

    hub = ItemModel.from_pretrained(args.checkpoint)
    attention = cls_attention(hub, args.title, args.image)
    plot(attention, args.out, args.layers)
    last = shares(attention)[-1]
    spread = ", ".join(f"{100 * share:.0f}% {name}" for name, share in last.items())
    say(f"{args.out}: the last layer's attention is {spread}")


def cli() -> None:
    """Console script ``item-attention``."""
    run(main)


if __name__ == "__main__":
    cli()
