"""Updates of pre-training: products a second, memory, and the share of the machine's matrix rate.

Our model beside the same model on fairseq's encoder layers and beside Hugging Face's ViLT of the
same size, all under the same five heads, on the same batch, in the same precision (parameters
float32, autocast for bfloat16), with the same fused AdamW, in turn in one process.

The share of the matrix rate counts what the objectives need, for all contestants alike. With d the
width, f the feed-forward width, V the vocabulary, P = 3 p^2 the values of a patch, and of a product
L positions without padding, m patches, K masked tokens, M masked patches and R = 1 + K + M of them
that are read:

    layer  = 2 L (4 d^2 + 2 d f) + 4 L^2 d        of the last one, 2 L 3 d^2 + 4 L^2 d
                                                  + 2 R (d^2 + 2 d f)
    input  = 2 m P d
    heads  = 2 K (d^2 + 3 d^2 + 2 d V) + 2 M (3 d^2 + 2 d P)

and an update is three times the sum, as the backward pass computes two products for each. The rate
is the best of a large ``torch.mm`` in the same precision, tried before and after each size.
"""

import os
import sys
import time
from pathlib import Path

import torch
from bench import ROOT, Report, alternate, measure
from rivals import (
    VOCABULARY,
    config,
    criterion,
    item,
    masked_batch,
    on_fairseq,
    parse,
    parser,
    to_device,
    vilt,
)

from fairseq_item.commands.common import run
from fairseq_item.models import item as architectures

HERE = Path(__file__).resolve().parent
CONTESTANTS = {"item": item, "fairseq's layers": on_fairseq, "ViLT": vilt}
EXTRAS = {
    "item --attention-dropout 0": {"attention_dropout": 0.0},
    "item --checkpoint-activations": {"checkpoint_activations": True},
    "item --no-cpu-kernels": {"no_cpu_kernels": True},
    "item --compile": {"compile": True},
}
BATCHES = {"item_tiny": 64, "item_small": 32, "item_base": 16}
GPU_BATCHES = (64, 128, 256, 512)
QUICK = {
    "encoder_layers": 2,
    "encoder_embed_dim": 32,
    "encoder_attention_heads": 2,
    "image_size": 32,
    "patch_size": 8,
}
PAPER_UPDATES, PAPER_BATCH = 100_000, 512


class Update:
    """Updates of one contestant.

    Args:
        build: makes the model out of its configuration.
        cfg: the configuration.
        batch: what it is trained on, on the device.
        device: "cpu" or "cuda".
        steps: updates that a call makes.
    """

    def __init__(self, build, cfg, batch, device, steps=1):
        torch.manual_seed(1)
        self.model, self.criterion = build(cfg), criterion()
        self.missing = self.model is None
        if not self.missing:
            self.model.train().to(device)
            self.optimizer = torch.optim.AdamW(self.model.parameters(), lr=1e-4, fused=True)
        self.batch, self.device, self.steps = batch, device, steps

    def __call__(self):
        for _ in range(self.steps):
            self.optimizer.zero_grad()
            loss, size, _ = self.criterion(self.model, self.batch)
            (loss / size).backward()
            self.optimizer.step()
        if self.device == "cuda":
            torch.cuda.synchronize()


def needed_flops(cfg, batch):
    """Floating-point operations of an update on ``batch``: see above."""
    inputs, d, f = batch["net_input"], cfg.encoder_embed_dim, cfg.encoder_ffn_embed_dim
    patch, m = 3 * cfg.patch_size**2, inputs["patches"].size(1)
    lengths = (inputs["title"] != 1).sum(1).double() + m
    positions, squares = float(lengths.sum()), float(lengths.square().sum())
    tokens, patches = len(inputs["masked_title"]), len(inputs["masked_patches"])
    read = len(lengths) + tokens + patches
    dense = d * d + 2 * d * f
    layer = 2 * positions * (3 * d * d + dense) + 4 * squares * d
    last = 2 * positions * 3 * d * d + 4 * squares * d + 2 * read * dense
    heads = 2 * tokens * (4 * d * d + 2 * d * VOCABULARY)
    heads += 2 * patches * (3 * d * d + 2 * d * patch)
    start = 2 * len(lengths) * m * patch * d
    return 3 * ((cfg.encoder_layers - 1) * layer + last + start + heads)


def matrix_rate(dtype, device, side=None, repeats=20):
    """The best rate of a large product of two matrices, in floating-point operations a second."""
    side = side or (8192 if device == "cuda" else 1024)
    a, b = (torch.randn(side, side, device=device).to(getattr(torch, dtype)) for _ in range(2))
    best = float("inf")
    for _ in range(repeats + 1):
        start = time.perf_counter()
        a @ b
        if device == "cuda":
            torch.cuda.synchronize()
        best = min(best, time.perf_counter() - start)
    return 2 * side**3 / best


def configuration(size, dtype, quick, **changes):
    """A size's configuration; very small with ``quick``."""
    small = QUICK if quick else {}
    return config(getattr(architectures, size), compute_dtype=dtype, **{**small, **changes})


def builders(args):
    """name -> (function that builds a model, changes to its configuration)."""
    found = {name: (build, {}) for name, build in CONTESTANTS.items()}
    if args.extras:
        found.update({name: (item, changes) for name, changes in EXTRAS.items()})
    return found


def memory_of(args):
    """In a child: print the MiB that three updates of one contestant take."""
    build, changes = builders(args)[args.memory_of]
    cfg = configuration(args.sizes, args.dtypes, args.quick, **changes)
    batch = masked_batch(cfg, args.batch_size)
    Path("/proc/self/clear_refs").write_text("5")  # what importing took is not asked for
    before = most_held()
    update = Update(build, cfg, batch, "cpu", steps=3)
    update()
    print(most_held() - before)


def most_held():
    """The most memory that this process held since it was last told to forget, in MiB; on Linux."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) / 1024


def peak(args, name, size, dtype, count, update):
    """The most memory that updates of a contestant take, in MiB, without the libraries'."""
    if args.device == "cuda":
        torch.cuda.reset_peak_memory_stats()
        update()
        return torch.cuda.max_memory_allocated() / (1 << 20)
    options = ["--out", args.out, "--sizes", size, "--dtypes", dtype, "--batch-size", count]
    options += ["--memory-of", name, *["--quick"] * args.quick, *["--extras"] * args.extras]
    paths = os.pathsep.join(map(str, (ROOT, HERE)))  # a child's own folder is not among them
    child = measure(HERE / "training.py", *options, env={"PYTHONPATH": paths})
    return float(child.output.split()[-1])


def contest(args, report, size, dtype, count):
    """One size in one precision with one batch size: a row each contestant."""
    plain = configuration(size, dtype, args.quick)
    batch = to_device(masked_batch(plain, count), args.device)
    steps = 10 if args.device == "cuda" else 1
    updates = {}
    for name, (build, changes) in builders(args).items():
        cfg = configuration(size, dtype, args.quick, **changes)
        update = Update(build, cfg, batch, args.device, steps)
        if not update.missing:
            updates[name] = update
    taken = alternate(updates, args.repeats)
    products = steps * count
    for name, seconds in taken.items():
        median = sorted(seconds)[len(seconds) // 2]
        more = {"batch": count, "GFLOP/s": steps * needed_flops(plain, batch) / median / 1e9}
        known = args.device == "cuda" or sys.platform == "linux"
        if known and not (args.quick and report.rows):  # a child takes seconds
            more["MiB"] = peak(args, name, size, dtype, count, updates[name])
        if args.device == "cuda":
            more["paper, h"] = PAPER_UPDATES * PAPER_BATCH * median / products / 3600
        group = f"{size} {dtype} {count}"
        report.add(f"{size} {dtype} {name}", products, seconds, group, **more)


def main(argv=None):
    """Entry point."""
    about = "Measure updates of pre-training beside fairseq's layers and ViLT."
    p = parser(about, "training.json and training.md")
    p.add_argument("--extras", action="store_true", help="our model with each of its flags as well")
    p.add_argument("--memory-of", help="measure the memory of one contestant: used from within")
    args = parse(p, argv)
    if args.memory_of:
        memory_of(args)
        return
    sizes = ["item_tiny"] if args.quick else args.sizes.split(",")
    args.repeats = 1 if args.quick else args.repeats
    report = Report("training", "products")
    for dtype in args.dtypes.split(","):
        rates, done = [], len(report.rows)
        for size in sizes:
            counts = GPU_BATCHES if args.device == "cuda" else (BATCHES[size],)
            for count in (8,) if args.quick else counts:
                rates.append(matrix_rate(dtype, args.device, 256 if args.quick else None))
                try:
                    contest(args, report, size, dtype, args.batch_size or count)
                except torch.OutOfMemoryError:
                    sys.stderr.write(f"{size} {dtype}: no room for {count} products\n")
                    torch.cuda.empty_cache()
        rates.append(matrix_rate(dtype, args.device, 256 if args.quick else None))
        for row in report.rows[done:]:
            row["mm GFLOP/s"] = max(rates) / 1e9
            row["MFU %"] = 100 * row["GFLOP/s"] / row["mm GFLOP/s"]
    report.write(args.out)


if __name__ == "__main__":
    run(main)
