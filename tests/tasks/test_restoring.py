"""What training would go on from is looked at first: damaged, or of other data or another size."""

import shutil
from types import SimpleNamespace

import pytest
import torch
from omegaconf import OmegaConf

from fairseq_item.errors import InputError
from fairseq_item.models.checkpoint import read_checkpoint
from fairseq_item.tasks import saving
from fairseq_item.tasks.item_classification import ItemClassificationConfig, ItemClassificationTask
from fairseq_item.tasks.item_pretraining import ItemPretrainingConfig, ItemPretrainingTask
from fairseq_item.tasks.restoring import LAST, restored_from


@pytest.fixture
def saved(model_folder, tmp_path):
    folder = tmp_path / "model"
    shutil.copytree(model_folder, folder)
    return folder


def settings(data, folder, **changes):
    values = {
        "data": str(data), "image_size": 32, "patch_size": 8, "max_title_length": 8, "seed": 1,
        "save_dir": str(folder), "no_save": True, "restore_file": LAST, "cpu": True,
        "finetune_from_model": None, **changes,
    }  # fmt: skip
    return values


def build(data, folder, **changes):
    """What fairseq-train does before it loads a checkpoint."""
    values = settings(data, folder, view_contrast_weight=0.0)
    task = ItemPretrainingTask.setup_task(OmegaConf.structured(ItemPretrainingConfig(**values)))
    kept = torch.load(folder / LAST, weights_only=True, mmap=True)["cfg"]["model"]
    return task.build_model(OmegaConf.create({**kept, **changes}))


def halve(path):
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


@pytest.mark.parametrize("harm", [halve, lambda path: path.write_bytes(b"")])
def test_a_damaged_last_checkpoint_falls_back_to_the_newest_other(saved, harm, caplog):
    state = torch.load(saved / "checkpoint_best.pt", weights_only=True)
    state["optimizer_history"][-1]["num_updates"] -= 1
    torch.save(state, saved / "checkpoint_1_3.pt")
    whole = (saved / "checkpoint_best.pt").read_bytes()
    harm(saved / LAST)
    damaged = (saved / LAST).read_bytes()
    cfg = SimpleNamespace(save_dir=str(saved), restore_file=LAST)
    assert restored_from(cfg) == saved / LAST
    assert (saved / LAST).read_bytes() == whole
    assert (saved / f"{LAST}.damaged").read_bytes() == damaged
    assert "going on from" in caplog.text
    # Written over in place by fairseq, it must not be one file with the other.
    assert not (saved / LAST).samefile(saved / "checkpoint_best.pt")


def test_without_another_checkpoint_it_is_refused(saved):
    (saved / "checkpoint_best.pt").unlink()
    halve(saved / LAST)
    cfg = SimpleNamespace(save_dir=str(saved), restore_file=LAST)
    with pytest.raises(InputError, match="no other in .* to go on from: remove it to start anew"):
        restored_from(cfg)


def test_what_is_restored_by_name(saved, tmp_path, monkeypatch):
    monkeypatch.chdir(saved)
    cfg = SimpleNamespace(save_dir=str(tmp_path / "other"), restore_file="checkpoint_best.pt")
    assert read_checkpoint(restored_from(cfg))["cfg"]
    assert restored_from(SimpleNamespace(save_dir=str(tmp_path), restore_file=LAST)) is None
    assert restored_from(SimpleNamespace(save_dir=str(tmp_path), restore_file="no.pt")) is None


def test_resuming_fits(saved, data_bin):
    build(data_bin, saved)


@pytest.mark.parametrize("name", ["dict.txt", "bpe.model"])
def test_another_vocabulary_of_the_same_size_is_refused(saved, data_bin, tmp_path, name):
    data = tmp_path / "data"
    shutil.copytree(data_bin, data)
    path = data / "title" / name
    lines = path.read_bytes().split(b"\n")
    lines[5], lines[6] = lines[6], lines[5]
    path.write_bytes(b"\n".join(lines))
    with pytest.raises(InputError, match=rf"{name} is not the one that .*{LAST} was trained with"):
        build(data, saved)


def test_another_size_says_what_differs(saved, data_bin):
    with pytest.raises(InputError, match=r"of another model: --encoder-layers 2 there and 3 here;"):
        build(data_bin, saved, encoder_layers=3)


def classification(data, folder):
    cfg = ItemClassificationConfig(**settings(data, folder))
    return ItemClassificationTask.setup_task(OmegaConf.structured(cfg))


def test_other_leaf_categories_are_refused_when_validating(data_bin, tmp_path):
    task = classification(data_bin, tmp_path)
    kept = task.state_dict()
    task.load_state_dict(dict(kept))
    with pytest.raises(InputError, match="the checkpoint predicts other leaf categories than"):
        task.load_state_dict({**kept, "categories": kept["categories"][::-1]})
    vocabulary = {**kept["vocabulary"], "dict.txt": "0" * 64}
    with pytest.raises(InputError, match=r"dict\.txt is not the one that the checkpoint was"):
        task.load_state_dict({**kept, "vocabulary": vocabulary})


def test_a_full_disk_leaves_no_half_checkpoint(tmp_path):
    path = tmp_path / "checkpoint_last.pt.tmp"

    class Full:
        name = str(path)

        def write(self, data):
            path.write_bytes(b"half")
            raise OSError(28, "No space left on device")

        def flush(self):
            pass

    with pytest.raises(InputError, match=r"checkpoint_last\.pt cannot be written \(.*; make room"):
        saving._save({"a": torch.zeros(3)}, Full())
    assert list(tmp_path.iterdir()) == []


def test_an_update_that_fails_names_its_objectives_and_products():
    log = {"itm_sum": torch.tensor(1.0), "mlm_sum": torch.tensor(float("nan")), "sample_size": 3}
    log["mlm_weighted_sum"] = torch.tensor(float("inf"))
    message = r"update 7 gave no finite number in mlm; its batch begins with products 4, 0, 9 of"
    with pytest.raises(InputError, match=message):
        saving.refuse_update(log, {"id": torch.tensor([4, 0, 9])}, 7)
    log.pop("mlm_sum")
    with pytest.raises(InputError, match="no finite number in the gradient"):
        saving.refuse_update(log, {"id": torch.tensor([4])}, 7)
