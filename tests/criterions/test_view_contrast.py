import math

import numpy as np
import pytest
import torch

from fairseq_item.criterions.view_contrast import ViewContrast as PairContrast


class ViewContrast(PairContrast):
    """The mean over its pairs."""

    def forward(self, *args):
        return tuple(value.mean() for value in super().forward(*args))


def embeddings(seed, rows=6, dim=5):
    generator = torch.Generator().manual_seed(seed)
    return tuple(torch.randn(rows, dim, generator=generator) for _ in range(3))


def log_softmax(scores):
    return scores - np.log(np.exp(scores).sum())


def by_hand(anchors, views, match, temperature, product=(0, 1, 2, 3, 4, 5)):
    """The definition, pair by pair in numpy; an embedding that is all zeros is absent."""
    loss = right = 0.0
    for anchor, view in zip(anchors, views):
        a, v = anchor.double().numpy(), view.double().numpy()
        has_anchor = [bool(match[i]) and a[i].any() for i in range(len(a))]
        has_view = [v[i].any() for i in range(len(v))]
        cosine = lambda x, y: x @ y / np.linalg.norm(x) / np.linalg.norm(y)  # noqa: E731
        for i in range(len(a)):
            if not (has_anchor[i] and has_view[i]):
                continue
            told_from = [j for j in range(len(a)) if j == i or product[j] != product[i]]
            candidates = [j for j in told_from if has_view[j]]
            anchored = [j for j in told_from if has_anchor[j]]
            forward = np.array([cosine(a[i], v[j]) / temperature for j in candidates])
            backward = np.array([cosine(a[j], v[i]) / temperature for j in anchored])
            loss -= log_softmax(forward)[candidates.index(i)] / 6
            loss -= log_softmax(backward)[anchored.index(i)] / 6
            right += (candidates[int(forward.argmax())] == i) / 3
    return loss, right


@pytest.mark.parametrize("match", [[1, 1, 1, 1, 1, 1], [1, 0, 1, 1, 0, 1], [0, 1, 0, 0, 0, 0]])
@pytest.mark.parametrize("absent", [[], [2], [0, 3, 5]])
def test_it_is_the_definition(match, absent):
    anchors, views = embeddings(0), embeddings(1)
    views[1][absent] = 0.0
    views[2][[5 - row for row in absent]] = 0.0
    match = torch.tensor(match)
    loss, right = ViewContrast(0.5, learned=False)(anchors, views, match)
    expected_loss, expected_right = by_hand(anchors, views, match, 0.5)
    assert float(loss) == pytest.approx(expected_loss, rel=1e-5, abs=1e-6)
    assert float(right) == pytest.approx(expected_right, abs=1e-5)


@pytest.mark.parametrize("product", [[7, 7, 1, 2, 7, 1], [3, 3, 3, 3, 3, 3], [0, 1, 2, 3, 4, 5]])
def test_rows_of_one_product_are_not_told_from_one_another(product):
    anchors, views, match = embeddings(0), embeddings(1), torch.tensor([1, 1, 0, 1, 1, 1])
    views[1][1] = 0.0
    contrast = ViewContrast(0.5, learned=False)
    loss, right = contrast(anchors, views, match, torch.tensor(product))
    expected_loss, expected_right = by_hand(anchors, views, match, 0.5, product)
    assert float(loss) == pytest.approx(expected_loss, rel=1e-5, abs=1e-6)
    assert float(right) == pytest.approx(expected_right, abs=1e-5)


def test_views_that_cannot_be_told_apart_cost_the_logarithm_of_their_number():
    same = tuple(torch.ones(4, 5) for _ in range(3))
    loss, _ = ViewContrast()(same, same, torch.ones(4, dtype=torch.long))
    assert float(loss) == pytest.approx(4 * math.log(4), rel=1e-5)


def test_views_that_are_orthogonal_cost_little():
    views = tuple(torch.eye(4) for _ in range(3))
    loss, right = ViewContrast(0.05)(views, views, torch.ones(4, dtype=torch.long))
    assert float(loss) < 1e-3
    assert float(right) == pytest.approx(4.0)


def test_no_matched_product_is_no_loss_and_no_nan():
    anchors = tuple(part.requires_grad_() for part in embeddings(0))
    contrast = ViewContrast()
    loss, right = contrast(anchors, embeddings(1), torch.zeros(6, dtype=torch.long))
    loss.backward()
    assert float(loss) == float(right) == 0.0
    assert all(torch.isfinite(part.grad).all() for part in anchors)
    assert torch.isfinite(contrast.logit_scale.grad).all()


def test_absent_embeddings_leave_no_nan_in_the_gradient():
    anchors = tuple(part.requires_grad_() for part in embeddings(0))
    views = embeddings(1)
    for part in views:
        part[:3] = 0.0
        part.requires_grad_()
    loss, _ = ViewContrast()(anchors, views, torch.ones(6, dtype=torch.long))
    loss.backward()
    assert all(torch.isfinite(part.grad).all() for part in (*anchors, *views))


def test_a_mismatched_product_is_no_anchor_but_its_view_is_a_negative():
    anchors, views = embeddings(0), embeddings(1)
    match = torch.tensor([1, 1, 1, 1, 1, 0])
    loss, _ = ViewContrast()(anchors, views, match)
    other_anchors, other_views = embeddings(0), embeddings(1)
    for part in other_anchors:
        part[5] += 1.0
    assert float(ViewContrast()(other_anchors, views, match)[0]) == pytest.approx(float(loss))
    for part in other_views:
        part[5] += 1.0
    assert float(ViewContrast()(anchors, other_views, match)[0]) != pytest.approx(float(loss))


def test_temperatures_are_learned_one_an_embedding_and_stay_within_bounds():
    contrast = ViewContrast(0.1)
    loss, _ = contrast(embeddings(0), embeddings(1), torch.ones(6, dtype=torch.long))
    loss.backward()
    assert len(set(contrast.logit_scale.grad.tolist())) == 3
    with torch.no_grad():
        contrast.logit_scale.fill_(50.0)
    views = tuple(torch.eye(4) for _ in range(3))
    loss, _ = contrast(views, views, torch.ones(4, dtype=torch.long))
    assert float(loss) == pytest.approx(4 * math.log1p(3 * math.exp(-100)), abs=1e-6)


def test_a_temperature_at_its_limit_is_still_learned():
    contrast = ViewContrast(0.1)
    with torch.no_grad():
        contrast.logit_scale.fill_(50.0)
    loss, _ = contrast(embeddings(0), embeddings(1), torch.ones(6, dtype=torch.long))
    loss.backward()
    assert contrast.logit_scale.grad.abs().min() > 0
    assert contrast.logit_scale.tolist() == pytest.approx([math.log(100)] * 3)


def test_frozen_temperatures_are_no_parameters():
    """A parameter without gradient makes DistributedDataParallel stop."""
    frozen = ViewContrast(0.25, learned=False)
    assert not list(frozen.parameters())
    assert frozen.logit_scale.exp().tolist() == pytest.approx([4.0] * 3)
    loss, _ = frozen(embeddings(0), embeddings(1), torch.ones(6, dtype=torch.long))
    learned = ViewContrast(0.25)
    assert torch.equal(
        loss, learned(embeddings(0), embeddings(1), torch.ones(6, dtype=torch.long))[0]
    )


@pytest.mark.parametrize("learned", [True, False])
def test_temperatures_of_old_checkpoints_are_read(learned):
    """They were called log_scale, and a parameter also where they did not change."""
    contrast, kept = ViewContrast(0.07, learned), torch.tensor([1.0, 2.0, 3.0])
    contrast.load_state_dict({"log_scale": kept})
    assert torch.equal(contrast.logit_scale, kept)


def test_each_pair_has_its_own_matches_and_loss():
    anchors, views = embeddings(0), embeddings(1)
    match = torch.tensor([[1, 1, 1], [1, 0, 1], [1, 1, 1], [1, 0, 0], [1, 1, 1], [1, 1, 1]])
    contrast = PairContrast(0.5, learned=False)
    losses, right = contrast(anchors, views, match)
    for k in range(3):
        alone = by_hand(anchors[k : k + 1], views[k : k + 1], match[:, k], 0.5)
        assert float(losses[k]) == pytest.approx(3 * alone[0], rel=1e-5)  # by_hand means over three
        assert float(right[k]) == pytest.approx(3 * alone[1], rel=1e-5)


def test_it_compares_as_many_pairs_as_it_is_made_for():
    five = [part for seed in (0, 1) for part in embeddings(seed)][:5]
    contrast = PairContrast(0.1, pairs=5)
    losses, _ = contrast(five, five[::-1], torch.ones(6, dtype=torch.long))
    losses.sum().backward()
    assert losses.shape == contrast.logit_scale.grad.shape == (5,)
