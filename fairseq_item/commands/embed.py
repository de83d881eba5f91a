"""``item-embed``: embeddings of whole splits, written as they come, by one process or several."""

import os
from pathlib import Path

import torch
import torch.distributed as dist

from fairseq_item.commands.common import Parser, run
from fairseq_item.errors import InputError
from fairseq_item.modules.precision import resolve_compute_dtype
from fairseq_item.search.embed import (
    choose_device,
    embed_rows,
    open_products,
)
from fairseq_item.search.embeddings import EmbeddingWriter


def parser():
    """The options of ``item-embed``."""
    p = Parser("Embed splits of a data-bin; under torchrun several processes share the work.")
    p.add_argument("--checkpoint", required=True, help="model folder or checkpoint file")
    p.add_argument("--data", required=True, help="data-bin folder")
    p.add_argument("--split", default="test", help="splits to embed, with commas between them")
    p.add_argument("--out", required=True, help="folder for the embeddings")
    p.add_argument("--batch-size", type=int, default=128, help="products computed at once")
    p.add_argument("--num-workers", type=int, default=0, help="processes that read products")
    p.add_argument("--dtype", choices=("float16", "float32"), default="float32", help="as stored")
    p.add_argument("--device", default="auto", help="auto, cpu, cuda or cuda:N")
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
        help="forget the weights and draw new ones: the floor that training has to clear",
    )
    p.add_argument("--seed", type=int, default=1, help="for the weights of --untrained")
    return p


def main(argv=None):
    """Entry point of ``item-embed``."""
    args = parser().parse_args(argv)
    if args.batch_size < 1:
        raise InputError(f"--batch-size is {args.batch_size}; it must be 1 or more")
    splits = [split for split in args.split.split(",") if split]
    if not splits:
        raise InputError("--split names no split; give one such as test")
    from fairseq_item import ItemModel

    rank, world = _join_group()
    hub = ItemModel.from_pretrained(args.checkpoint, device=choose_device(args.device, rank))
    if args.compute_dtype != "as-trained":
        hub.model.cfg.compute_dtype = args.compute_dtype
        hub.model.cfg.compute_dtype = resolve_compute_dtype(hub.model.cfg, hub.device)
    if args.untrained:
        torch.manual_seed(args.seed)
        hub.model.reset_parameters()
    items, dataset = open_products(args.data, splits, hub)
    if not len(items):
        raise InputError(f"{args.data} has no products in {args.split}; embed another split")
    writer = _open_writer(args, hub, items, rank)
    start, stop = len(items) * rank // world, len(items) * (rank + 1) // world
    embed_rows(hub, dataset, writer, start, stop, args.batch_size, args.num_workers)
    writer.flush()
    _wait()
    if rank == 0:
        writer.finish()
        print(f"{len(items)} embeddings of 3 x {hub.dim} in {args.out}")
    _leave_group()


def _open_writer(args, hub, items, rank):
    """Rank 0 makes the folder, the others join it."""
    if rank == 0:
        meta = {
            "checkpoint": str(Path(args.checkpoint).resolve()),
            "checkpoint_digest": hub.digest,
            "untrained": args.untrained,
            "data": str(Path(args.data).resolve()),
            "splits": args.split,
        }
        writer = EmbeddingWriter(args.out, items, hub.dim, args.dtype, meta)
    _wait()
    return writer if rank == 0 else EmbeddingWriter.open(args.out)


def _join_group():
    """(rank, number of processes), joined over gloo if torchrun started several."""
    world = int(os.environ.get("WORLD_SIZE", "1"))
    if world > 1:
        dist.init_process_group("gloo")
    return int(os.environ.get("RANK", "0")), world


def _wait():
    if dist.is_initialized():
        dist.barrier()


def _leave_group():
    if dist.is_initialized():
        dist.destroy_process_group()


def cli():
    """Console script ``item-embed``."""
    run(main)


if __name__ == "__main__":
    cli()
