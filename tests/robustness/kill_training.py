"""Training that is killed at random updates and resumed, beside training that is left alone.

    make kill-training
    python -m tests.robustness.kill_training --out kill-training --updates 12 --kills 4

Trains a very small model in one process and in two (gloo), each twice: undisturbed, and killed as
by ``kill -9`` (of two processes the first) and started anew until it ends. Prints a Markdown table
of the losses as fairseq logs them and of the SHA-256 of all weights at every checkpoint; exit
status 1 where a digit differs.
"""

import hashlib
import random
import signal
import sys
from pathlib import Path

import torch

from fairseq_item import progress
from fairseq_item.commands.common import Parser, positive, run
from tests.conftest import Commands, make_data_bin, training

SAVED = 2  # updates between checkpoints; there is one after each epoch besides


def trained(commands, data, folder, processes, updates, kills, rng):
    """Train to the end, killed ``kills`` times before.

    Returns:
        update -> what was logged there, list of dicts, one for each time that it was done; and the
        updates that it was killed at.
    """
    # It is killed as it logs an update, before it can save it: that one is always done again.
    found, killed = {}, sorted(rng.randint(1, updates) for _ in range(kills))
    for attempt, at in enumerate([*killed, None]):
        runs = together(commands, data, folder, processes, updates, at, attempt)
        expected = -signal.SIGKILL if at else 0
        if runs[0].status != expected:
            raise RuntimeError(f"exit status {runs[0].status}: {runs[0].output[-3000:]}")
        for line in runs[0].lines("train_inner"):
            found.setdefault(int(line["num_updates"]), []).append(line)
    return found, killed


def together(commands, data, folder, processes, updates, kill_at, attempt):
    """Run all processes of a training to their ends: list of ``Run``."""
    argv = training(data, folder, "--save-interval-updates", SAVED, updates=updates)
    if processes > 1:
        meet = folder.with_name(f"{folder.name}-{attempt}")
        argv += ["--distributed-backend", "gloo", "--distributed-world-size", processes]
        argv += ["--distributed-no-spawn", "--ddp-backend", "legacy_ddp"]
        argv += ["--load-checkpoint-on-all-dp-ranks"]  # as item-train has it
        argv += ["--distributed-init-method", f"file://{meet}"]
    started = []
    for rank in range(processes):
        text = f'"num_updates": "{kill_at}"' if kill_at and rank == 0 else None
        more = ["--distributed-rank", rank] if processes > 1 else []
        started.append(commands.start("fairseq_cli.train", *argv, *more, kill_at=text))
    return [commands.wait(process) for process in started]


def saved(folder):
    """Update -> checkpoint of that update."""
    return {int(path.stem.split("_")[2]): path for path in folder.glob("checkpoint_*_*.pt")}


def weights(path):
    """SHA-256 of all weights and of what the optimiser keeps of them."""
    state, found = torch.load(path, weights_only=True), hashlib.sha256()
    kept = state["last_optimizer_state"]["state"]
    tensors = [*state["model"].items(), *((f"{i}", kept[i]) for i in sorted(kept))]
    for name, value in tensors:
        for part in value.values() if isinstance(value, dict) else [value]:
            values = torch.as_tensor(part).contiguous().numpy().tobytes()
            found.update(name.encode() + values)
    return found.hexdigest()


def compared(commands, data, out, processes, updates, kills, rng):
    """Rows of the table, update -> [whole, resumed, whole weights, resumed weights]; the kills."""
    folders = [out / f"{name}{processes}" for name in ("whole", "killed")]
    whole, _ = trained(commands, data, folders[0], processes, updates, 0, rng)
    again, killed = trained(commands, data, folders[1], processes, updates, kills, rng)
    ends, rows, equal = [saved(folder) for folder in folders], {}, True
    for update, (line,) in sorted(whole.items()):
        equal = equal and again[update] == [line] * len(again[update])
        digests = [weights(end[update])[:12] if update in end else "" for end in ends]
        equal = equal and digests[0] == digests[1]
        rows[update] = [line["loss"], again[update][-1]["loss"], *digests]
    return rows, killed, equal and len(whole) == updates


def main(argv=None):
    p = Parser(__doc__)
    p.add_argument("--out", required=True, metavar="DIR", help="an empty or new folder")
    p.add_argument("--updates", type=positive, default=12)
    p.add_argument("--kills", type=positive, default=4, help="of each of the two trainings")
    p.add_argument("--seed", type=int, default=1)
    args = p.parse_args(argv)
    out, rng = Path(args.out).resolve(), random.Random(args.seed)
    for name in ("catalog", "logs"):
        (out / name).mkdir(parents=True)
    progress.be_quiet()
    make_data_bin(out / "catalog")
    commands, found = Commands(out / "logs"), {}
    for processes in (1, 2):
        found[processes] = compared(
            commands, out / "catalog" / "data-bin", out, processes, args.updates, args.kills, rng
        )
    names = ("loss", "killed, resumed", "weights", "killed, resumed")
    header = ["update", *(f"{n} process{'es' * (n > 1)}: {name}" for n in found for name in names)]
    lines = [header, ["---:"] * len(header)]
    for update in found[1][0]:
        cells = (cell for rows, _, _ in found.values() for cell in rows[update])
        lines.append([str(update), *cells])
    sys.stdout.write("".join(f"| {' | '.join(line)} |\n" for line in lines))
    for processes, (_, killed, equal) in found.items():
        times = ", ".join(map(str, killed))
        verdict = "every digit is equal" if equal else "DIFFERENT"
        sys.stdout.write(f"{processes} process(es), killed at updates {times}: {verdict}\n")
    sys.exit(not all(equal for _, _, equal in found.values()))


if __name__ == "__main__":
    run(main)
