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

import dataclasses
import statistics
import time

import rivals
import torch
from bench import Report, alternate, measure, resident

from fairseq_item.commands.common import run

# name -> (function that builds a model, changes to its configuration)
CONTESTANTS = {
    "item": (rivals.item, {}),
    "fairseq's layers": (rivals.on_fairseq, {}),
    "ViLT": (rivals.vilt, {}),
}
EXTRAS = {
    "item --attention-dropout 0": (rivals.item, {"attention_dropout": 0.0}),
    "item --checkpoint-activations": (rivals.item, {"checkpoint_activations": True}),
    "item --no-cpu-kernels": (rivals.item, {"no_cpu_kernels": True}),
    "item --compile": (rivals.item, {"compile": True}),
}
BATCHES = {"item_tiny": 64, "item_small": 32, "item_base": 16}
GPU_BATCH, GPU_STEPS = 256, 10  # as many updates are timed together


def updates_of(model, batch, steps=1, synchronise=True):
    """A function that makes so many updates of a model on a batch, both on one device.

    It returns when they are done, or with ``synchronise`` false when a GPU has been told them.
    """
    objectives = rivals.criterion()
    optimizer = torch.optim.AdamW(model.train().parameters(), lr=1e-4, fused=True)

    def update():
        for _ in range(steps):
            optimizer.zero_grad()
            loss, size, _ = objectives(model, batch)
            (loss / size).backward()
            optimizer.step()
        if synchronise and batch["id"].is_cuda:
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
    heads = 2 * tokens * (4 * d * d + 2 * d * rivals.VOCABULARY)
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


def build(args, name, cfg):
    """A contestant on the device; None where its library is missing."""
    make, changes = {**CONTESTANTS, **EXTRAS}[name]
    torch.manual_seed(1)
    model = make(dataclasses.replace(cfg, **changes))
    return model if model is None else model.to(args.device)


def print_memory(args):
    """In a child: three updates of one contestant, after the MiB that all else takes."""
    ((_, cfg, count),) = rivals.contests(args, BATCHES, GPU_BATCH)
    batch = rivals.masked_batch(cfg, count)
    print(resident())
    updates_of(build(args, args.memory_of, cfg), batch, steps=3)()


def peak(args, name, contestant, count, update):
    """The most memory that updates of a contestant take, in MiB, without the libraries'."""
    if args.device == "cuda":
        torch.cuda.reset_peak_memory_stats()
        update()
        return torch.cuda.max_memory_allocated() / (1 << 20)
    size, dtype = name.split()
    options = ["--out", args.out, "--sizes", size, "--dtypes", dtype, "--batch-size", count]
    options += ["--device", "cpu", "--memory-of", contestant, *["--quick"] * args.quick]
    used = measure("training", *options)
    return used.memory - float(used.output.split()[-1])


def contest(args, report, name, cfg, count):
    """One size in one precision: a row each contestant."""
    steps = GPU_STEPS if args.device == "cuda" else 1
    batch = rivals.masked_batch(cfg, count, args.device)
    models = {of: build(args, of, cfg) for of in [*CONTESTANTS, *(EXTRAS if args.extras else ())]}
    updates = {of: updates_of(model, batch, steps) for of, model in models.items() if model}
    for of, seconds in alternate(updates, args.repeats).items():
        gflops = steps * needed_flops(cfg, batch) / statistics.median(seconds) / 1e9
        more = {"batch": count, "GFLOP/s": gflops}
        if not (args.quick and report.rows):  # a child takes seconds
            more["MiB"] = peak(args, name, of, count, updates[of])
        report.add(f"{name} {of}", steps * count, seconds, f"{name} {count}", **more)


def main(argv=None):
    """Entry point."""
    p = rivals.parser(__doc__)
    p.add_argument("--extras", action="store_true", help="our model with each of its flags as well")
    p.add_argument("--memory-of", help="measure the memory of one contestant: used from within")
    args = rivals.parse(p, argv)
    if args.memory_of:
        print_memory(args)
        return
    report, rates = Report("training", "products"), {dtype: [] for dtype in args.dtypes}
    for name, cfg, count in rivals.contests(args, BATCHES, GPU_BATCH):
        rates[cfg.compute_dtype].append(matrix_rate(args, cfg.compute_dtype))
        contest(args, report, name, cfg, count)
        rates[cfg.compute_dtype].append(matrix_rate(args, cfg.compute_dtype))
    for row in report.rows:
        row["mm GFLOP/s"] = max(rates[row["name"].split()[1]])
        row["MFU %"] = 100 * row["GFLOP/s"] / row["mm GFLOP/s"]
    report.write(args.out)


if __name__ == "__main__":
    run(main)
