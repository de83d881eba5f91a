"""``item-options``: what fairseq-train takes of this plugin, with defaults.

``fairseq-train --help`` does not know the options of a plugin: these belong to tasks, models,
criterions, optimisers and schedules, which fairseq asks only once they are chosen. This lists them
all, or those of the ones named; everything else is in ``fairseq-train --help``.
"""

import re
import textwrap
from argparse import Namespace
from collections.abc import Sequence
from dataclasses import dataclass, fields
from enum import Enum
from typing import Any, NamedTuple

from omegaconf import MISSING

from fairseq_item.commands.common import Parser, run, show
from fairseq_item.errors import InputError

# Flags of fairseq-train that choose what has the options.
KINDS = ("--task", "--arch", "--criterion", "--optimizer", "--lr-scheduler")


class Option(NamedTuple):
    """One option: how it is written, what it takes, its default as text and its help."""

    flag: str
    values: str
    default: str
    help: str


@dataclass
class Choice:
    """What one of ``KINDS`` chooses.

    Attributes:
        kind: one of ``KINDS``.
        name: as it is registered.
        summary: of its class.
        options: list of :class:`Option`.
        sizes: architecture -> (summary, option -> default), for models.
    """

    kind: str
    name: str
    summary: str
    options: list
    sizes: dict


def parser() -> Parser:
    """The options of ``item-options``."""
    p = Parser(__doc__)
    for kind in KINDS:
        p.add_argument(kind, metavar="NAME", help=f"only the options of this {kind[2:]}")
    p.add_argument("--markdown", action="store_true", help="as Markdown tables")
    return p


def main(argv: Sequence[str] | None = None) -> None:
    """Entry point of ``item-options``."""
    args = parser().parse_args(argv)
    wanted = {kind: getattr(args, kind[2:].replace("-", "_")) for kind in KINDS}
    chosen = choices()
    if any(wanted.values()):
        chosen = [_find(chosen, kind, name) for kind, name in wanted.items() if name]
    write = _markdown if args.markdown else _text
    show("\n".join(line for choice in chosen for line in write(choice)))


def choices() -> list[Choice]:
    """Every :class:`Choice` that this plugin registers, in the order of ``KINDS``."""
    import fairseq_item

    fairseq_item.register()
    from fairseq import models, registry, tasks

    found = {
        "--task": (tasks.TASK_REGISTRY, tasks.TASK_DATACLASS_REGISTRY),
        "--arch": (models.MODEL_REGISTRY, models.MODEL_DATACLASS_REGISTRY),
    }
    for kind in KINDS[2:]:
        known = registry.REGISTRIES[kind[2:].replace("-", "_")]
        found[kind] = known["registry"], known["dataclass_registry"]
    return [
        Choice(kind, name, _summary(cls), options(dataclasses[name]), _sizes(kind, name))
        for kind, (classes, dataclasses) in found.items()
        for name, cls in classes.items()
        if cls.__module__.startswith("fairseq_item.")
    ]


def options(config: type) -> list[Option]:
    """The :class:`Option` of each field of a fairseq dataclass that has a help text."""
    return [_option(config, f) for f in fields(config) if f.metadata.get("help")]


def _option(config, field):
    default = as_text(config()._get_default(field.name))
    if field.name == "data":  # fairseq takes the data-bin without a flag
        return Option("DATA", "", default, field.metadata["help"])
    flag = "--" + field.name.replace("_", "-")
    return Option(flag, _values(field.type), default, field.metadata["help"])


def _values(kind):
    """What stands after a flag: nothing, choices, or a letter for a number."""
    if isinstance(kind, type) and issubclass(kind, Enum):
        return "{" + ",".join(member.value for member in kind) + "}"
    return {bool: "", int: "N", float: "X"}.get(kind, "VALUE")


def as_text(default: Any) -> str:
    """A default as it would be written; "" where there is none."""
    if default is None or default == MISSING:
        return ""
    if isinstance(default, bool):
        return "on" if default else "off"
    if isinstance(default, Enum):
        return str(default.value)
    if isinstance(default, (list, tuple)):
        return ",".join(map(str, default))
    return str(default)


def _sizes(kind, model):
    """architecture -> (summary, option -> default) of a model; empty for all else."""
    if kind != "--arch":
        return {}
    from fairseq.models import ARCH_CONFIG_REGISTRY, ARCH_MODEL_INV_REGISTRY

    sizes = {}
    for arch in ARCH_MODEL_INV_REGISTRY[model]:
        if arch in ARCH_CONFIG_REGISTRY and arch != model:
            settings = Namespace()
            ARCH_CONFIG_REGISTRY[arch](settings)
            named = {"--" + k.replace("_", "-"): as_text(v) for k, v in vars(settings).items()}
            sizes[arch] = _summary(ARCH_CONFIG_REGISTRY[arch]), named
    return sizes


def _summary(thing):
    """The first paragraph of a docstring, in one line, without its markup."""
    text = " ".join((thing.__doc__ or "").split("\n\n")[0].split())
    return re.sub(r":\w+:`~?([^`]*)`|``([^`]*)``", r"\1\2", text)


def _find(chosen, kind, name):
    """The choice of this name; of an architecture, its model with the defaults that it sets."""
    own = [choice for choice in chosen if choice.kind == kind]
    for choice in own:
        if name in choice.sizes:
            summary, sizes = choice.sizes[name]
            changed = [o._replace(default=sizes.get(o.flag, o.default)) for o in choice.options]
            return Choice(kind, name, summary, changed, {})
        if name == choice.name:
            return choice
    known = ", ".join(sorted({n for choice in own for n in (choice.sizes or [choice.name])}))
    raise InputError(f"this plugin has no {kind} {name}; it has {known}")


def _text(choice):
    """Lines of plain text."""
    yield f"{choice.kind} {choice.name}"
    yield from _columns("", choice.summary, 4)
    for arch, (summary, sizes) in choice.sizes.items():
        settings = " ".join(f"{flag} {value}" for flag, value in sizes.items())
        yield from _columns(f"  {choice.kind} {arch}", summary)
        yield from _columns("", settings)
    for option in choice.options:
        default = f" (default: {option.default})" if option.default else ""
        yield from _columns(f"  {option.flag} {option.values}", option.help + default)
    yield ""


def _columns(left, right, margin=36):
    """Lines with ``left`` at their beginning and ``right`` from ``margin`` on."""
    space = " " * margin
    lines = textwrap.wrap(right, 100 - margin, break_on_hyphens=False) or [""]
    if left and len(left) >= margin:
        yield left
        left = ""
    yield f"{left:<{margin}}{lines[0]}".rstrip()
    yield from (space + line for line in lines[1:])


def _markdown(choice):
    """Lines of Markdown."""
    yield f"### `{choice.kind} {choice.name}`"
    yield ""
    yield choice.summary
    yield ""
    if choice.sizes:
        flags = list(dict.fromkeys(flag for _, sizes in choice.sizes.values() for flag in sizes))
        yield from _row(["architecture", *(f"`{flag}`" for flag in flags), ""])
        yield "|---" + "|---:" * len(flags) + "|---|"
        for arch, (summary, sizes) in choice.sizes.items():
            yield from _row([f"`{arch}`", *(sizes.get(flag, "") for flag in flags), summary])
        yield ""
    if choice.options:
        yield from _row(["option", "default", ""])
        yield "|---|---|---|"
        for option in choice.options:
            flag = f"{option.flag} {option.values}".strip()
            yield from _row([f"`{flag}`", option.default, option.help])
        yield ""


def _row(cells):
    yield "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def cli():
    """Console script ``item-options``."""
    run(main)


if __name__ == "__main__":
    cli()
