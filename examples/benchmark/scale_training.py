"""The same updates by 1, 2 and 4 processes over gloo: losses, CPU time and memory of each.

Each update has the same four batches of 16, whoever computes them; dropout, whose randomness is
each process' own, is off. A process' own rate is its products over the CPU-seconds that
``UPDATES[1]`` updates take beyond those of ``UPDATES[0]``, so that the start does not count: it
stays the same where processes do not get in one another's way, though 2 cores run no 4 of them at a
time.
"""

import json
import shutil
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from bench import ROOT, measure, write

PROCESSES, UPDATES, BATCH = (1, 2, 4), (4, 44), 64
OPTIONS = (
    f"--user-dir {ROOT}/fairseq_item --task item_pretraining --criterion item_pretraining"
    " --arch item_tiny --image-size 32 --patch-size 8 --dropout 0 --attention-dropout 0"
    " --optimizer fused_adamw --lr 1e-3 --cpu --num-workers 0 --disable-validation --no-save"
    " --log-format json --log-interval 1"
).split()


def train(data, processes, updates, folder):
    """Train; the losses as printed, and of each process its usage as of ``bench.measure``."""
    meet = f"file://{folder}/meet-{processes}-{updates}"
    many = (
        f"--distributed-backend gloo --distributed-world-size {processes} --distributed-no-spawn"
        f" --distributed-init-method {meet} --ddp-backend legacy_ddp"
    ).split() if processes > 1 else []  # fmt: skip
    each = ["--batch-size", BATCH // 4, "--update-freq", 4 // processes]
    argv = [data, *OPTIONS, *each, "--max-update", updates, *many]

    def one(rank):
        own = ["--distributed-rank", rank] if processes > 1 else []
        return measure("fairseq_cli.train", *argv, *own, OMP_NUM_THREADS="1")

    with ThreadPoolExecutor(processes) as pool:
        usages = list(pool.map(one, range(processes)))
    lines = [line for line in usages[0].output.splitlines() if "| train_inner |" in line]
    losses = [json.loads(line.split("| train_inner |")[1])["loss"] for line in lines]
    return losses, usages


def measure_all(out, data):
    """Write ``training-processes.json`` and its table.

    Args:
        out: folder.
        data: data-bin of 1,024 products or so.
    """
    rows, folder = [], tempfile.mkdtemp(dir=out)
    for processes in PROCESSES:
        _, short = train(data, processes, UPDATES[0], folder)
        losses, long = train(data, processes, UPDATES[1], folder)
        cpu = [b.cpu - a.cpu for a, b in zip(short, long)]
        products = (UPDATES[1] - UPDATES[0]) * BATCH / processes
        rows.append(
            {
                "processes": processes,
                "rates": [products / seconds for seconds in cpu],
                "memory": [usage.memory for usage in long],
                "losses": losses,
            }
        )
    shutil.rmtree(folder)
    lines = [["processes", "products a CPU-second, each", "MiB, each", "losses as of one"]]
    for row in rows:
        same = sum(a == b for a, b in zip(row["losses"], rows[0]["losses"]))
        rates, memory = row["rates"], row["memory"]
        lines.append(
            [
                str(row["processes"]),
                f"{min(rates):.0f} to {max(rates):.0f}",
                f"{min(memory):.0f} to {max(memory):.0f}",
                f"{same} of {len(row['losses'])}",
            ]
        )
    write(Path(out), "training-processes", {"rows": rows}, lines)
