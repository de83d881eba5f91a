import math
import types

import pytest
import torch
from fairseq.logging import metrics

from fairseq_item.criterions.item_pretraining import (
    OBJECTIVES,
    ItemPretrainingCriterion,
    ItemPretrainingCriterionConfig,
)
from fairseq_item.errors import InputError
from fairseq_item.models.item import Predictions


def criterion(masked_losses_on="all", **weights):
    cfg = ItemPretrainingCriterionConfig(
        mismatch_prob=0.5, masked_losses_on=masked_losses_on, **weights
    )
    return ItemPretrainingCriterion(types.SimpleNamespace(target_dictionary=None), cfg)


class Canned:
    """A model that answers with what it was given."""

    def __init__(self, predictions):
        self.predictions = predictions

    def __call__(self):
        return self.predictions


def example():
    """Two products: the first with two masked tokens and one patch, the second with one token."""
    return (
        Predictions(
            itm=torch.tensor([[0.0, 0.0], [0.0, math.log(3)]]),
            mlm=torch.tensor([[0.0, 0.0, 0.0, 0.0], [math.log(5), 0.0, 0.0, 0.0], [0.0] * 4]),
            gmlm=torch.zeros(3, 4),
            mim=torch.tensor([[0.5, 0.5]]),
            gmim=torch.tensor([[1.0, 0.0]]),
            patch_targets=torch.tensor([[0.5, 0.0]]),
        ),
        {
            "net_input": {},
            "nsentences": 2,
            "ntokens": 5,
            "match": torch.tensor([0, 1]),
            "title_targets": torch.tensor([2, 0, 3]),
            "title_weights": torch.tensor([0.5, 0.5, 1.0]),
            "patch_weights": torch.tensor([1.0]),
        },
    )


EXPECTED = {
    "itm": math.log(2) + math.log(4 / 3),
    "mlm": (math.log(4) + math.log(8 / 5)) / 2 + math.log(4),
    "gmlm": 2 * math.log(4),
    "mim": 0.25,
    "gmim": 0.25,
}
UNITS = {"itm": 2, "mlm": 2, "gmlm": 2, "mim": 1, "gmim": 1}
WEIGHTS = {"itm": 1.0, "mlm": 0.1, "gmlm": 0.1, "mim": 0.01, "gmim": 0.01}


def test_losses_by_hand():
    predictions, sample = example()
    loss, size, log = criterion()(Canned(predictions), sample)
    assert size == 2
    for name in OBJECTIVES:
        assert float(log[f"{name}_sum"]) == pytest.approx(EXPECTED[name], rel=1e-5), name
    total = sum(WEIGHTS[name] * EXPECTED[name] for name in OBJECTIVES)
    assert float(loss) == pytest.approx(total, rel=1e-5)
    assert int(log["itm_right"]) == 2
    assert int(log["mlm_right"]) == 1


@pytest.mark.parametrize("name", OBJECTIVES)
def test_each_weight_counts_for_its_objective_alone(name):
    predictions, sample = example()
    off = {f"{other}_weight": 0.0 for other in OBJECTIVES}
    loss, _, _ = criterion(**{**off, f"{name}_weight": 3.0})(Canned(predictions), sample)
    assert float(loss) == pytest.approx(3 * EXPECTED[name], rel=1e-5)


def test_logged_means_are_over_own_units_and_loss_is_their_sum():
    predictions, sample = example()
    _, _, log = criterion()(Canned(predictions), sample)
    with metrics.aggregate() as logged:
        ItemPretrainingCriterion.reduce_metrics([log])
    values = logged.get_smoothed_values()
    for name in OBJECTIVES:
        mean = EXPECTED[name] / UNITS[name]
        assert values[name] == pytest.approx(mean, abs=1e-4)
        assert values[f"{name}_weighted"] == pytest.approx(WEIGHTS[name] * mean, abs=1e-4)
    total = sum(WEIGHTS[name] * EXPECTED[name] / UNITS[name] for name in OBJECTIVES)
    assert values["loss"] == pytest.approx(total, abs=1e-4)
    assert values["itm_accuracy"] == 100.0
    assert values["mlm_accuracy"] == pytest.approx(33.33, abs=0.01)
    assert all(isinstance(value, float) for value in values.values())


def test_logs_of_parts_add_up_to_those_of_the_whole():
    predictions, sample = example()
    _, _, log = criterion()(Canned(predictions), sample)
    half = {key: value / 2 for key, value in log.items()}
    results = []
    for logs in ([log], [half, half]):
        with metrics.aggregate() as logged:
            ItemPretrainingCriterion.reduce_metrics(logs)
        results.append(logged.get_smoothed_values())
    assert results[0] == pytest.approx(results[1])


def test_nothing_masked_contributes_nothing():
    predictions, sample = example()
    empty = {key: getattr(predictions, key)[:0] for key in ("mlm", "gmlm", "mim", "gmim")}
    predictions = predictions._replace(**empty, patch_targets=predictions.patch_targets[:0])
    sample.update(
        title_targets=sample["title_targets"][:0],
        title_weights=sample["title_weights"][:0],
        patch_weights=sample["patch_weights"][:0],
    )
    loss, _, log = criterion()(Canned(predictions), sample)
    assert float(loss) == pytest.approx(EXPECTED["itm"], rel=1e-5)
    assert [float(log[f"{name}_sum"]) for name in OBJECTIVES[1:]] == [0.0] * 4
    with metrics.aggregate() as logged:
        ItemPretrainingCriterion.reduce_metrics([log])
    assert "mlm" not in logged.get_smoothed_values()


def test_matched_pairs_only_keeps_the_weights():
    """Half of the products then say nothing of the masked losses; the others count double."""
    predictions, sample = example()
    loss, _, _ = criterion("matched", itm_weight=0.0)(Canned(predictions), sample)
    expected = sum(WEIGHTS[name] * 2 * EXPECTED[name] for name in OBJECTIVES[1:])
    assert float(loss) == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize(
    ("settings", "flag"),
    [
        ({"mlm_weight": -1.0}, "--mlm-weight"),
        ({"view_contrast_weight": float("inf")}, "--view-contrast-weight"),
        ({"view_contrast_weight": 1.0, "view_temperature": 0.0}, "--view-temperature"),
    ],
)
def test_impossible_weights_are_refused(settings, flag):
    with pytest.raises(InputError, match=flag):
        criterion(**settings)


def test_temperatures_start_anew_where_the_checkpoint_has_none(caplog):
    """fairseq stores None for a criterion without parameters."""
    caplog.set_level("INFO")
    contrast = criterion(view_contrast_weight=1.0, view_temperature=0.5)
    contrast.load_state_dict(None, strict=True)
    assert contrast.view_contrast.logit_scale.tolist() == pytest.approx([math.log(2)] * 3)
    assert "--view-temperature" in caplog.text
    old = {"view_contrast.log_scale": torch.tensor([1.0, 2.0, 3.0])}
    contrast.load_state_dict(old, strict=True)
    assert contrast.view_contrast.logit_scale.tolist() == [1.0, 2.0, 3.0]
