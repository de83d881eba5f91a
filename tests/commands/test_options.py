"""``item-options`` against fairseq's registries, and against what fairseq-train really takes."""

import re
from argparse import ArgumentParser
from dataclasses import fields
from enum import Enum

import pytest

import fairseq_item
from fairseq_item.commands import options
from fairseq_item.errors import InputError

fairseq_item.register()

from fairseq import registry  # noqa: E402
from fairseq.criterions import CRITERION_DATACLASS_REGISTRY  # noqa: E402
from fairseq.dataclass.utils import gen_parser_from_dataclass  # noqa: E402
from fairseq.models import ARCH_MODEL_REGISTRY, MODEL_DATACLASS_REGISTRY  # noqa: E402
from fairseq.tasks import TASK_DATACLASS_REGISTRY  # noqa: E402


def ours():
    """(kind, name, dataclass) of all that is registered by a module of this package."""
    classes = {
        "--task": (TASK_DATACLASS_REGISTRY, "item_pretraining"),
        "--arch": (MODEL_DATACLASS_REGISTRY, "item"),
        "--criterion": (CRITERION_DATACLASS_REGISTRY, "item_pretraining"),
        "--optimizer": (registry.REGISTRIES["optimizer"]["dataclass_registry"], "fused_adamw"),
        "--lr-scheduler": (registry.REGISTRIES["lr_scheduler"]["dataclass_registry"], "plateau"),
    }
    found = []
    for kind, (known, one) in classes.items():
        own = [n for n, c in known.items() if c.__module__.startswith("fairseq_item.")]
        assert one in own
        found += [(kind, name, known[name]) for name in own]
    return found


OURS = ours()


def printed(capsys, *argv):
    options.main(list(argv))
    return capsys.readouterr().out


def section(text, kind, name):
    """What stands under ``kind name`` up to the next empty line, in one line."""
    (found,) = re.findall(rf"^{kind} {name}\n(.*?)\n(?:\n|$)", text, re.MULTILINE | re.DOTALL)
    return " ".join(found.split())


def default_text(value):
    if value is None:
        return ""
    if isinstance(value, bool):
        return "on" if value else "off"
    if isinstance(value, Enum):
        return value.value
    return ",".join(map(str, value)) if isinstance(value, tuple) else str(value)


def test_every_option_of_every_class_is_there_with_help_and_default(capsys):
    text = printed(capsys)
    count = 0
    for kind, name, config in OURS:
        under = section(text, kind, name)
        for field in fields(config):
            if not field.metadata.get("help"):
                continue
            about = " ".join(field.metadata["help"].split())
            default = config()._get_default(field.name)
            if field.name == "data":
                assert f"DATA {about}" in under
                continue
            flag = "--" + field.name.replace("_", "-")
            shown = about if default is None else f"{about} (default: {default_text(default)})"
            assert re.search(rf"{flag} (\S+ )?{re.escape(shown)}", under), (kind, name, flag)
            count += 1
    assert count > 40


def test_fairseq_takes_the_same_options():
    """Flags, choices and defaults as fairseq's own parser makes them of the same dataclasses."""
    for _, name, config in OURS:
        parser = ArgumentParser()
        gen_parser_from_dataclass(parser, config())
        theirs = {a.option_strings[0]: a for a in parser._actions[1:] if a.option_strings}
        for option in options.options(config):
            if option.flag == "DATA":
                continue
            action = theirs[option.flag]
            if not isinstance(action.default, str) or "," not in action.default:
                assert option.default == default_text(action.default), (name, option)
            if action.choices:
                assert option.values == "{" + ",".join(action.choices) + "}"
            assert (option.values == "") == (action.nargs == 0)


def test_architectures_have_their_sizes(capsys):
    text = printed(capsys, "--arch", "item")
    named = [
        a for a, m in ARCH_MODEL_REGISTRY.items() if m.__module__ == "fairseq_item.models.item"
    ]
    for arch in set(named) - {"item"}:
        assert f"--arch {arch} " in text
    assert "--encoder-layers 24 --encoder-embed-dim 1024" in " ".join(text.split())
    small = printed(capsys, "--arch", "item_small")
    assert "encoder layers (default: 6)" in small
    assert "(default: 112)" in small
    assert "item_base" not in small


def test_only_what_is_named(capsys):
    text = printed(capsys, "--task", "item_pretraining", "--lr-scheduler", "plateau")
    assert "--mismatch-prob X" in text
    assert "--plateau-factor X" in text
    assert "--arch" not in text
    assert "--classifier-dropout" not in text
    with pytest.raises(InputError, match="no --task translation; it has clip_pretraining"):
        options.main(["--task", "translation"])


def test_markdown_is_tables(capsys):
    text = printed(capsys, "--markdown")
    for kind, name, config in OURS:
        assert f"### `{kind} {name}`\n" in text
        for option in options.options(config):
            flag = f"{option.flag} {option.values}".strip()
            assert f"| `{flag}` | {option.default} | {option.help} |" in text
    for line in text.splitlines():
        assert line.startswith("|") == line.endswith("|")
