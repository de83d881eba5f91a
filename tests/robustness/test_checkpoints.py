"""Checkpoints from anywhere: no code of theirs runs, and no settings of theirs are believed."""

import os
import pickle
import random
import shutil
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from fairseq import checkpoint_utils
from omegaconf import OmegaConf

import fairseq_item
from fairseq_item.commands import embed, predict
from fairseq_item.models.checkpoint import read_checkpoint
from fairseq_item.models.item import ItemModelConfig
from fairseq_item.tasks.item_pretraining import ItemPretrainingConfig, ItemPretrainingTask
from fairseq_item.tasks.restoring import LAST, check_start, restored_from

SIZES = {
    "image_size": 32, "patch_size": 8, "max_title_length": 8, "encoder_layers": 1,
    "encoder_embed_dim": 16, "encoder_ffn_embed_dim": 32, "encoder_attention_heads": 2,
}  # fmt: skip


@pytest.fixture(scope="module")
def state(data_bin):
    """What fairseq-train would save of an untrained model."""
    fairseq_item.register()
    torch.manual_seed(0)
    settings = OmegaConf.structured(ItemModelConfig(_name="item", **SIZES))
    cfg = {
        "task": {
            "_name": "item_pretraining", "data": str(data_bin), "seed": 1, "save_dir": "",
            "cpu": True, "no_save": True, "restore_file": "", "view_contrast_weight": 0.0,
            "finetune_from_model": None,
            **{name: SIZES[name] for name in ("image_size", "patch_size", "max_title_length")},
        },
        "model": OmegaConf.to_container(settings),
    }  # fmt: skip
    cfg["model"] = {name: getattr(v, "value", v) for name, v in cfg["model"].items()}
    values = {name: value for name, value in cfg["task"].items() if name != "_name"}
    task = ItemPretrainingTask.setup_task(OmegaConf.structured(ItemPretrainingConfig(**values)))
    model = task.build_model(OmegaConf.create(cfg["model"]))
    return {
        "cfg": cfg,
        "model": model.state_dict(),
        "task_state": task.state_dict(),
        "optimizer_history": [{"num_updates": 4}],
        "extra_state": {},
    }


@pytest.fixture(scope="module")
def folder(state, data_bin, tmp_path_factory):
    folder = tmp_path_factory.mktemp("model")
    torch.save(state, folder / "checkpoint_best.pt")
    for name in ("dict.txt", "bpe.model"):
        shutil.copy(data_bin / "title" / name, folder)
    return folder


def embedding(folder):
    return fairseq_item.ItemModel.from_pretrained(folder).encode(titles=["red mug"])[1]


@pytest.fixture(scope="module")
def expected(folder):
    return embedding(folder)


@pytest.fixture
def copied(folder, tmp_path):
    shutil.copytree(folder, tmp_path / "model")
    return tmp_path / "model"


@pytest.fixture
def the_same(expected):
    def check(found):
        assert np.array_equal(found, expected)

    return check


@pytest.mark.parametrize("seed", range(24))
@pytest.mark.parametrize("kind", ["flipped", "cut", "zeroed"])
def test_damaged_checkpoints(copied, the_same, trial, kind, seed):
    path, rng = copied / "checkpoint_best.pt", random.Random(f"{kind} {seed}")
    data = bytearray(path.read_bytes())
    at = rng.randrange(len(data))
    if kind == "cut":
        del data[at:]
    elif kind == "flipped":
        data[at] ^= 1 << rng.randrange(8)
    else:
        data[at : at + 64] = bytes(len(data[at : at + 64]))
    path.write_bytes(data)
    trial("checkpoints, damaged bytes", lambda: embedding(copied), the_same)


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("name", ["dict.txt", "bpe.model"])
def test_damaged_vocabularies(copied, the_same, trial, name, seed):
    path, rng = copied / name, random.Random(f"{name} {seed}")
    data = bytearray(path.read_bytes())
    data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
    path.write_bytes(data)
    trial("model folders", lambda: embedding(copied), the_same, "refused")


VALUES = (None, True, 0, -1, 3.5, "x", "", float("nan"), 10**6, 10**18, [1], {"a": 1})


@pytest.mark.parametrize("value", VALUES, ids=str)
@pytest.mark.parametrize("name", [*SIZES, "_name", "dropout", "compute_dtype"])
def test_settings(state, copied, the_same, trial, name, value):
    changed = {**state["cfg"], "model": {**state["cfg"]["model"], name: value}}
    torch.save({**state, "cfg": changed}, copied / "checkpoint_best.pt")

    def check(found):
        if name == "dropout":  # plays no part here
            the_same(found)
        else:
            assert value in (1, True, state["cfg"]["model"][name]), "taken for something else"

    trial("checkpoints, settings", lambda: embedding(copied), check)


PARTS = {
    "nothing": {},
    "a list": [1, 2],
    "a tensor": torch.zeros(3),
    "a number": 7,
    "no settings": {"model": {}},
    "settings that are a list": {"model": {}, "cfg": [1]},
    "settings without a model": {"model": {}, "cfg": {"task": {}}},
    "weights that are a list": {"model": [1], "cfg": {"model": {"_name": "item"}}},
    "weights that are numbers": {"model": {"a": 1.0}, "cfg": {"model": {"_name": "item"}}},
    "weights under numbers": {"model": {1: torch.zeros(1)}, "cfg": {"model": {"_name": "item"}}},
    "another program's model": {"model": {}, "cfg": {"model": {"_name": "transformer"}}},
}


@pytest.mark.parametrize("name", PARTS)
def test_what_is_no_checkpoint(copied, trial, name):
    torch.save(PARTS[name], copied / "checkpoint_best.pt")
    trial("checkpoints, settings", lambda: embedding(copied), print, "refused")


@pytest.mark.parametrize("value", VALUES, ids=str)
@pytest.mark.parametrize("name", ["categories", "stored_image_size", "fit", "vocabulary"])
def test_what_a_task_keeps(state, copied, trial, name, value):
    kept = {**state["task_state"], name: value}
    torch.save({**state, "task_state": kept}, copied / "checkpoint_best.pt")

    def check(found):
        assert value is None or (name, value) == ("stored_image_size", 10**4)

    trial("checkpoints, settings", lambda: embedding(copied), check)


class Runs:
    """A pickle of which leaves a trace where it is loaded as pickle loads it."""

    def __init__(self, function, *arguments):
        self.call = function, arguments

    def __reduce__(self):
        return self.call


def traps(trace):
    """Objects whose loading would touch the file ``trace``."""
    command = f"touch {trace}"
    return {
        "os.system": Runs(os.system, command),
        "eval": Runs(eval, f"__import__('os').system({command!r})"),
        "exec": Runs(exec, f"open({str(trace)!r}, 'w')"),
        "a path": Runs(Path.touch, Path(trace)),
        "open": Runs(open, str(trace), "w"),
        "a pickle within": Runs(pickle.loads, pickle.dumps(Runs(os.system, command))),
    }


WAYS = ("within the state", "in place of the weights", "a bare pickle", "as a second record")


@pytest.fixture
def trapped(state, copied, tmp_path):
    """``trapped(name, way)``: a model folder with a trap, and what would be its trace."""

    def make(name, way):
        trace, path = tmp_path / "trace", copied / "checkpoint_best.pt"
        trap = traps(trace)[name]
        if way == "a bare pickle":
            path.write_bytes(pickle.dumps({**state, "more": trap}))
        elif way == "in place of the weights":
            torch.save({**state, "model": trap}, path)
        elif way == "within the state":
            torch.save({**state, "more": [trap]}, path)
        else:
            with zipfile.ZipFile(path, "a") as file:
                file.writestr("checkpoint_best/data.pkl", pickle.dumps({**state, "more": trap}))
        shutil.copy(path, copied / LAST)
        return copied, trace

    return make


@pytest.mark.filterwarnings("ignore:Duplicate name")
@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("name", traps("trace"))
def test_no_code_is_run(trapped, data_bin, tmp_path, trial, name, way):
    folder, trace = trapped(name, way)
    common = ["--checkpoint", str(folder), "--data", str(data_bin), "--out"]
    path = folder / "checkpoint_best.pt"
    readers = {
        "from_pretrained": lambda: embedding(folder),
        "item-embed": lambda: embed.main([*common, str(tmp_path / "embeddings")]),
        "item-predict": lambda: predict.main([*common, str(tmp_path / "predictions.tsv")]),
        "--finetune-from-model": lambda: check_start(path, data_bin / "title" / "dict.txt"),
        "--restore-file": lambda: read_checkpoint(path),
        "resuming": lambda: restored_from(Saved(folder)),
    }
    for read in readers.values():
        said = trial("malicious checkpoints", read, print, "refused")
        assert "weights_only" not in said
        assert "trust" not in said
        assert not trace.exists()
    with pytest.raises(pickle.UnpicklingError):  # fairseq-validate says one line then
        checkpoint_utils.load_checkpoint_to_cpu(str(path))
    assert not trace.exists()


class Saved:
    """The settings of fairseq-train that say what it resumes from."""

    restore_file = LAST

    def __init__(self, folder):
        self.save_dir = str(folder)
