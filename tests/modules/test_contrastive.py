import math

import pytest
import torch
import torch.nn.functional as F

from fairseq_item.modules.contrastive import (
    gather_rows,
    scale_of,
    sigmoid_contrast,
    symmetric_contrast,
)

ALL = slice(0, 4)


def rows(count, dim=5, seed=0):
    torch.manual_seed(seed)
    return F.normalize(torch.randn(count, dim), dim=-1)


def test_against_a_loop_over_all_pairs():
    titles, images, scale = rows(4), rows(4, seed=1), torch.tensor(3.0)
    losses, right = symmetric_contrast(titles, images, scale, ALL)
    expected, counts = 0.0, [0, 0]
    for direction, (anchors, others) in enumerate(((titles, images), (images, titles))):
        for i in range(4):
            scores = [3.0 * float(anchors[i] @ others[j]) for j in range(4)]
            expected -= math.log(math.exp(scores[i]) / sum(map(math.exp, scores))) / 2
            counts[direction] += scores[i] == max(scores)
    assert abs(float(losses.sum()) - expected) < 1e-5
    assert right.sum(1).tolist() == counts


def test_a_product_that_is_told_apart_costs_nothing():
    titles = torch.eye(3)
    losses, right = symmetric_contrast(titles, titles, torch.tensor(100.0), slice(0, 3))
    assert float(losses.sum()) < 1e-6
    assert right.all()


def test_rows_of_other_processes_are_candidates_only():
    titles, images, scale = rows(4), rows(4, seed=1), torch.tensor(3.0)
    losses, right = symmetric_contrast(titles, images, scale, ALL)
    own, own_right = symmetric_contrast(titles, images, scale, slice(1, 3))
    assert torch.equal(own, losses[1:3])
    assert torch.equal(own_right, right[:, 1:3])


def test_what_is_not_there_is_no_candidate():
    titles, images, scale = rows(4), rows(4, seed=1), torch.tensor(3.0)
    there = torch.tensor([True, True, False, True])
    losses, _ = symmetric_contrast(titles, images, scale, ALL, there, there)
    kept = torch.tensor([0, 1, 3])
    expected, _ = symmetric_contrast(titles[kept], images[kept], scale, slice(0, 3))
    assert torch.allclose(losses[kept], expected, atol=1e-6)


def test_a_temperature_at_its_limit_comes_back():
    logit_scale = torch.nn.Parameter(torch.tensor([math.log(1e4), math.log(5.0)]))
    scale = scale_of(logit_scale)
    assert scale.tolist() == pytest.approx([100, 5])
    scale.sum().backward()
    assert logit_scale.grad.tolist() == pytest.approx([100, 5])


def test_one_process_gathers_its_own_rows():
    own = rows(3)
    (gathered, other), own_rows = gather_rows(own, own[:, :2])
    assert gathered is own
    assert other.shape == (3, 2)
    assert own_rows == slice(0, 3)


def test_the_sigmoid_contrast_is_a_loop_over_all_pairs():
    titles, images = rows(4), rows(4, seed=1)
    scale, bias = torch.tensor(3.0), torch.tensor(-1.0)
    losses, right = sigmoid_contrast(titles, images, scale, bias, ALL)
    for i in range(4):
        terms = [3.0 * float(titles[i] @ images[j]) - 1.0 for j in range(4)]
        signed = [term if i == j else -term for j, term in enumerate(terms)]
        assert float(losses[i]) == pytest.approx(sum(math.log1p(math.exp(-t)) for t in signed))
    assert torch.equal(right, symmetric_contrast(titles, images, scale, ALL)[1])
    own, own_right = sigmoid_contrast(titles, images, scale, bias, slice(1, 3))
    assert torch.equal(own, losses[1:3])
    assert torch.equal(own_right, right[:, 1:3])
