"""Importing: cheap for the tools that need neither torch nor fairseq, complete for fairseq."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PREPROCESSING = (
    "split", "bpe", "pack", "features", "binarize", "relist", "queries", "demo", "import_",
    "fetch",
)  # fmt: skip
LIGHT = (
    "fairseq_item", "fairseq_item.commands.common", "fairseq_item.files",
    *(f"fairseq_item.commands.{name}" for name in PREPROCESSING),
    "fairseq_item.data.catalog", "fairseq_item.data.tsv", "fairseq_item.data.images",
    "fairseq_item.data.image_store", "fairseq_item.data.titles",
    "fairseq_item.data.token_store", "fairseq_item.data.masking",
)  # fmt: skip

LATER = """
import logging, sys
import fairseq_item
assert "torch" not in sys.modules and "fairseq" not in sys.modules
model = fairseq_item.ItemModel
from fairseq.models import ARCH_MODEL_REGISTRY, MODEL_REGISTRY
from fairseq.tasks import TASK_REGISTRY
from fairseq.criterions import CRITERION_REGISTRY
from fairseq.optim import OPTIMIZER_REGISTRY
assert MODEL_REGISTRY["item"] is model
assert all(ARCH_MODEL_REGISTRY[f"item_{size}"] is model for size in "tiny small base large".split())
assert "item_pretraining" in TASK_REGISTRY and "item_pretraining" in CRITERION_REGISTRY
assert "fused_adamw" in OPTIMIZER_REGISTRY
assert logging.getLogger().level == logging.WARNING, "logging was configured"
assert "torchvision" not in sys.modules, "it takes seconds, and only a ResNet needs it"
fairseq_item.register()
"""


def python(code):
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout


def test_data_modules_import_neither_torch_nor_fairseq():
    heavy = "torch", "fairseq", "torchvision", "pyarrow", "sentencepiece", "sklearn", "faiss"
    code = f"import sys, {', '.join(LIGHT)}; print(*({set(heavy)!r} & set(sys.modules)))"
    assert python(code).split() == []


def test_fairseq_after_the_plugin():
    python(LATER)


# fairseq before the plugin is the order of every fairseq command: tests/tasks/.


def test_unknown_names_are_attribute_errors():
    import fairseq_item

    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = fairseq_item.nothing


def test_no_module_prints():
    """stdout is for the results of commands; a library logs."""
    package = ROOT / "fairseq_item"
    for path in package.rglob("*.py"):
        if package / "commands" not in path.parents:
            assert not re.search(r"\bprint\(", path.read_text(encoding="utf-8")), path


@pytest.mark.parametrize("room", ["preprocess", "demo", "feeds", "fetch"])
def test_libraries_know_no_arguments(room):
    """They take plain values, and are called from Python as they are by commands."""
    for path in (ROOT / "fairseq_item" / room).rglob("*.py"):
        assert not re.search(r"\bargparse\b|\bargs\.|fairseq_item\.commands", path.read_text()), (
            path
        )
