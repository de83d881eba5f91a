"""Products of a category that training does not have, or of none."""

import shutil

import pytest

from fairseq_item.data.targets import NO_CATEGORY, UNKNOWN, read_categories
from fairseq_item.data.token_store import TokenWriter
from fairseq_item.data.tsv import read_table, write_table
from fairseq_item.errors import InputError
from fairseq_item.tasks.item_classification import ItemClassificationConfig, ItemClassificationTask


@pytest.fixture
def strange(data_bin, tmp_path, bind):
    """The small data-bin, where valid has two hats of an unknown kind and one nameless product."""
    data = tmp_path / "data-bin"
    shutil.copytree(data_bin, data)
    table = read_table(data / "items" / "valid.tsv")
    column = table.fieldnames.index("leaf_category")
    for row, name in enumerate(["Top Hats", "Top Hats", ""]):
        table.rows[row][column] = name
    write_table(data / "items" / "valid.tsv", table)
    bind(data, "valid")
    categories = read_categories(data)
    with TokenWriter(data / "label" / "valid", len(categories) + 4) as writer:
        for name in table.column("leaf_category"):
            writer.add([categories.index(name) + 4 if name in categories else 3])
    return data, table.column("leaf_category")


def task(data):
    cfg = ItemClassificationConfig(
        data=str(data), image_size=32, patch_size=8, max_title_length=8, seed=1, save_dir="",
        no_save=True, finetune_from_model=None,
    )  # fmt: skip
    return ItemClassificationTask.setup_task(cfg)


def test_they_are_reported_and_not_learnt_from(strange, caplog):
    data, names = strange
    made = task(data)
    made.load_dataset("valid")
    said = [record.getMessage() for record in caplog.records]
    count = len(names)
    assert (
        f"valid: 2 of {count} products are of leaf categories that training does not have" in said
    )
    assert f"valid: 1 of {count} products have no leaf category" in said
    dataset = made.dataset("valid")
    batch = dataset.collater([dataset[i] for i in range(count)])
    assert batch["target"][:3].tolist() == [UNKNOWN, UNKNOWN, NO_CATEGORY]
    assert [made.categories[i] for i in batch["target"][3:]] == names[3:]
    assert batch["labelled"] == count - 3
    assert set(batch["net_input"]) == {"title", "patches"}


def test_a_checkpoint_knows_the_names(strange):
    made = task(strange[0])
    assert made.state_dict()["categories"] == made.categories == read_categories(strange[0])


def test_a_catalogue_without_leaf_categories(data_bin, tmp_path):
    data = tmp_path / "data-bin"
    shutil.copytree(data_bin, data)
    shutil.rmtree(data / "label")
    with pytest.raises(InputError, match="give the catalogue a column leaf_category"):
        task(data)
