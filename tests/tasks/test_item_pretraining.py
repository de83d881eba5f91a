"""The task as fairseq's trainer uses it: splits, epochs and what is drawn anew."""

import shutil

import numpy as np
import pytest
import torch
from omegaconf import OmegaConf

import fairseq_item
from fairseq_item.errors import InputError

fairseq_item.register()

from fairseq_item.data.image_store import ImageStore, ImageStoreWriter  # noqa: E402
from fairseq_item.data.token_store import TokenStore, TokenWriter  # noqa: E402
from fairseq_item.models.item import ItemModelConfig  # noqa: E402
from fairseq_item.tasks.item_pretraining import (  # noqa: E402
    ItemPretrainingConfig,
    ItemPretrainingTask,
)


def task(data, **changes):
    values = {
        "data": str(data),
        "image_size": 32,
        "patch_size": 8,
        "max_title_length": 8,
        "view_contrast_weight": 0.0,
        "seed": 1,
        "save_dir": "",
        "no_save": True,
        **changes,
    }
    return ItemPretrainingTask.setup_task(OmegaConf.structured(ItemPretrainingConfig(**values)))


def epochs(the_task, split, count, num_workers=0, **options):
    """The batches of the first epochs, from the one iterator that fairseq keeps."""
    the_task.load_dataset(split)
    result = []
    for epoch in range(1, count + 1):
        iterator = the_task.get_batch_iterator(
            the_task.dataset(split),
            max_sentences=16,
            epoch=epoch,
            num_workers=num_workers,
            **options,
        )
        batches = iterator.next_epoch_itr(shuffle=split == "train")
        result.append([batch for batch in batches if batch])  # {} fills up a smaller shard
    return result


def by_product(batches, *keys):
    """{product: what the batches show of it under ``keys``}; flat places count within products."""
    seen = {}
    for batch in batches:
        width = batch["net_input"]["title"].size(1)
        for row, product in enumerate(batch["id"].tolist()):
            title = batch["net_input"]["title"][row]
            places = batch["net_input"]["masked_title"]
            patches = batch["net_input"]["masked_patches"]
            values = {
                "title": title[title != 1].tolist(),
                "match": int(batch["match"][row]),
                "masked_title": (places[places // width == row] % width).tolist(),
                "masked_patches": (patches[patches // 16 == row] % 16).tolist(),
                "patches": batch["net_input"]["patches"][row].tolist(),
            }
            assert product not in seen
            seen[product] = [values[key] for key in keys]
    return seen


def test_every_epoch_shows_every_product_once_and_differently(data_bin):
    first, second = epochs(task(data_bin), "train", 2)
    assert sorted(by_product(first)) == sorted(by_product(second)) == list(range(68))
    composition = [[sorted(batch["id"].tolist()) for batch in epoch] for epoch in (first, second)]
    assert sorted(composition[0]) != sorted(composition[1])
    for key in ("match", "masked_title", "masked_patches", "patches"):
        a, b = by_product(first, key), by_product(second, key)
        changed = np.mean([a[product] != b[product] for product in a])
        # Half of the matches change by chance, masks and crops nearly all.
        assert changed > (0.3 if key == "match" else 0.7), key


def test_loading_processes_see_the_new_epoch(data_bin):
    alone = epochs(task(data_bin), "train", 2)
    helped = epochs(task(data_bin), "train", 2, num_workers=1)
    keys = ("title", "match", "masked_patches", "patches")
    assert by_product(alone[1], *keys) == by_product(helped[1], *keys)


def test_validation_is_the_same_in_every_epoch(data_bin):
    the_task = task(data_bin)
    first, second = epochs(the_task, "valid", 2)
    keys = ("title", "match", "masked_title", "masked_patches", "patches")
    assert by_product(first, *keys) == by_product(second, *keys)
    assert [batch["id"].tolist() for batch in first] == [list(range(14))]
    assert 0 < sum(match for (match,) in by_product(first, "match").values()) < 14


def test_validation_takes_the_centre_of_the_image(data_bin):
    the_task = task(data_bin)
    (batches,) = epochs(the_task, "valid", 1)
    image = the_task.images("valid").image(3)
    corner = batches[0]["net_input"]["patches"][3, 0].reshape(8, 8, 3)
    assert (corner.numpy() == image[4:12, 4:12]).all()


def test_two_processes_share_an_epoch(data_bin):
    parts = [
        by_product(epochs(task(data_bin), "train", 1, num_shards=2, shard_id=shard)[0])
        for shard in range(2)
    ]
    assert not set(parts[0]) & set(parts[1])
    assert sorted([*parts[0], *parts[1]]) == list(range(68))


def test_shards_are_one_split(data_bin, tmp_path):
    """train0 and train1 read as train: what the iterator yields is the same."""
    data = tmp_path / "data"
    shutil.copytree(data_bin, data)
    split_in_two(data, "train", 30)
    keys = ("title", "match", "masked_patches", "patches")
    whole, sharded = (epochs(task(path), "train", 1)[0] for path in (data_bin, data))
    assert by_product(whole, *keys) == by_product(sharded, *keys)


def split_in_two(data, split, first):
    """Cut a split of a data-bin into the shards {split}0 and {split}1."""
    images, titles = ImageStore(data / "image" / split), TokenStore(data / "title" / split)
    header, *rows = (data / "items" / f"{split}.tsv").read_text().splitlines(keepends=True)
    for shard, part in enumerate((range(first), range(first, len(rows)))):
        name = f"{split}{shard}"
        lines = [header, *(rows[i] for i in part)]
        (data / "items" / f"{name}.tsv").write_text("".join(lines))
        with ImageStoreWriter(data / "image" / name, image_size=40, patch_size=8) as writer:
            for i in part:
                writer.add(images.image(i))
        with TokenWriter(data / "title" / name, 400) as writer:
            for i in part:
                writer.add(titles[i][:-1])
    for path in data.glob(f"*/{split}.*"):
        path.unlink()


def test_pixel_heads_start_at_the_mean_patch(data_bin):
    the_task = task(data_bin)
    cfg = ItemModelConfig(
        encoder_layers=1, encoder_embed_dim=16, encoder_ffn_embed_dim=32,
        encoder_attention_heads=2, image_size=32, patch_size=8, max_title_length=8,
    )  # fmt: skip
    cfg._name = "item"
    model = the_task.build_model(OmegaConf.structured(cfg))
    images = np.stack([the_task.images("train").image(i) for i in range(68)]) / 255
    mean = images.reshape(68, 5, 8, 5, 8, 3).mean((0, 1, 3)).reshape(-1)
    assert np.allclose(model.mim.bias.detach(), mean, atol=1e-6)
    assert torch.equal(model.mim.bias, model.gmim_pixels.bias)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("title/dict.txt", "dict.txt is missing; run preprocess/train_bpe.py"),
        ("items/train.tsv", "items/train.tsv is missing; splits there: test, valid"),
        ("image/train.json", "train.json is missing, so the store is not whole"),
    ],
)
def test_missing_files_are_named(data_bin, tmp_path, name, message):
    shutil.copytree(data_bin, tmp_path / "data")
    (tmp_path / "data" / name).unlink()
    with pytest.raises(InputError, match=message):
        task(tmp_path / "data").load_dataset("train")


def test_a_split_that_is_not_there_is_named(data_bin):
    with pytest.raises(InputError, match=r"query.tsv is missing; splits there: test, train, valid"):
        task(data_bin).load_dataset("query")
