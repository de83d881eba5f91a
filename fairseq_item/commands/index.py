"""``item-index``: from folders of embeddings to an index folder.

With labelled queries, ``--fit`` or ``--fit-groups``, scores of searches become probabilities: that
one of a query's first ten answers is the same product. Weights are fitted, too, and replace those
of ``--weights`` where they rank held-out queries better. Products that the search is scored on
later must not be among these queries: its scores would be too good.

An index that is there is changed with --add, --update and --remove: what is removed first, then
what is replaced, then what is new. What was fitted stays: transforms, calibrations, weights.
"""

from functools import partial

from fairseq_item.commands.common import (
    Parser,
    add_seed,
    add_verify,
    amount,
    fraction,
    positive,
    run,
    say,
    workers,
)
from fairseq_item.errors import InputError
from fairseq_item.folders import check_replaceable
from fairseq_item.search import calibration, transforms
from fairseq_item.search.build import build_index, check_same_model
from fairseq_item.search.candidates.lists import KINDS
from fairseq_item.search.change import change_index
from fairseq_item.search.embeddings import Embeddings
from fairseq_item.search.fit import fit_index
from fairseq_item.search.fit_queries import FitQueries
from fairseq_item.search.fusion import FUSIONS
from fairseq_item.search.index import EXACT, is_index_file
from fairseq_item.search.like import build_like
from fairseq_item.search.vectors import DTYPES


def parser():
    p = Parser(__doc__)
    p.add_argument("embeddings", nargs="*", metavar="DIR", help="folders that item-embed wrote")
    p.add_argument("--out", required=True, metavar="INDEX", help="index folder to write")
    change = p.add_argument_group("changing the index that --out holds, instead of building one")
    for flag, help_ in (
        ("--add", "embeddings of new items"),
        ("--update", "embeddings of items that replace those of the same ids"),
    ):
        change.add_argument(flag, nargs="+", action="extend", metavar="DIR", help=help_)
    change.add_argument("--remove", metavar="FILE", help="ids of items to be removed, one a line")
    change.add_argument(
        "--missing-ok",
        action="store_true",
        help="pass over ids of --remove that the index lacks, and add items of --update that it "
        "lacks; otherwise they are errors",
    )
    p.add_argument(
        "--like",
        metavar="INDEX",
        help="make a further part of that index, to be searched together with it: item-search "
        "INDEX PART, item-serve INDEX PART; all that was fitted is that one's",
    )
    p.add_argument("--factory", default=EXACT, help="faiss factory string; Flat is exact")
    near = p.add_argument_group("approximate search, which item-search --recall then does")
    near.add_argument(
        "--approximate",
        choices=KINDS,
        help="write faiss lists, too, of which searches take candidates to be scored exactly; how "
        "many, for each --recall, is measured against exact search",
    )
    near.add_argument(
        "--lists",
        type=positive,
        metavar="N",
        help="inverted lists; default: a power of two near twice the root of the items",
    )
    near.add_argument(
        "--on-disk", action="store_true", help="leave the lists on disk, mapped, not in memory"
    )
    option = near.add_argument(
        "--num-workers", type=workers, default=1, metavar="N", help="processes that fill the lists"
    )
    p.add_old_name(option, "--workers")
    p.add_argument(
        "--transform",
        choices=list(transforms.KINDS),
        default="whiten",
        help="done to each kind of embeddings before they are compared; the paper: none",
    )
    p.add_argument(
        "--whiten-shrinkage",
        type=shrinkage,
        default="auto",
        metavar="S",
        help="0 to 1: how far whitening draws the variances to their mean first; auto: (d / n)^2 "
        "of n items and d values, within 0.01 and 1",
    )
    p.add_argument(
        "--calibration",
        choices=list(calibration.KINDS),
        default="zscore",
        help="brings the similarities to one scale; the paper: none",
    )
    p.add_argument(
        "--fusion",
        choices=FUSIONS,
        default="sum",
        help="of the similarities; the paper: max, with weights 1 1 1",
    )
    p.add_argument(
        "--weights",
        type=amount,
        nargs="+",
        metavar="W",
        help="of global, title, image, lexical: multiply the calibrated similarities; 0 leaves one "
        "out; default: 0.5 0 0.5 1, with image features 0 0 0.5 1",
    )
    p.add_argument(
        "--dtype",
        choices=DTYPES,
        default="float32",
        help="of the stored vectors; float16 and int8 change 1 and 10 in 1,000 of the first ten",
    )
    fit = p.add_argument_group("fitting weights and probabilities; never on test products")
    fit.add_argument(
        "--fit", metavar="TSV", help="truth of --fit-queries, such as item-relist writes"
    )
    fit.add_argument(
        "--fit-groups",
        metavar="COLUMN",
        help="rows of the index that share its value are the same product, such as product",
    )
    fit.add_argument(
        "--fit-queries",
        metavar="DIR",
        help="embeddings of the queries; without it --fit-groups draws 1,000 rows of the index",
    )
    add_seed(p)
    add_verify(p)
    return p


def _approximate(args):
    """What ``build_index`` takes, or None where searches are to be exact."""
    if args.approximate is None:
        if args.lists is not None or args.on_disk or args.num_workers != 1:
            raise InputError("--lists, --on-disk and --num-workers need --approximate KIND")
        return None
    if args.approximate == "hnsw" and (args.lists is not None or args.on_disk):
        raise InputError("--approximate hnsw is a graph in memory, without --lists or --on-disk")
    return {"kind": args.approximate, "lists": args.lists, "on_disk": args.on_disk}


def shrinkage(text):
    return text if text == "auto" else fraction(text)


def _fit_queries(args):
    """``FitQueries``, or None where nothing is to be fitted."""
    if args.fit is None and args.fit_groups is None:
        if args.fit_queries is not None:
            raise InputError("--fit-queries needs --fit TSV or --fit-groups COLUMN")
        return None
    if args.fit_groups is not None:
        if args.fit is not None:
            raise InputError("give either --fit or --fit-groups")
        asked = FitQueries.from_groups(
            args.embeddings, args.fit_groups, args.fit_queries, args.seed
        )
    elif args.fit_queries is None:
        raise InputError("--fit needs --fit-queries DIR, the embeddings of its queries")
    else:
        asked = FitQueries.from_truth(args.fit_queries, args.fit)
    if args.fit_queries is not None:
        names = args.embeddings[0], args.fit_queries
        metas = [Embeddings.load(name).meta for name in names]
        check_same_model(*metas, names)
        if metas[0]["dim"] != metas[1]["dim"]:
            raise InputError(f"{names[0]} and {names[1]} differ in dimensions; embed again")
    return asked


# What may be given where an index is changed; the rest is of a new one.
_OF_CHANGES = ("out", "add", "update", "remove", "missing_ok", "seed", "verify", "num_workers")


def _change(args, p):
    if args.embeddings:
        p.error("give folders of embeddings with --add or --update to change an index")
    for name, value in vars(args).items():
        if name not in ("embeddings", *_OF_CHANGES) and value != p.get_default(name):
            p.error(f"--{name.replace('_', '-')} is of a new index, not of one that is changed")
    changed = change_index(
        args.out,
        remove=args.remove,
        update=args.update or (),
        add=args.add or (),
        missing_ok=args.missing_ok,
        seed=args.seed,
        verify=args.verify,
        workers=args.num_workers,
    )
    say(
        f"{changed.count} items in {args.out}: {changed.added} added, {changed.updated} replaced, "
        f"{changed.removed} removed"
    )


_OF_PARTS = ("embeddings", "like", "out", "approximate", "lists", "on_disk", "num_workers", "seed",
             "verify")  # fmt: skip


def _build_like(args, p, approximate):
    for name, value in vars(args).items():
        if name not in _OF_PARTS and value != p.get_default(name):
            p.error(f"--{name.replace('_', '-')} is as --like INDEX has it; leave it out")
    meta = build_like(
        args.embeddings,
        args.like,
        args.out,
        approximate,
        args.seed,
        args.verify,
        args.num_workers,
    )
    say(f"{meta['count']} items indexed in {args.out}, like {args.like}")


def main(argv=None):
    p = parser()
    args = p.parse_args(argv)
    if args.add or args.update or args.remove is not None:
        return _change(args, p)
    if not args.embeddings or args.missing_ok:
        p.error("give folders of embeddings, or --add, --update or --remove to change an index")
    check_replaceable(args.out, is_index_file)
    approximate = _approximate(args)
    if args.like is not None:
        return _build_like(args, p, approximate)
    asked = _fit_queries(args)
    meta = build_index(
        args.embeddings,
        args.out,
        factory=args.factory,
        transform=args.transform,
        whiten_shrinkage=None if args.whiten_shrinkage == "auto" else args.whiten_shrinkage,
        calibrate=args.calibration,
        fusion=args.fusion,
        weights=args.weights,
        dtype=args.dtype,
        seed=args.seed,
        fit=asked and partial(fit_index, asked=asked, seed=args.seed),
        verify=args.verify,
        approximate=approximate,
        workers=args.num_workers,
    )
    say(f"{meta['count']} items indexed in {args.out}")
    if meta.get("approximate"):
        best = max(one["recall"] - one["error"] for one in meta["approximate"]["settings"])
        say(f"{meta['approximate']['factory']}: item-search --recall of up to {best:.3f}")
    if asked:
        say(_fitted(meta["fit"]))


def _fitted(fit):
    weights = " ".join(f"{weight:.3g}" for weight in fit["weights"])
    text = f"fitted on {fit['queries']} queries: weights {weights}"
    if not fit["reweighted"]:
        text += " (in proportion to --weights: others do no better)"
    if fit["held_out"]:
        text += (
            "; held-out queries: MAP@10 {fitted MAP@10} with fitted weights, {unfitted MAP@10} "
            "with the others, calibration error {ece}"
        ).format(**fit["held_out"])
    return text


def cli():
    """Console script ``item-index``."""
    run(main)


if __name__ == "__main__":
    cli()
