"""Packing: images a second and bytes an image, beside what one would write.

    python examples/benchmark/packing.py --out results

Contestants: `preprocess/pack_images.py` with both codecs and one or two workers, from a folder of
photos of about 500 x 500 pixels to a store of 256; a plain Pillow loop that writes resized JPEGs,
alone and over a pool of two. The floor is decoding the photos and nothing else. All run in turn.
pack_images.py also checks every row, keeps a journal to go on from, and a checksum.
"""

import argparse
import contextlib
import io
import multiprocessing
import shutil
import sys
import tempfile
from functools import partial
from pathlib import Path

from bench import Report, alternate
from photos import write_photos
from PIL import Image

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "preprocess"))
from fairseq_item.commands import pack as pack_command

SIZE, QUALITY = 256, 90
CODECS = ("patches", "jpeg")


def decode(path):
    """Decode one photo: the floor."""
    with Image.open(path) as image:
        image.convert("RGB")


def resize(path, folder):
    """What one would write in Pillow."""
    with Image.open(path) as image:
        small = image.convert("RGB").resize((SIZE, SIZE), Image.Resampling.BICUBIC)
    small.save(folder / path.name, quality=QUALITY)


def in_pool(function, inputs):
    with multiprocessing.Pool(2) as pool:
        for _ in pool.imap(function, inputs, chunksize=16):
            pass


def in_turn(function, inputs):
    for value in inputs:
        function(value)


def pack(work, codec, workers):
    """Run pack_images.py on the photos, anew; its lines are not part of the table."""
    with contextlib.redirect_stdout(io.StringIO()):
        pack_command.main(
            [
                str(work / "catalog.tsv"), "--image-root", str(work / "photos"),
                "--out", str(work / f"{codec}-{workers}"), "--split", "train",
                "--image-size", str(SIZE), "--codec", codec, "--workers", str(workers),
                "--jpeg-quality", str(QUALITY), "--overwrite",
            ]
        )  # fmt: skip


def write_catalog(work, photos):
    lines = [f"p{i}\tproduct {i}\t{path.name}\n" for i, path in enumerate(photos)]
    (work / "catalog.tsv").write_text("id\ttitle\timage\n" + "".join(lines), encoding="utf-8")


def measure(work, count, repeats):
    """Time all contestants and return the :class:`Report`."""
    photos = write_photos(work / "photos", count, 440, 560)
    write_catalog(work, photos)
    loose = work / "loose"
    loose.mkdir()
    resized = partial(resize, folder=loose)
    contestants = {
        "Pillow loop": partial(in_turn, resized, photos),
        "Pillow in a pool of 2": partial(in_pool, resized, photos),
    }
    for codec in CODECS:
        for workers in (1, 2):
            contestants[f"{codec}, {workers} worker{'s'[: workers - 1]}"] = partial(
                pack, work, codec, workers
            )
    contestants["floor: decoding alone"] = partial(in_turn, decode, photos)
    seconds = alternate(contestants, repeats, warmup=0 if repeats == 1 else 1)
    report = Report("packing", "images")
    for name, taken in seconds.items():
        report.add(name, count, taken, **{"bytes an image": stored_bytes(work, name) // count})
    return report


def stored_bytes(work, name):
    """Bytes that a contestant left on disk, the index included; the floor leaves the photos."""
    if name.startswith(CODECS):
        codec, _, workers = name.partition(", ")
        folder = work / f"{codec}-{workers[0]}" / "image"
    else:
        folder = work / ("photos" if name.startswith("floor") else "loose")
    return sum(path.stat().st_size for path in folder.iterdir())


def main(argv=None):
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", required=True, help="folder for packing.json and packing.md")
    parser.add_argument("--photos", type=int, default=1000, help="drawn photos (default: 1000)")
    parser.add_argument("--repeats", type=int, default=3, help="timed runs of each (default: 3)")
    parser.add_argument("--quick", action="store_true", help="a few seconds, for the tests")
    args = parser.parse_args(argv)
    count, repeats = (24, 1) if args.quick else (args.photos, args.repeats)
    work = Path(tempfile.mkdtemp(prefix="packing-"))
    try:
        measure(work, count, repeats).write(args.out)
    finally:
        shutil.rmtree(work)


if __name__ == "__main__":
    main()
