"""CLIP's criterion: either loss, and the contrast of second views beside it."""

from types import SimpleNamespace

import pytest
import torch
import torch.nn.functional as F

from fairseq_item.criterions.clip import ClipCriterion, ClipCriterionConfig
from fairseq_item.criterions.view_contrast import ViewContrast
from fairseq_item.errors import InputError
from fairseq_item.modules.contrastive import sigmoid_contrast, symmetric_contrast

OWN = slice(0, 4)


def rows(seed):
    torch.manual_seed(seed)
    return F.normalize(torch.randn(4, 6), dim=-1)


class Model:
    """Gives the same rows whatever it is shown."""

    contrasted = rows(0), rows(1), torch.tensor(5.0)
    anchors = [rows(seed) for seed in (2, 3, 4)]
    views = [rows(seed) for seed in (5, 6, 7)]

    def __call__(self, with_embeddings=False):
        return (self.contrasted, self.anchors) if with_embeddings else self.contrasted

    def embed_last(self):
        return self.views


def criterion(**options):
    return ClipCriterion(SimpleNamespace(target_dictionary=None), ClipCriterionConfig(**options))


def run(built):
    sample = {"id": torch.arange(4), "net_input": {}, "view": {}, "nsentences": 4, "ntokens": 9}
    return built(Model(), sample)


def test_each_loss_is_its_own():
    loss, size, log = run(criterion())
    expected, right = symmetric_contrast(*Model.contrasted, OWN)
    assert size == 4
    assert float(loss) == pytest.approx(float(expected.sum()))
    assert int(log["title_right"]) == int(right[0].sum())
    sigmoid = criterion(contrast="sigmoid", contrast_bias=-2.0)
    expected, _ = sigmoid_contrast(*Model.contrasted, torch.tensor(-2.0), OWN)
    loss, _, _ = run(sigmoid)
    assert float(loss) == pytest.approx(float(expected.sum()))
    loss.backward()
    assert sigmoid.bias.grad is not None
    assert not list(criterion().parameters())  # so that old checkpoints go on


def test_second_views_add_items_contrast():
    options = {"view_temperature": 0.2, "freeze_view_temperature": True}
    loss, _, log = run(criterion(view_contrast_weight=0.5, **options))
    plain, _, _ = run(criterion())
    contrast, right = ViewContrast(0.2, False)(Model.anchors, Model.views, torch.ones(4).long())
    assert float(loss) == pytest.approx(float(plain + 0.5 * contrast.mean()))
    assert float(log["view_right"]) == float(right.mean())


def test_a_negative_weight_is_refused():
    with pytest.raises(InputError, match="--view-contrast-weight"):
        criterion(view_contrast_weight=-1.0)
