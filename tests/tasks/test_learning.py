"""Each objective is learnt on its own: below its start and below what knowing nothing gives."""

import math
import types

import numpy as np
import pytest
import torch

import fairseq_item

fairseq_item.register()

from fairseq_item.criterions.item_pretraining import (  # noqa: E402
    OBJECTIVES,
    ItemPretrainingCriterion,
    ItemPretrainingCriterionConfig,
)
from fairseq_item.data.dictionary import load_dictionary  # noqa: E402
from fairseq_item.data.image_store import ImageStore  # noqa: E402
from fairseq_item.data.item_dataset import Corruption, Geometry  # noqa: E402
from fairseq_item.data.second_view import SecondViewDataset  # noqa: E402
from fairseq_item.data.settings import Views  # noqa: E402
from fairseq_item.data.sharded import open_split  # noqa: E402
from fairseq_item.data.token_store import TokenStore  # noqa: E402
from fairseq_item.models.item import ItemModel, ItemModelConfig  # noqa: E402

GEOMETRY = Geometry(image_size=32, patch_size=8, max_title_length=8)
BATCH, EPOCHS = 34, 300
# Half of a title is a model number, which only a model that knows the product by heart could say.
ENOUGH = {"itm": 0.85, "mlm": 0.95, "gmlm": 0.95, "mim": 0.8, "gmim": 0.8}


@pytest.fixture(scope="module")
def batches(data_bin):
    """Two batches for each of some epochs, drawn once for all tests."""
    dictionary = load_dictionary(data_bin / "title" / "dict.txt")
    dataset = SecondViewDataset(
        open_split(data_bin, "train", "title", TokenStore),
        open_split(data_bin, "train", "image", ImageStore),
        dictionary,
        GEOMETRY,
        Corruption(),
        views=Views(),
        shuffle=True,
    )
    drawn = []
    for epoch in range(1, EPOCHS + 1):
        dataset.set_epoch(epoch)
        order = dataset.ordered_indices()
        for start in range(0, len(order), BATCH):
            drawn.append(dataset.collater([dataset[i] for i in order[start : start + BATCH]]))
    return dictionary, drawn


def learn(batches, updates=None, layers=1, **weights):
    """Train on the first batches, or all; returns the mean losses of the first and last ones."""
    dictionary, drawn = batches
    torch.manual_seed(1)
    cfg = ItemModelConfig(
        encoder_layers=layers, encoder_embed_dim=32, encoder_ffn_embed_dim=64,
        encoder_attention_heads=2, dropout=0.0, attention_dropout=0.0, image_size=32,
        patch_size=8, max_title_length=8,
    )  # fmt: skip
    model = ItemModel.build_model(cfg, types.SimpleNamespace(source_dictionary=dictionary))
    with torch.no_grad():  # a deviation of 0.02 is meant for hundreds of dimensions
        for parameter in model.parameters():
            parameter.mul_(5.0 if parameter.dim() > 1 else 1.0)
    weights = {f"{name}_weight": weights.get(name, 0.0) for name in (*OBJECTIVES, "view_contrast")}
    criterion = ItemPretrainingCriterion(
        types.SimpleNamespace(target_dictionary=None),
        ItemPretrainingCriterionConfig(mismatch_prob=0.5, masked_losses_on="all", **weights),
    )
    parameters = [*model.parameters(), *criterion.parameters()]
    optimizer = torch.optim.AdamW(parameters, lr=3e-3, betas=(0.9, 0.98))
    logs = []
    for batch in drawn[:updates]:
        loss, size, log = criterion(model, batch)
        optimizer.zero_grad()
        (loss / size).backward()
        optimizer.step()
        logs.append({key: float(value) for key, value in log.items()})
    return [mean_losses(part) for part in (logs[:5], logs[-20:])]


def mean_losses(logs):
    units = {"itm": "nsentences", "mlm": "title_products", "gmlm": "title_products"}
    units |= {"mim": "patch_products", "gmim": "patch_products", "view": "view_products"}
    total = {key: sum(log[key] for log in logs) for key in logs[0]}
    return {name: total[f"{name}_sum"] / total[u] for name, u in units.items() if u in total}


@pytest.fixture(scope="module")
def knowing_nothing(batches):
    """What the best answer gets that knows a place and not the product, in the same units."""
    words, patches = {}, {}
    for batch in batches[1]:
        inputs = batch["net_input"]
        width, count = inputs["title"].size(1), inputs["patches"].size(1)
        for place, token in zip((inputs["masked_title"] % width).tolist(), batch["title_targets"]):
            words.setdefault(place, []).append(int(token))
        pixels = inputs["patches"].flatten(0, 1)[inputs["masked_patches"]].numpy() / 255
        for place, patch in zip((inputs["masked_patches"] % count).tolist(), pixels):
            patches.setdefault(place, []).append(patch)
    entropies = []
    for tokens in words.values():
        share = np.unique(tokens, return_counts=True)[1] / len(tokens)
        entropies += [-(share * np.log(share)).sum()] * len(tokens)
    errors = [((rows - np.mean(rows, 0)) ** 2).sum(1) for rows in patches.values()]
    word, patch = float(np.mean(entropies)), float(np.concatenate(errors).mean())
    return {"itm": math.log(2), "mlm": word, "gmlm": word, "mim": patch, "gmim": patch}


@pytest.mark.parametrize("name", ["mlm", "gmlm", "mim", "gmim"])
def test_a_masked_objective_is_learnt_on_its_own(batches, knowing_nothing, name):
    first, last = learn(batches, updates=300, **{name: 1.0})
    assert last[name] < 0.5 * first[name]
    assert last[name] < ENOUGH[name] * knowing_nothing[name]


def test_matching_is_learnt_on_its_own(batches, knowing_nothing):
    first, last = learn(batches, itm=1.0)
    assert last["itm"] < ENOUGH["itm"] * min(first["itm"], knowing_nothing["itm"])


def test_all_five_are_learnt_together(batches, knowing_nothing):
    """With the paper's weights."""
    weights = {"itm": 1.0, "mlm": 0.1, "gmlm": 0.1, "mim": 0.01, "gmim": 0.01}
    first, last = learn(batches, layers=2, **weights)
    for name in OBJECTIVES:
        assert last[name] < ENOUGH[name] * min(first[name], knowing_nothing[name]), name


def test_second_views_are_told_apart(batches):
    first, last = learn(batches, updates=200, view_contrast=1.0)
    assert last["view"] < 0.5 * first["view"]
