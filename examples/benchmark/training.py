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

import statistics
import sys
import time
from pathlib import Path

import torch
from bench import Report, alternate, measure
from rivals import (
    VOCABULARY,
    batch_size,
    config,
    criterion,
    item,
    masked_batch,
    on_fairseq,
    parse,
    parser,
    vilt,
)

from fairseq_item.commands.common import run

# name -> (function that builds a model, changes to its configuration)
CONTESTANTS = {"item": (item, {}), "fairseq's layers": (on_fairseq, {}), "ViLT": (vilt, {})}
EXTRAS = {
    "item --attention-dropout 0": (item, {"attention_dropout": 0.0}),
    "item --checkpoint-activations": (item, {"checkpoint_activations": True}),
    "item --no-cpu-kernels": (item, {"no_cpu_kernels": True}),
    "item --compile": (item, {"compile": True}),
}
BATCHES = {"item_tiny": 64, "item_small": 32, "item_base": 16}
GPU_BATCH, GPU_STEPS = 256, 10  # as many updates are timed together


def updates_of(model, batch, steps=1):
    """A function that makes so many updates of a model on a batch, both on one device."""
    objectives = criterion()
    optimizer = torch.optim.AdamW(model.train().parameters(), lr=1e-4, fused=True)

    def update():
        for _ in range(steps):
            optimizer.zero_grad()
            loss, size, _ = objectives(model, batch)
            (loss / size).backward()
            optimizer.step()
        if batch["id"].is_cuda:
            torch.cuda.synchronize()

    return update


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


def matrix_rate(args, dtype):
    """The best rate of a large product of two matrices, in GFLOP/s."""
    side = 256 if args.quick else 8192 if args.device == "cuda" else 1024
    a, b = (torch.randn(side, side, device=args.device).to(getattr(torch, dtype)) for _ in "ab")
    best = float("inf")
    for _ in range(21):
        start = time.perf_counter()
        a @ b
        if args.device == "cuda":
            torch.cuda.synchronize()
        best = min(best, time.perf_counter() - start)
    return 2 * side**3 / best / 1e9


def build(args, name, size, dtype):
    """A contestant on the device; None where its library is missing."""
    make, changes = {**CONTESTANTS, **EXTRAS}[name]
    torch.manual_seed(1)
    model = make(config(size, dtype, args.quick, **changes))
    return model if model is None else model.to(args.device)


def print_memory(args):
    """In a child: the MiB that three updates of one contestant take; on Linux."""
    (size,), (dtype,) = args.sizes, args.dtypes
    batch = masked_batch(config(size, dtype, args.quick), args.batch_size)
    Path("/proc/self/clear_refs").write_text("5")  # what importing took is not asked for
    before = most_held()
    updates_of(build(args, args.memory_of, size, dtype), batch, steps=3)()
    print(most_held() - before)


def most_held():
    """The most memory that this process held since it was last told to forget, in MiB."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) / 1024


def peak(args, name, size, dtype, count, update):
    """The most memory that updates of a contestant take, in MiB, without the libraries'."""
    if args.device == "cuda":
        torch.cuda.reset_peak_memory_stats()
        update()
        return torch.cuda.max_memory_allocated() / (1 << 20)
    options = ["--out", args.out, "--sizes", size, "--dtypes", dtype, "--batch-size", count]
    options += ["--device", "cpu", "--memory-of", name, *["--quick"] * args.quick]
    return float(measure("training", *options).output.split()[-1])


def contest(args, report, size, dtype, count):
    """One size in one precision with one batch size: a row each contestant."""
    cuda, cfg = args.device == "cuda", config(size, dtype, args.quick)
    batch, steps = masked_batch(cfg, count, args.device), GPU_STEPS if cuda else 1
    names = [*CONTESTANTS, *(EXTRAS if args.extras else ())]
    models = {name: build(args, name, size, dtype) for name in names}
    updates = {name: updates_of(model, batch, steps) for name, model in models.items() if model}
    for name, seconds in alternate(updates, args.repeats).items():
        gflops = steps * needed_flops(cfg, batch) / statistics.median(seconds) / 1e9
        more = {"batch": count, "GFLOP/s": gflops}
        known = cuda or sys.platform == "linux"
        if known and not (args.quick and report.rows):  # a child takes seconds
            more["MiB"] = peak(args, name, size, dtype, count, updates[name])
        group = f"{size} {dtype} {count}"
        report.add(f"{size} {dtype} {name}", steps * count, seconds, group, **more)


def main(argv=None):
    """Entry point."""
    p = parser(__doc__)
    p.add_argument("--extras", action="store_true", help="our model with each of its flags as well")
    p.add_argument("--memory-of", help="measure the memory of one contestant: used from within")
    args = parse(p, argv)
    if args.memory_of:
        print_memory(args)
        return
    report = Report("training", "products")
    for dtype in args.dtypes:
        rates, done = [matrix_rate(args, dtype)], len(report.rows)
        for size in args.sizes:
            contest(args, report, size, dtype, batch_size(args, BATCHES[size], GPU_BATCH))
            rates.append(matrix_rate(args, dtype))
        for row in report.rows[done:]:
            row["mm GFLOP/s"] = max(rates)
            row["MFU %"] = 100 * row["GFLOP/s"] / row["mm GFLOP/s"]
    report.write(args.out)


if __name__ == "__main__":
    run(main)
