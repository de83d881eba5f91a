import numpy as np
from fairseq.data import Dictionary

from fairseq_item.data.item_dataset import Geometry
from fairseq_item.data.masked_titles import MaskedTitleDataset


class Titles(list):
    @property
    def sizes(self):
        return np.array([len(title) for title in self], np.int32)


def dataset(**kwargs):
    dictionary = Dictionary()
    for i in range(50):
        dictionary.add_symbol(f"w{i}")
    dictionary.add_symbol("<mask>")
    rng = np.random.default_rng(0)
    titles = Titles(np.append(rng.integers(4, 54, n), 2) for n in (0, 1, 5, 12, 30))
    return titles, MaskedTitleDataset(titles, dictionary, Geometry(8, 8, 20), **kwargs)


def test_what_is_hidden_is_what_is_to_be_predicted():
    titles, data = dataset(mask_prob=0.4)
    batch = data.collater([data[i] for i in range(len(data))])
    title, target = batch["net_input"]["title"].numpy(), batch["target"].numpy()
    assert set(batch["net_input"]) == {"title"}
    assert title.shape == target.shape == (5, 22)
    assert batch["ntokens"] == 0 + 1 + 5 + 12 + 20
    for row, whole in enumerate(titles):
        tokens = whole[:-1][:20]
        n = len(tokens)
        assert (title[row, 0], title[row, n + 1]) == (0, 2)
        asked = target[row] != 1
        assert not asked[0]
        assert not asked[n + 1 :].any()
        assert (n > 0) == asked.any()
        assert (target[row][asked] == tokens[asked[1 : n + 1]]).all()
        kept = ~asked[1 : n + 1]
        assert (title[row, 1 : n + 1][kept] == tokens[kept]).all()
    hidden = title[target != 1]
    assert (hidden == 54).mean() > 0.5
    assert data.collater([]) == {}


def test_training_masks_anew_each_epoch_and_validation_does_not():
    for fixed in (False, True):
        _, data = dataset(fixed=fixed)
        data.set_epoch(1)
        first = [data[i]["target"] for i in range(5)]
        again = [data[i]["target"] for i in range(5)]
        data.set_epoch(2)
        second = [data[i]["target"] for i in range(5)]
        assert all(np.array_equal(a, b) for a, b in zip(first, again))
        assert all(np.array_equal(a, b) for a, b in zip(first, second)) == fixed
