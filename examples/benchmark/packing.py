"""Packing: images a second and bytes an image, beside what one would write.

    python examples/benchmark/packing.py --out results

Contestants: `item-pack` with both codecs and one or two workers, from a folder of photos of about
500 x 500 pixels to a store of 256; a plain Pillow loop that writes resized JPEGs, alone and over a
pool of two. The lower bound is decoding the photos and nothing else. All run in turn. item-pack
also checks every row, keeps a journal to go on from, and a checksum.
"""

import contextlib
import io
import multiprocessing
import tempfile
from functools import partial
from pathlib import Path

from bench import Report, alternate, parser
from PIL import Image
from synthetic import write_catalog, write_photos

from fairseq_item.commands import pack
from fairseq_item.commands.common import positive, run

SIZE, QUALITY = 256, 90


def decode(path):
    with Image.open(path) as image:
        image.convert("RGB")


def resize(path, folder):
    """What one would write in Pillow."""
    with Image.open(path) as image:
        small = image.convert("RGB").resize((SIZE, SIZE), Image.Resampling.BICUBIC)
    small.save(folder / path.name, quality=QUALITY)


def in_turn(function, inputs):
    for value in inputs:
        function(value)


def in_pool(function, inputs):
    with multiprocessing.Pool(2) as pool:
        pool.map(function, inputs, chunksize=16)


def item_pack(work, codec, workers):
    """item-pack, anew; its lines are not part of the table."""
    command = f"{work}/catalog.tsv --image-root {work}/photos --out {work}/{codec}-{workers}"
    command += f" --split train --image-size {SIZE} --codec {codec} --num-workers {workers}"
    with contextlib.redirect_stdout(io.StringIO()):
        pack.main([*command.split(), "--jpeg-quality", str(QUALITY), "--overwrite"])


def report(work, count, repeats):
    """Time all contestants: a :class:`Report`."""
    photos, loose = write_photos(work / "photos", count), work / "loose"
    write_catalog(work / "catalog.tsv", [f"product {i}" for i in range(count)], photos)
    loose.mkdir()
    resized = partial(resize, folder=loose)
    # name -> (function, folder of what it leaves)
    contestants = {
        "Pillow loop": (partial(in_turn, resized, photos), loose),
        "Pillow in a pool of 2": (partial(in_pool, resized, photos), loose),
    }
    for codec in ("patches", "jpeg"):
        for workers, name in ((1, f"{codec}, 1 worker"), (2, f"{codec}, 2 workers")):
            stored = work / f"{codec}-{workers}" / "image"
            contestants[name] = (partial(item_pack, work, codec, workers), stored)
    bound = "lower bound: decoding alone"
    contestants[bound] = (partial(in_turn, decode, photos), work / "photos")
    calls = {name: function for name, (function, _) in contestants.items()}
    found = Report("packing", "images")
    for name, seconds in alternate(calls, repeats, warmup=repeats > 1).items():
        stored = sum(path.stat().st_size for path in contestants[name][1].iterdir())
        found.add(name, count, seconds, **{"bytes an image": stored // count})
    return found


def main(argv=None):
    p = parser(__doc__)
    p.add_argument("--photos", type=positive, default=1000, help="synthetic photos")
    args = p.parse_args(argv)
    count, repeats = (24, 1) if args.quick else (args.photos, args.repeats)
    with tempfile.TemporaryDirectory(prefix="packing-") as work:
        report(Path(work), count, repeats).write(args.out)


if __name__ == "__main__":
    run(main)
