"""Pack, embed, index and search while processes are killed at random, again and again.

    make soak                                     # half an hour, 100,000 products
    make soak PRODUCTS=5000 MINUTES=10
    python tests/robustness/soak.py --out soak --model quickstart/model --products 5000 --minutes 10

An undisturbed run gives the bytes that every disturbed one has to end with. Meanwhile a service
answers from an index that is replaced in every round; its memory is read after each. Writes
``soak.jsonl``, a line a round, the undisturbed one first, with the seconds of each stage; exit
status 1 where bytes differ or a query failed.
"""

import hashlib
import json
import random
import shutil
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.parse
import urllib.request
from pathlib import Path

import numpy as np
from PIL import Image

from fairseq_item.commands.common import Parser, positive, run, say
from fairseq_item.demo.products import product
from fairseq_item.demo.titles import listing_title
from fairseq_item.errors import InputError

IMAGES, QUERIES, KILLS, PORT = 500, 300, 3, 8765
STAGES = ("pack", "binarize", "embed", "index", "search")
# What has to be the same to the byte; descriptions name folders.
COMPARED = ("*.bin", "*.idx", "*.npy", "items.tsv", "lexical.*", "hits.tsv")


def write_inputs(folder, model, count, rng):
    """A catalogue of ``count`` rows over ``IMAGES`` images, and queries: its first rows."""
    (folder / "images").mkdir(parents=True)
    for number in range(IMAGES):
        pixels = np.random.default_rng(number).integers(0, 256, (9, 9, 3), np.uint8)
        image = Image.fromarray(pixels).resize((120, 120), Image.Resampling.BICUBIC)
        image.save(folder / "images" / f"{number}.jpg")
    with open(folder / "all.tsv", "w", encoding="utf-8") as out:
        out.write("id\ttitle\timage\n")
        for number in range(count):
            title = listing_title(product(1, number), rng)
            out.write(f"p{number}\t{title}\t{number % IMAGES}.jpg\n")
    lines = (folder / "all.tsv").read_text(encoding="utf-8").splitlines(keepends=True)
    (folder / "some.tsv").write_text("".join(lines[: QUERIES + 1]), encoding="utf-8")
    shutil.copytree(model, folder / "model", ignore=shutil.ignore_patterns("checkpoint_last*"))


def commands(stage, inputs, out, index):
    """The commands of a stage: lists of arguments, the module's name first."""
    data, root = out / "data", ["--image-root", inputs / "images", "--image-size", "80"]
    model = ["--checkpoint", inputs / "model", "--data", data]
    return {
        "pack": [
            ["pack", inputs / f"{name}.tsv", *root, "--out", data, "--split", split]
            for name, split in (("all", "train"), ("some", "query"))
        ],
        "binarize": [["binarize", data]],
        "embed": [
            ["embed", *model, "--splits", split, "--out", out / split]
            for split in ("train", "query")
        ],
        "index": [["index", out / "train", "--out", index]],
        "search": [["search", index, "--queries", out / "query", "--out", out / "hits.tsv"]],
    }[stage]


def start(words, stderr=subprocess.PIPE):
    argv = [sys.executable, "-m", f"fairseq_item.commands.{words[0]}", *map(str, words[1:])]
    return subprocess.Popen(argv, stdout=subprocess.DEVNULL, stderr=stderr, text=True)


def finish(words, times, rng, kills):
    """Run a command, killed up to ``kills`` times before; returns how often it was.

    Raises:
        InputError: it failed.
    """
    done, begun = 0, time.monotonic()
    for attempt in range(kills + 1):
        process = start(words)
        usual = times.get(words[0], 0)
        try:
            _, said = process.communicate(
                timeout=rng.uniform(0, usual) if attempt < kills else None
            )
        except subprocess.TimeoutExpired:
            process.kill()
            process.communicate()
            done += 1
            continue
        if process.returncode:
            raise InputError(f"item-{words[0]} failed: {said.strip()[-500:]}")
        times.setdefault(words[0], time.monotonic() - begun)
        break
    return done


def go_through(inputs, out, index, times, rng, kills):
    """All stages, each finished in the end; returns the kills, and stage -> seconds."""
    title = out / "data" / "title"
    title.mkdir(parents=True)
    for name in ("dict.txt", "bpe.model"):
        shutil.copy(inputs / "model" / name, title)
    done, seconds = 0, {}
    for stage in STAGES:
        begun = time.monotonic()
        for words in commands(stage, inputs, out, index):
            done += finish(words, times, rng, kills)
        seconds[stage] = round(time.monotonic() - begun, 1)
    return done, seconds


def digests(*folders):
    """Relative path -> SHA-256 of what has to be the same."""
    found = {}
    for folder in folders:
        for pattern in COMPARED:
            for path in folder.rglob(pattern):
                digest = hashlib.sha256(path.read_bytes()).hexdigest()
                found[str(path.relative_to(folder))] = digest
    return found


class Service:
    """``item-serve``, asked for titles without a pause; counts answers and failures."""

    def __init__(self, index, model):
        self.answered, self.failures, self._ended = 0, [], threading.Event()
        serve = ["serve", index, "--checkpoint", model, "--port", PORT]
        self.process = start(serve, stderr=subprocess.DEVNULL)  # nobody reads it
        self._thread = threading.Thread(target=self._ask, daemon=True)
        self._thread.start()

    def _ask(self):
        url = f"http://127.0.0.1:{PORT}/api/search?" + urllib.parse.urlencode({"title": "red shoe"})
        while not self._ended.is_set():
            try:
                with urllib.request.urlopen(url, timeout=60) as answer:
                    self.answered += bool(json.load(answer)["answers"])
            except (urllib.error.URLError, OSError) as error:
                if self.answered:  # before, it was starting
                    self.failures.append(str(error))
            self._ended.wait(0.2)

    def memory(self):
        """MiB that it holds."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return int(status.split("VmRSS:")[1].split()[0]) / 1024

    def end(self):
        self._ended.set()
        self._thread.join()
        self.process.terminate()
        self.process.communicate()


def main(argv=None):
    p = Parser(__doc__)
    p.add_argument("--out", required=True, metavar="DIR", help="an empty or new folder")
    p.add_argument("--model", required=True, metavar="DIR", help="a trained model's folder")
    p.add_argument("--products", type=positive, default=100_000)
    p.add_argument(
        "--minutes", type=positive, default=30,
        help="in all; after the first, a round as long as the last has to fit in",
    )  # fmt: skip
    p.add_argument("--seed", type=int, default=1)
    args = p.parse_args(argv)
    out, rng, times = Path(args.out), random.Random(args.seed), {}
    inputs, index = out / "inputs", out / "index"
    begun = time.monotonic()

    def minutes():
        return (time.monotonic() - begun) / 60

    def tell(**line):
        line = json.dumps({"minutes": round(minutes(), 1), **line})
        with open(out / "soak.jsonl", "a", encoding="utf-8") as log:
            log.write(line + "\n")
        say(line)

    write_inputs(inputs, args.model, args.products, rng)
    _, seconds = go_through(inputs, out / "whole", index, times, rng, kills=0)
    expected = digests(out / "whole", index)
    tell(round=0, products=args.products, seconds=seconds)
    service, wrong, number, last = Service(index, inputs / "model"), 0, 0, 0
    while not number or minutes() + last < args.minutes:
        number, start, again = number + 1, minutes(), out / "again"
        killed, seconds = go_through(inputs, again, index, times, rng, KILLS)
        same = digests(again, index) == expected
        wrong += not same
        tell(**{
            "round": number, "killed": killed, "same bytes": same, "answered": service.answered,
            "failed": len(service.failures), "service MiB": round(service.memory()),
            "seconds": seconds,
        })  # fmt: skip
        shutil.rmtree(again)
        last = minutes() - start
    service.end()
    sys.exit(bool(wrong or service.failures or not service.answered))


if __name__ == "__main__":
    run(main)
