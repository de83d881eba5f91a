"""Print the parameters of an architecture by part, as a Markdown table.

usage: python scripts/count_parameters.py [item_base] [--vocabulary 50000]
"""

import sys
import types

import torch

from fairseq_item.commands.common import Parser, positive, run
from fairseq_item.errors import InputError

GROUPS = {
    "token embedding (tied with the output)": ["embedding.token"],
    "title positions, modality, LayerNorm": [
        "embedding.title_position",
        "embedding.modality",
        "embedding.norm",
    ],
    "patch projection, mask patch": ["embedding.patch.", "embedding.mask_patch"],
    "patch positions": ["embedding.patch_position"],
    "encoder": ["encoder"],
    "ITM": ["itm"],
    "MLM (transform, output bias)": ["mlm", "vocabulary.bias"],
    "GMLM": ["gmlm"],
    "MIM": ["mim"],
    "GMIM": ["gmim"],
}


def main(argv=None):
    parser = Parser(__doc__.splitlines()[0])
    parser.add_argument("arch", nargs="?", default="item_base", help="registered architecture")
    parser.add_argument("--vocabulary", type=positive, default=50_000, help="entries, all included")
    args = parser.parse_args(argv)
    from fairseq.models import ARCH_CONFIG_REGISTRY

    from fairseq_item import ItemModel
    from fairseq_item.models.item import ItemModelConfig

    if args.arch not in ARCH_CONFIG_REGISTRY:
        raise InputError(f"{args.arch} is no registered architecture; try item_base")
    sizes = types.SimpleNamespace()
    ARCH_CONFIG_REGISTRY[args.arch](sizes)
    with torch.device("meta"):
        model = ItemModel(ItemModelConfig(**vars(sizes)), args.vocabulary, 1, 0, 2)
    counts = dict.fromkeys(GROUPS, 0)
    for name, parameter in model.named_parameters():
        group = next(g for g, starts in GROUPS.items() if any(map(name.startswith, starts)))
        counts[group] += parameter.numel()
    lines = [f"| part of {args.arch} | parameters |", "|---|---:|"]
    lines += [f"| {group} | {count:,} |" for group, count in counts.items()]
    lines.append(f"| **all** | **{sum(counts.values()):,}** |")
    sys.stdout.write("\n".join(lines) + "\n")


if __name__ == "__main__":
    run(main)
