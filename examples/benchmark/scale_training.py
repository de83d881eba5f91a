"""Training by 1, 2 and 4 processes over gloo: losses, CPU time and memory of each.

Losses are of the same updates: each has the same four batches of 16, whoever computes them;
dropout, whose randomness is each process' own, is off. Rates are of as much work a process: four
batches of 16 each between two exchanges of gradients. A process' own rate is its products over
the CPU-seconds that ``UPDATES[1]`` updates take beyond those of ``UPDATES[0]``, so that the start
does not count. Beside it stands the rate of as many processes that train side by side and know
nothing of one another: what is lost there is the machine's, 2 cores running 4 processes, say.
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


def train(data, processes, updates, folder, update_freq=4, together=True):
    """Train; the losses as printed, and of each process its usage as of ``bench.measure``.

    Args:
        data: data-bin.
        processes: their number.
        updates: how many.
        folder: where they meet.
        update_freq: batches of each process that are an update.
        together: whether they exchange gradients.
    """
    meet = f"file://{folder}/meet-{processes}-{updates}-{update_freq}"
    together = together and processes > 1
    many = (
        f"--distributed-backend gloo --distributed-world-size {processes} --distributed-no-spawn"
        f" --distributed-init-method {meet} --ddp-backend legacy_ddp"
    ).split() if together else []  # fmt: skip
    each = ["--batch-size", BATCH // 4, "--update-freq", update_freq]
    argv = [data, *OPTIONS, *each, "--max-update", updates, *many]

    def one(rank):
        own = ["--distributed-rank", rank] if together else []
        saved = ["--save-dir", f"{folder}/{rank}"]  # fairseq tries whether it can write there
        return measure("fairseq_cli.train", *argv, *own, *saved, OMP_NUM_THREADS="1")

    with ThreadPoolExecutor(processes) as pool:
        usages = list(pool.map(one, range(processes)))
    lines = [line for line in usages[0].output.splitlines() if "| train_inner |" in line]
    losses = [json.loads(line.split("| train_inner |")[1])["loss"] for line in lines]
    return losses, usages


def rates(data, processes, folder, together):
    """Products a CPU-second of each process, at 64 of its own an update; and MiB of each."""
    usages = [train(data, processes, n, folder, together=together)[1] for n in UPDATES]
    products = (UPDATES[1] - UPDATES[0]) * BATCH
    return [products / (b.cpu - a.cpu) for a, b in zip(*usages)], [u.memory for u in usages[1]]


def measure_all(out, data):
    """Write ``training-processes.json`` and its table.

    Args:
        out: folder.
        data: data-bin of 1,024 products or so.
    """
    rows, folder = [], tempfile.mkdtemp(dir=out)
    for processes in PROCESSES:
        losses, _ = train(data, processes, UPDATES[1], folder, 4 // processes)
        apart, _ = rates(data, processes, folder, together=False)
        row = {"processes": processes, "apart": apart, "losses": losses}
        # Of one process it is the same again: how far the two are apart is the noise.
        row["together"], row["memory"] = rates(data, processes, folder, together=True)
        rows.append(row)
    shutil.rmtree(folder)
    header = ["processes", "products a CPU-second, each", "unconnected", "MiB, each"]
    lines = [[*header, "losses as of one"]]
    for row in rows:
        same = sum(a == b for a, b in zip(row["losses"], rows[0]["losses"]))
        spans = [
            f"{min(v):.0f} to {max(v):.0f}" for v in (row["together"], row["apart"], row["memory"])
        ]
        lines.append([str(row["processes"]), *spans, f"{same} of {len(row['losses'])}"])
    write(Path(out), "training-processes", {"rows": rows}, lines)
