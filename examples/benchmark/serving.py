"""Load: how many searches a second item-serve answers, and how long each takes.

    python examples/benchmark/serving.py --out results --quickstart quickstart

Starts the service on what make quickstart left and asks it from several connections at once, each
asking again as soon as it is answered: by titles, by photos, by items, and by all three in turn.
Queries are the quickstart's own. Half-way through each run the index is replaced by a copy, as by a
rebuild. A failure is whatever is no whole answer. The service has all cores but for what asking
takes: both run on the same machine.
"""

import http.client
import itertools
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from urllib.parse import urlencode

import numpy as np
from bench import write

from fairseq_item.commands.common import Parser, positive, run
from fairseq_item.data.tsv import read_table
from fairseq_item.errors import InputError

STARTS = 60.0  # seconds


def options():
    """The options of this benchmark."""
    p = Parser(__doc__)
    p.add_argument("--out", required=True, metavar="DIR", help="folder for the table and JSON")
    p.add_argument("--quick", action="store_true", help="60 requests of each kind")
    p.add_argument("--quickstart", default="quickstart", metavar="DIR", help="what it left")
    p.add_argument("--index", default="features", help="which of its indexes")
    p.add_argument("--requests", type=positive, default=10_000, help="of each kind")
    p.add_argument("--connections", type=positive, default=4, help="that ask at once")
    return p


def requests(folder, kind):
    """Endless (method, path, body, headers) of a kind: "title", "photo", "item" or "mixed"."""
    table = read_table(folder / "splits" / "query.tsv", ["id", "title", "image"])
    images = folder / "queries" / "images"
    images = images if images.is_dir() else folder / "catalog" / "images"
    items = read_table(folder / "splits" / "train.tsv", ["id"]).column("id")
    kinds = ("title", "photo", "item") if kind == "mixed" else (kind,)
    for i, what in zip(itertools.count(), itertools.cycle(kinds)):
        row = table[i % len(table)]
        if what == "photo":
            yield photo((images / row["image"]).read_bytes())
        else:
            value = row["title"] if what == "title" else items[i % len(items)]
            yield "GET", "/api/search?" + urlencode({what: value}), None, {}


def photo(data):
    """A request by photo."""
    line = "e1f9b2d0c7"
    head = f'--{line}\r\nContent-Disposition: form-data; name="image"; filename="a"\r\n\r\n'
    body = head.encode() + data + f"\r\n--{line}--\r\n".encode()
    return "POST", "/api/search", body, {"Content-Type": f"multipart/form-data; boundary={line}"}


def load(port, asked, count, connections, half_way):
    """Ask ``count`` times: seconds of each answer, those of all, and what failed."""
    taken, failed, lock = [], [], threading.Lock()
    asked = itertools.islice(asked, count)

    def ask():
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        while True:
            with lock:
                request = next(asked, None)
                half = len(taken) + len(failed) == count // 2
            if request is None:
                return
            if half:
                half_way()
            method, path, body, headers = request
            start, problem = time.perf_counter(), None
            try:
                connection.request(method, path, body, headers)
                answer = connection.getresponse()
                data = answer.read()
                if answer.status != 200 or b'"answers":[{' not in data:
                    problem = f"{answer.status} {data[:100]!r}"
            except (OSError, http.client.HTTPException) as error:
                problem = repr(error)
                connection.close()
            with lock:
                (taken if problem is None else failed).append(
                    problem or time.perf_counter() - start
                )

    threads = [threading.Thread(target=ask) for _ in range(connections)]
    start = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return taken, time.perf_counter() - start, failed


class Service:
    """item-serve on a copy of an index, in a process of its own; a context.

    Args:
        folder: of the quickstart.
        index: name of its index.
    """

    def __init__(self, folder, index):
        self._folder, self._source = folder, folder / "index" / index
        self._work = Path(tempfile.mkdtemp())
        self.index = self._work / "index"
        shutil.copytree(self._source, self.index)

    def __enter__(self):
        self._process = subprocess.Popen(
            [sys.executable, "-m", "fairseq_item.commands.serve", str(self.index), "--port", "0",
             "--checkpoint", str(self._folder / "model"), "--poll", "1",
             "--image-root", str(self._folder / "catalog" / "images")],
            stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        for line in self._process.stdout:
            if "http://" in line:
                self.port = int(line.split("/")[2].split(":")[1])
                return self
        self.__exit__()
        raise InputError(f"the service did not start on {self._source}")

    def replace(self):
        """Put a copy of the index in its place, with another description."""
        new = self._work / "new"
        shutil.copytree(self._source, new)
        self.index.rename(self._work / f"old-{time.time()}")
        new.rename(self.index)

    def figure(self, name):
        """A figure of /metrics."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        connection.request("GET", "/metrics")
        lines = connection.getresponse().read().decode().splitlines()
        return next((float(line.split()[-1]) for line in lines if line.startswith(name)), 0.0)

    def __exit__(self, *error):
        self._process.terminate()
        self._process.wait(STARTS)
        shutil.rmtree(self._work)


def measure(service, folder, kind, count, connections):
    """One row of the table."""
    asked = requests(folder, kind)
    load(service.port, asked, min(count, 50), connections, lambda: None)  # warm
    before = service.figure("item_index_reloads_total")
    taken, seconds, failed = load(service.port, asked, count, connections, service.replace)
    for problem in failed[:5]:
        sys.stderr.write(f"failed: {problem}\n")
    p50, p99 = 1000 * np.percentile(taken, [50, 99]) if taken else (np.nan, np.nan)
    return {
        "name": kind,
        "requests": count,
        "failures": len(failed),
        "requests a second": round(count / seconds, 1),
        "p50 ms": round(float(p50), 1),
        "p99 ms": round(float(p99), 1),
        "indexes taken up": int(service.figure("item_index_reloads_total") - before),
    }


def main(argv=None):
    """Entry point."""
    args = options().parse_args(argv)
    folder = Path(args.quickstart)
    count = 60 if args.quick else args.requests
    with Service(folder, args.index) as service:
        rows = [
            measure(service, folder, kind, count, args.connections)
            for kind in ("title", "photo", "item", "mixed")
        ]
    names = list(rows[0])
    lines = [["queries", *names[1:]], *([str(row[name]) for name in names] for row in rows)]
    write(args.out, "serving", {"connections": args.connections, "rows": rows}, lines)


if __name__ == "__main__":
    run(main)
