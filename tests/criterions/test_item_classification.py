import math
import types

import pytest
import torch
from fairseq.logging import metrics

from fairseq_item.criterions.item_classification import ItemClassificationCriterion
from fairseq_item.data.targets import NO_CATEGORY, UNKNOWN

LOGITS = torch.zeros(5, 7)
LOGITS[0, 2] = LOGITS[1, 2] = math.log(6)  # first choice is class 2, with 6 of 12
LOGITS[1, [3, 4, 5, 6]] = 0.1  # class 0 and 1 are not among the first five
TARGETS = torch.tensor([2, 0, UNKNOWN, NO_CATEGORY, 0])


def evaluate(logits=LOGITS, target=TARGETS):
    criterion = ItemClassificationCriterion(types.SimpleNamespace(target_dictionary=None))
    sample = {
        "net_input": {},
        "target": target,
        "labelled": int((target >= 0).sum()),
        "nsentences": len(target),
        "ntokens": 9,
    }
    return criterion(lambda: logits, sample)


def logged(*logs):
    with metrics.aggregate() as values:
        ItemClassificationCriterion.reduce_metrics(list(logs))
    return values.get_smoothed_values()


def test_loss_and_accuracies_by_hand():
    loss, size, log = evaluate()
    expected = math.log(2) + (math.log(6 + 2 + 4 * math.exp(0.1)) - 0) + math.log(7)
    assert size == 3
    assert float(loss) == pytest.approx(expected, rel=1e-5)
    values = logged(log)
    assert values["loss"] == pytest.approx(expected / 3, abs=1e-4)
    assert int(log["counted"]) == 4  # of which one has a category that cannot be right
    assert all(isinstance(value, float) for value in values.values())


def test_first_and_first_five():
    logits = torch.arange(8.0).expand(4, 8)  # 7 first, then 6, 5, 4, 3
    _, _, log = evaluate(logits, torch.tensor([7, 3, 2, UNKNOWN]))
    values = logged(log)
    assert (values["accuracy"], values["accuracy_at_5"]) == (25.0, 50.0)


def test_fewer_than_five_categories():
    _, _, log = evaluate(torch.eye(3), torch.tensor([0, 1, 0]))
    values = logged(log)
    assert values["accuracy"] == pytest.approx(66.667)
    assert values["accuracy_at_5"] == 100.0


def test_logs_of_parts_add_up_to_those_of_the_whole():
    _, _, log = evaluate()
    half = {key: value / 2 for key, value in log.items()}
    assert logged(log) == pytest.approx(logged(half, half))


def test_nothing_to_learn_gives_no_loss_and_no_gradient():
    logits = torch.randn(2, 3, requires_grad=True)
    loss, size, log = evaluate(logits, torch.tensor([UNKNOWN, NO_CATEGORY]))
    loss.backward()
    assert (loss.item(), size) == (0.0, 0)
    assert logits.grad.abs().sum() == 0
    assert logged(log)["accuracy"] == 0.0
