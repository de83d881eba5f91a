"""From the cost of a product to hours and bills of whole catalogues, as a table and JSON.

    python examples/benchmark/scale_plan.py --out scale --scale scale/scale.json

Processor work is what scale.py measured, of real photos (packed as JPEG) and embeddings of 768
values, and a core of the machine measured on counts as one of a cluster's. Work of a GPU was not
measured: it is the operations of training.py's formula (an update of ``item_base`` at 224 pixels;
a third of one for an embedding) over ``--tflops`` times ``--mfu``, which ``make gpu`` will
measure. Only training has a size of its own: the paper's 100,000 updates of 512.

Prices are list prices on demand, and options: AWS, us-east-1, Linux; p5en.48xlarge (8 H200) as
dstack's offers showed it on 2026-08-06, c7i-flex.4xlarge (16 vCPUs) as of version 8 of SkyPilot's
catalogue, commit e385a0d. Disks and traffic are not priced.
"""

import json
from pathlib import Path

from bench import parser, write

from fairseq_item.commands.common import amount, positive, run

# name -> products, machines of processors, machines of GPUs.
CATALOGUES = {
    "1.1 million": (1_100_000, 1, 1),
    "25 million": (25_000_000, 8, 1),
    "a billion": (1_000_000_000, 128, 8),
}
UPDATE_GFLOP = 107.6
TRAINED = 100_000 * 512
# Of duplicates an item is compared with as many as the square root of all, which counts where they
# are many: near_duplicates.py found no more a product at 1.1 million than scale.py at thousands.
LINEAR_TO, STEEP = 1_100_000, {"duplicates": 1.5}
STAGES, WIDE = ("import", "pack", "binarise", "index", "duplicates"), ("index", "duplicates")


def slope(sizes, values, end):
    """What a further product costs between ``sizes[end - 1]`` and ``sizes[end]``, 0 or more."""
    return max(0.0, (values[end] - values[end - 1]) / (sizes[end] - sizes[end - 1]))


def add_options(p):
    """Add rates and prices."""
    p.add_argument("--tflops", type=amount, default=989, help="of a GPU in bfloat16, dense")
    p.add_argument("--mfu", type=amount, default=0.3, help="share of it that is reached: assumed")
    p.add_argument("--cores", type=positive, default=16, help="of a machine of processors")
    p.add_argument("--gpus", type=positive, default=8, help="of a machine of GPUs")
    p.add_argument("--cpu-price", type=amount, default=0.6783, help="dollars an hour of the first")
    p.add_argument("--gpu-price", type=amount, default=63.296, help="dollars an hour of the second")


def costs(measured, count, args):
    """Of each stage of a catalogue: ``cpu`` and ``gpu`` seconds, and ``bytes`` on disk.

    Args:
        measured: what ``scale.json`` holds.
        count: products.
        args: of :func:`add_options`.
    """
    found = {}
    for name in STAGES:
        of = measured["wide"] if name in WIDE else measured
        sizes, stages = of["sizes"], of["stages"]
        cpu, size = (
            count * slope(sizes, [one[name][key] for one in stages], len(sizes) - 1)
            for key in ("cpu", "bytes")
        )
        cpu *= max(1.0, count / LINEAR_TO) ** (STEEP.get(name, 1) - 1)
        found[name] = {"cpu": cpu, "gpu": 0.0, "bytes": size}
    photo = measured["photos"]["jpeg"]
    found["pack"] = {"cpu": count * photo["cpu"], "gpu": 0.0, "bytes": count * photo["bytes"]}
    rate = 1e3 * args.tflops * args.mfu  # GFLOP a second
    found["train"] = {"cpu": 0.0, "gpu": TRAINED * UPDATE_GFLOP / rate, "bytes": 0.0}
    # Three embeddings of 768 values, float16.
    gpu = count * UPDATE_GFLOP / 3 / rate
    found["embed"] = {"cpu": 0.0, "gpu": gpu, "bytes": count * 3 * 768 * 2.0}
    return found


def plan(measured, args):
    """Catalogue -> its machines, and of each stage hours and dollars."""
    found = {}
    for name, (count, machines, gpu_machines) in CATALOGUES.items():
        stages = costs(measured, count, args)
        for stage in stages.values():
            cpu = stage["cpu"] / args.cores / 3600  # machine-hours
            gpu = stage["gpu"] / args.gpus / 3600
            stage["hours"] = cpu / machines + gpu / gpu_machines
            stage["dollars"] = cpu * args.cpu_price + gpu * args.gpu_price
        found[name] = {"machines": machines, "gpu_machines": gpu_machines, "stages": stages}
    return found


def table(found):
    """Lines of cells: hours, dollars and bytes of each stage."""
    lines = [["stage", *(f"{name}: {what}" for name in found for what in ("hours", "$", "GB"))]]
    names = list(next(iter(found.values()))["stages"])
    for stage in [*names, "all"]:
        cells = [stage]
        for catalogue in found.values():
            some = catalogue["stages"]
            some = list(some.values()) if stage == "all" else [some[stage]]
            for key, unit in (("hours", 1), ("dollars", 1), ("bytes", 1e9)):
                cells.append(f"{sum(one[key] for one in some) / unit:,.3g}")
        lines.append(cells)
    return lines


def report(out, measured, args):
    """Write ``scale-plan.json`` and its table."""
    found = plan(measured, args)
    given = ("tflops", "mfu", "cores", "gpus", "cpu_price", "gpu_price")
    inputs = {name: getattr(args, name) for name in given}
    write(out, "scale-plan", {"inputs": inputs, "catalogues": found}, table(found))


def main(argv=None):
    """Entry point."""
    p = parser(__doc__)
    p.add_argument("--scale", required=True, metavar="JSON", help="what scale.py wrote")
    add_options(p)
    args = p.parse_args(argv)
    Path(args.out).mkdir(parents=True, exist_ok=True)
    report(args.out, json.loads(Path(args.scale).read_text(encoding="utf-8")), args)


if __name__ == "__main__":
    run(main)
