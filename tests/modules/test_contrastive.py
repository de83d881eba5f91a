import math

import torch
import torch.nn.functional as F

from fairseq_item.modules.contrastive import gather_rows, symmetric_contrast


def rows(count, dim=5, seed=0):
    torch.manual_seed(seed)
    return F.normalize(torch.randn(count, dim), dim=-1)


def test_against_a_loop_over_all_pairs():
    titles, images, scale = rows(4), rows(4, seed=1), torch.tensor(3.0)
    loss, right = symmetric_contrast(titles, images, scale)
    expected, counts = 0.0, [0, 0]
    for direction, (anchors, others) in enumerate(((titles, images), (images, titles))):
        for i in range(4):
            scores = [3.0 * float(anchors[i] @ others[j]) for j in range(4)]
            expected -= math.log(math.exp(scores[i]) / sum(map(math.exp, scores))) / 2
            counts[direction] += scores[i] == max(scores)
    assert abs(float(loss) - expected) < 1e-5
    assert right.tolist() == counts


def test_a_product_that_is_told_apart_costs_nothing():
    titles = torch.eye(3)
    loss, right = symmetric_contrast(titles, titles, torch.tensor(100.0))
    assert float(loss) < 1e-6
    assert right.tolist() == [3, 3]


def test_one_process_gathers_its_own_rows():
    own = rows(3)
    gathered, first = gather_rows(own)
    assert gathered is own
    assert first == 0
