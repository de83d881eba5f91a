"""``item-embed``: embeddings of whole splits, written as they come, by one process or several."""

import os
from pathlib import Path

import torch
import torch.distributed as dist
from torch.utils.data import DataLoader, SequentialSampler, Subset

from fairseq_item.cli import arguments, progress, run
from fairseq_item.data.concatenated import Concatenated, open_split, shard_names
from fairseq_item.data.image_store import ImageStore, read_meta
from fairseq_item.data.item_dataset import ItemDataset
from fairseq_item.data.titles import read_dictionary
from fairseq_item.data.token_store import TokenStore
from fairseq_item.errors import InputError
from fairseq_item.retrieval.embeddings import EmbeddingWriter
from fairseq_item.retrieval.tables import Table, read_table


def parser():
    """The options of ``item-embed``."""
    p = arguments("Embed splits of a data-bin; under torchrun several processes share the work.")
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
        choices=("as-trained", "float32", "bfloat16"),
        default="as-trained",
        help="precision of the forward pass",
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


def open_products(data, splits, hub):
    """The items of several splits and what the model reads of them, in the same order.

    Returns:
        (Table of the items, ItemDataset).

    Raises:
        InputError: a split is missing or damaged, or was not made as the model's training data.
    """
    names = [name for split in splits for name in shard_names(data, split)]
    _check_fit(Path(data), names, hub)
    items = Table.joined(
        [read_table(Path(data) / "items" / f"{name}.tsv", ["id"]) for name in names]
    )
    dataset = ItemDataset(
        Concatenated([open_split(data, split, "title", TokenStore) for split in splits]),
        Concatenated([open_split(data, split, "image", ImageStore) for split in splits]),
        hub.dictionary,
        hub.geometry,
    )
    if len(items) != len(dataset):
        raise InputError(
            f"{data} has {len(items)} items but {len(dataset)} titles in {', '.join(splits)}; "
            "run preprocess/binarize_titles.py again"
        )
    return items, dataset


def _check_fit(data, names, hub):
    """Refuse titles whose numbers mean other pieces to the model, and pictures of another scale."""
    path = data / "title" / "dict.txt"
    if read_dictionary(path) != hub.tokenizer.ids:
        raise InputError(
            f"{path} is not the model's dictionary; put the bpe.model and dict.txt of the model's "
            f"folder into {path.parent} and run preprocess/binarize_titles.py again"
        )
    for prefix in (data / "image" / name for name in names if hub.model.sees_pictures):
        meta = read_meta(prefix)
        if (meta.image_size, meta.fit) != (hub.stored_image_size, hub.fit):
            raise InputError(
                f"{prefix}.json says {meta.image_size} pixels and --fit {meta.fit}, the model's "
                f"training data had {hub.stored_image_size} and {hub.fit}; pack the pictures so"
            )


def embed_rows(hub, dataset, writer, start, stop, batch_size, workers):
    """Embed products ``start`` to ``stop`` of ``dataset`` and write them as they come.

    A batch is fetched and written after the next one is read and started, so that a GPU computes
    in the meantime.
    """
    waiting = None
    for inputs in batches(hub, dataset, start, stop, batch_size, workers, "embedding"):
        begun = hub.start_embedding(**inputs)
        if waiting is not None:
            start = _write(writer, start, waiting)
        waiting = begun
    if waiting is not None:
        _write(writer, start, waiting)


def _write(writer, start, parts):
    """Write rows from ``start`` on; returns where the next ones go."""
    writer.write(start, *parts.cpu().numpy())
    return start + parts.size(1)


def batches(hub, dataset, start, stop, batch_size, workers, doing):
    """Yield what the model reads of products ``start`` to ``stop``, a batch at a time.

    Args:
        hub: the model; batches are dicts of tensors on its device.
        dataset: ``ItemDataset``.
        start, stop, batch_size: counted in products.
        workers: processes that read products; 0 reads them here.
        doing: what the progress bar says.
    """
    loader = DataLoader(
        Subset(dataset, range(start, stop)),
        batch_size=batch_size,
        sampler=SequentialSampler(range(stop - start)),
        num_workers=workers,
        collate_fn=dataset.collater,
        pin_memory=hub.device.type == "cuda",
    )
    for batch in progress(loader, doing, total=len(loader), unit="batch"):
        yield {k: v.to(hub.device, non_blocking=True) for k, v in batch["net_input"].items()}


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


def choose_device(name, rank=0):
    """The device that ``--device`` names; "auto" takes a GPU where there is one."""
    if name != "auto":
        try:
            torch.empty(0, device=name)
        except (RuntimeError, AssertionError):
            raise InputError(f"there is no device {name!r} here; try --device auto") from None
        return name
    if torch.cuda.is_available():
        return f"cuda:{rank % torch.cuda.device_count()}"
    return "cpu"


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
