"""``item-embed``: embeddings of whole splits, written as they come, by one process or several."""

import argparse
import logging
import os
from collections.abc import Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

import torch
import torch.distributed as dist

from fairseq_item.commands.common import (
    Parser,
    add_computing,
    add_engine,
    add_seed,
    add_splits,
    engine_of,
    run,
    say,
    splits,
)
from fairseq_item.errors import InputError
from fairseq_item.folders import check_replaceable
from fairseq_item.modules.precision import resolve_compute_dtype
from fairseq_item.remote import Mirror, is_url, local, local_model, of_splits, output
from fairseq_item.search.embed import (
    choose_device,
    embed_rows,
    open_features,
    open_products,
    share,
    take_away,
)
from fairseq_item.search.embed_tasks import RunEmbedder, embed_by, packed
from fairseq_item.search.embeddings import EMBEDDINGS, EmbeddingWriter, is_embeddings_file

logger = logging.getLogger(__name__)


def parser() -> Parser:
    """The options of ``item-embed``."""
    p = Parser("Embed splits of a data-bin; under torchrun several processes share the work.")
    p.add_argument(
        "--checkpoint",
        required=True,
        metavar="MODEL",
        help="model: folder, checkpoint file, or URL",
    )
    p.add_argument("--data", required=True, metavar="DATA_BIN", help="data-bin folder, or its URL")
    add_splits(p, "test", "splits to embed")
    p.add_argument("--out", required=True, metavar="DIR", help="their folder, or its URL")
    p.add_argument(
        "--also",
        type=_folder,
        action="append",
        default=[],
        metavar="SPLITS[:image]=DIR",
        help="embed further splits to a folder of their own, with the model that is loaded; "
        "SPLITS:image=DIR and SPLITS:title=DIR by their image or title alone, as queries",
    )
    add_computing(p)
    add_engine(p, gpus=True)
    p.add_argument("--dtype", choices=("float16", "float32"), default="float32", help="as stored")
    p.add_argument(
        "--compute-dtype",
        choices=("as-trained", "float32", "bfloat16", "auto"),
        default="as-trained",
        help="precision of the forward pass; auto: bfloat16 on a GPU that has it, on a CPU the "
        "faster one, measured first",
    )
    p.add_argument(
        "--untrained",
        action="store_true",
        help="forget the weights and draw new ones, or take those that training started from: the "
        "lower bound that it has to beat",
    )
    p.add_argument(
        "--features",
        choices=("auto", "none"),
        default="auto",
        help="join what item-features wrote to the image embeddings; auto: where all splits have "
        "it",
    )
    add_seed(p, "of the weights of --untrained")
    return p


def main(argv: Sequence[str] | None = None) -> None:
    """Entry point of ``item-embed``."""
    args = parser().parse_args(argv)
    wanted = [(args.splits, None, args.out), *args.also]
    paths = [args.checkpoint, args.data, *(out for *_, out in wanted)]
    if any(map(is_url, paths)) and int(os.environ.get("WORLD_SIZE", "1")) > 1:
        raise InputError("under torchrun name folders, no URLs; item-copy copies them")
    args.checkpoint = local_model(args.checkpoint)
    needed = of_splits([name for names, *_ in wanted for name in names])
    args.source = (Mirror.of(args.data), needed) if is_url(args.data) else None
    args.data = local(args.data, needed)
    if args.engine == "ray":  # whose processes have another current folder
        args.data = Path(args.data).absolute()
    with ExitStack() as stack:
        folders = [stack.enter_context(output(out)) for *_, out in wanted]
        embed(args, [(*what, folder) for (*what, _), folder in zip(wanted, folders)])


def embed(args: argparse.Namespace, wanted: list[tuple[list[str], str | None, Path]]) -> None:
    """Embed what is ``wanted``: splits, what is left of them, and the folder they go to."""
    outs = [out.resolve() for *_, out in wanted]
    for out in outs:
        check_replaceable(out, is_embeddings_file)
        if outs.count(out) > 1:
            raise InputError(f"{out} is named twice; each folder holds embeddings of its own")
    from fairseq_item import ItemModel
    from fairseq_item.models.pretrained_start import start

    rank, world = _join_group()
    engine = None if args.engine == "local" else engine_of(args)
    if engine and world > 1:
        raise InputError("--engine ray spreads the work itself; start one process, not torchrun")
    # With Ray the model goes to the workers, and they know their devices.
    device = "cpu" if engine else choose_device(args.device, rank)
    hub = ItemModel.from_pretrained(args.checkpoint, device=device)
    if args.compute_dtype != "as-trained":
        hub.model.cfg.compute_dtype = args.compute_dtype
        hub.model.cfg.compute_dtype = resolve_compute_dtype(hub.model.cfg, hub.device)
    if args.untrained:
        torch.manual_seed(args.seed)
        hub.model.reset_parameters()
        start(hub.model, hub.cfg.model, hub.dictionary)
    for names, modality, out in wanted:
        _embed(args, hub, names, modality, out, rank, world, engine)
    _leave_group()


def _folder(text):
    """Splits, what is left of them, None for all, and where they go: ``query:image=photos``."""
    names, separator, out = text.partition("=")
    names, colon, modality = names.partition(":")
    if not separator or not out or (colon and modality not in ("image", "title")):
        raise argparse.ArgumentTypeError(
            f"'{text}' is not SPLITS=DIR, SPLITS:image=DIR or SPLITS:title=DIR"
        )
    return splits(names), modality or None, out


def _embed(args, hub, names, modality, out, rank, world, engine):
    """Embed the splits ``names`` to ``out``; of several processes each does its share.

    With an ``engine`` this process writes what others embed.
    """
    items, dataset = open_products(args.data, names, hub)
    if not len(items):
        raise InputError(f"{args.data} has no products in {','.join(names)}; embed another split")
    features = open_features(args.data, names, args.features)
    if modality:
        items, dataset, features = take_away(items, dataset, features, modality)
    with _open_writer(args, hub, items, features, names, modality, out, rank) as writer:
        if engine:
            device = "cuda" if args.device == "auto" and args.gpus_per_worker else args.device
            threads = args.cpus_per_worker
            stores = packed(dataset, features, args.source)
            embedder = RunEmbedder(hub, stores, args.batch_size, device, threads)
            embed_by(engine, embedder, writer, len(items))
        else:
            rows = share(len(items), args.batch_size, rank, world)
            embed_rows(hub, dataset, writer, *rows, args.batch_size, args.num_workers, features)
        writer.flush()
        _wait()
        if rank == 0:
            writer.finish()
    if rank == 0:
        joined = f" and {features.network['dim']} image features" if features is not None else ""
        say(f"{len(items)} embeddings of 3 x {hub.dim} values{joined} in {out}")


def _open_writer(args, hub, items, features, names, modality, out, rank):
    """Rank 0 makes the folder, the others join it."""
    if rank == 0:
        meta = {
            "checkpoint": str(Path(args.checkpoint).resolve()),
            "checkpoint_digest": hub.digest,
            "untrained": args.untrained,
            "data": str(Path(args.data).resolve()),
            "splits": ",".join(names),
            "only": modality,
            "features": None if features is None else features.network,
        }
        dims = dict.fromkeys(EMBEDDINGS, hub.dim)
        if features is not None:
            dims["image"] += features.network["dim"]
        writer = EmbeddingWriter(out, items, dims, args.dtype, meta)
    _wait()
    return writer if rank == 0 else EmbeddingWriter.open(out)


def _join_group():
    """(rank, number of processes), joined over gloo if torchrun started several."""
    world = int(os.environ.get("WORLD_SIZE", "1"))
    if world > 1:
        with _together():
            dist.init_process_group("gloo")
    return int(os.environ.get("RANK", "0")), world


def _wait():
    if dist.is_initialized():
        with _together():
            dist.barrier()


@contextmanager
def _together():
    """What gloo raises if one process ends early says nothing to who started them."""
    try:
        yield
    except (RuntimeError, ValueError) as error:
        logger.debug("%s", error)
        raise InputError(
            "another of the processes that embed together is not there, or has ended; see its "
            "error, then start all of them again"
        ) from None


def _leave_group():
    if dist.is_initialized():
        dist.destroy_process_group()


def cli():
    """Console script ``item-embed``."""
    run(main)


if __name__ == "__main__":
    cli()
