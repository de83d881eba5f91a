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
from fairseq_item.data.siblings import Siblings  # noqa: E402
from fairseq_item.data.token_store import TokenStore, TokenWriter  # noqa: E402
from fairseq_item.data.tsv import read_table  # noqa: E402
from fairseq_item.models.item import ItemModelConfig  # noqa: E402
from fairseq_item.modules import precision  # noqa: E402
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
        "separate_views": False,
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


def model_settings(**changes):
    sizes = {
        "encoder_layers": 1, "encoder_embed_dim": 16, "encoder_ffn_embed_dim": 32,
        "encoder_attention_heads": 2, "image_size": 32, "patch_size": 8, "max_title_length": 8,
    }  # fmt: skip
    cfg = ItemModelConfig(**{**sizes, **changes})
    cfg._name = "item"
    return OmegaConf.structured(cfg)


def test_pixel_heads_start_at_the_mean_patch(data_bin):
    the_task = task(data_bin)
    model = the_task.build_model(model_settings())
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


@pytest.mark.parametrize("patch_size", [16, 32])
def test_patches_need_not_divide_the_stored_side(data_bin, patch_size):
    """Only the crop of 32 pixels is made of patches; the images are stored at 40."""
    the_task = task(data_bin, patch_size=patch_size)
    model = the_task.build_model(model_settings(patch_size=patch_size))
    image = np.mean([the_task.images("train").image(i)[4:36, 4:36] for i in range(68)], 0) / 255
    mean = image.reshape(32 // patch_size, patch_size, -1, patch_size, 3).mean((0, 2)).reshape(-1)
    assert np.allclose(model.mim.bias.detach(), mean, atol=1e-6)
    (batches,) = epochs(the_task, "valid", 1)
    shape = (14, (32 // patch_size) ** 2, 3 * patch_size**2)
    assert batches[0]["net_input"]["patches"].shape == shape


def test_patches_larger_than_the_stored_side(data_bin):
    the_task = task(data_bin, image_size=48, patch_size=48)
    model = the_task.build_model(model_settings(image_size=48, patch_size=48))
    assert 0 < float(model.mim.bias.mean()) < 1


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("title_mask_prob", 1.5),
        ("patch_mask_prob", 1.5),
        ("mismatch_prob", -1.0),
        ("crop_min_scale", 2.0),
        ("crop_min_scale", 0.0),
        ("flip_prob", float("nan")),
        ("image_size", 33),
        ("patch_size", 0),
        ("max_title_length", -1),
    ],
)
def test_impossible_settings_are_refused(data_bin, setting, value):
    flag = f"--{setting.replace('_', '-')}"
    with pytest.raises(InputError, match=f"{flag} is {value}|{flag} {value}"):
        task(data_bin, **{setting: value}).load_dataset("train")


@pytest.mark.parametrize(
    "setting", ["view_word_drop", "view_single", "view_split", "view_light", "view_photos"]
)
def test_impossible_views_are_refused(data_bin, setting):
    with pytest.raises(InputError, match=f"--{setting.replace('_', '-')} is 1.5"):
        task(data_bin, view_contrast_weight=1.0, **{setting: 1.5}).load_dataset("train")


def test_separate_views_have_both_a_title_and_an_image(data_bin):
    for separate in (False, True):
        settings = {"view_contrast_weight": 1.0, "separate_views": separate, "view_single": 1.0}
        (batches,) = epochs(task(data_bin, **settings), "train", 1)
        words = [(batch["view"]["title"] > 3).any(1) for batch in batches]
        both = torch.cat(words) & torch.cat([batch["view"]["has_image"] for batch in batches])
        assert both.all() if separate else not both.any()


def test_rows_of_a_product_come_as_views_of_one_another_only_where_asked_for(data_bin, monkeypatch):
    def batch(**settings):
        return epochs(task(data_bin, view_contrast_weight=1.0, **settings), "train", 1)[0][0]

    rows = len(read_table(data_bin / "items" / "train.tsv"))
    siblings = "fairseq_item.tasks.second_views.open_siblings"
    for products, known in ((["p1"] * rows, True), ([""] * rows, False)):
        monkeypatch.setattr(siblings, lambda *_, names=products: Siblings(names))
        assert "product" not in batch()
        assert ("product" in batch(view_photos=0.5)) == known


def test_without_images_none_is_read(data_bin, tmp_path):
    data = tmp_path / "data"
    shutil.copytree(data_bin, data)
    shutil.rmtree(data / "image")
    the_task = task(data)
    the_task.build_model(model_settings(without_images=True))
    (batches,) = epochs(the_task, "valid", 1)
    assert len(batches[0]["net_input"]["masked_patches"]) == 0
    assert len(batches[0]["net_input"]["masked_title"]) > 0


def test_second_views_leave_the_first_as_it_is_but_for_what_is_drawn_later(data_bin):
    """Crops are those without a second view; the draws of masks come after the view's."""
    (plain,) = epochs(task(data_bin), "train", 1)
    (viewed,) = epochs(task(data_bin, view_contrast_weight=1.0), "train", 1)
    assert by_product(plain, "patches") == by_product(viewed, "patches")
    assert all("view" not in batch for batch in plain)
    for batch in viewed:
        rows = len(batch["id"])
        assert set(batch["net_input"]) == set(plain[0]["net_input"])
        assert batch["view"]["patches"].shape == batch["net_input"]["patches"].shape
        assert len(batch["view"]["title"]) == len(batch["view"]["has_image"]) == rows


def test_auto_is_resolved_once_and_kept(data_bin, tmp_path, monkeypatch):
    """In the configuration that checkpoints hold; training that resumes goes on with it."""
    seconds = {"float32": 2.0, "bfloat16": 1.0}
    monkeypatch.setattr(precision, "measure", lambda *widths: seconds)
    settings = {"cpu": True, "save_dir": str(tmp_path), "restore_file": "checkpoint_last.pt"}
    cfg = model_settings(compute_dtype="auto")
    model = task(data_bin, **settings).build_model(cfg)
    assert cfg.compute_dtype == model.cfg.compute_dtype == "bfloat16"
    saved = {"cfg": {"model": {"compute_dtype": "bfloat16"}}, "model": {}}
    torch.save(saved, tmp_path / "checkpoint_last.pt")
    seconds["bfloat16"] = 3.0
    resumed = model_settings(compute_dtype="auto")
    task(data_bin, **settings).build_model(resumed)
    assert resumed.compute_dtype == "bfloat16"


def test_settings_of_old_checkpoints_are_read(data_bin):
    """fairseq-validate builds the model of a checkpoint's configuration."""
    cfg = OmegaConf.create(OmegaConf.to_container(model_settings(), enum_to_str=True))
    for young in ("without_images", "no_cpu_kernels"):
        del cfg[young]
    cfg.without_pictures = True
    assert task(data_bin).build_model(cfg, from_checkpoint=True).cfg.without_images
