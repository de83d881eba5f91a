import pickle

import numpy as np
import pytest
import torch
from fairseq.data import Dictionary
from torch.utils.data import DataLoader

from fairseq_item.data.item_dataset import Augmentation, Corruption, Geometry, ItemDataset
from fairseq_item.data.labelled_dataset import LabelledDataset
from fairseq_item.data.masked_titles import MaskedTitleDataset
from fairseq_item.data.second_view import SecondViewDataset
from fairseq_item.data.settings import Views
from fairseq_item.data.siblings import Siblings

GEOMETRY = Geometry(image_size=8, patch_size=4, max_title_length=5)


class Titles:
    def __init__(self, titles, eos):
        self.titles = [np.array([*title, eos], np.uint16) for title in titles]
        self.sizes = np.array([len(title) for title in self.titles], np.int32)

    def __len__(self):
        return len(self.titles)

    def __getitem__(self, i):
        return self.titles[i]


class Images:
    def __init__(self, n, size=12):
        self.images = np.random.default_rng(0).integers(0, 255, (n, size, size, 3), np.uint8)
        self.asked = []  # for what, in order

    def __len__(self):
        return len(self.images)

    def side(self, i):
        return self.images.shape[1]

    def prefetch(self, indices):
        self.asked.append(("prefetch", indices.tolist()))

    def rows(self, i, top, bottom):
        self.asked.append(("rows", i))
        return self.images[i, top:bottom]


def dictionary():
    d = Dictionary()
    for i in range(50):
        d.add_symbol(f"w{i}")
    d.add_symbol("<mask>")
    return d


def titles(n, longest=9, seed=0):
    rng = np.random.default_rng(seed)
    return [rng.integers(4, 54, rng.integers(1, longest)) for _ in range(n)]


def dataset(n=40, corruption=None, augmentation=None, rows=None, **kwargs):
    d = dictionary()
    rows = titles(n) if rows is None else rows
    kind = SecondViewDataset if "views" in kwargs else ItemDataset
    return kind(
        Titles(rows, d.eos()), Images(len(rows)), d, GEOMETRY, corruption, augmentation, **kwargs
    )


def equal(a, b):
    assert a.keys() == b.keys()
    for key in a:
        if isinstance(a[key], dict):
            equal(a[key], b[key])
        elif isinstance(a[key], torch.Tensor):
            assert torch.equal(a[key], b[key]), key
        else:
            assert a[key] == b[key], key


def test_batch_by_hand():
    data = dataset(rows=[[10, 11], [12, 13, 14, 15, 16, 17, 18]])
    batch = data.collater([data[0], data[1]])
    assert batch["net_input"]["title"].tolist() == [
        [0, 10, 11, 2, 1, 1, 1],
        [0, 12, 13, 14, 15, 16, 2],  # cut to 5 tokens
    ]
    assert batch["net_input"]["patches"].dtype == torch.uint8
    assert batch["net_input"]["patches"].shape == (2, 4, 48)
    centre = data.images.images[1, 2:10, 2:10]
    first_patch = batch["net_input"]["patches"][1, 0].numpy().reshape(4, 4, 3)
    assert (first_patch == centre[:4, :4]).all()
    assert batch["nsentences"] == 2
    assert batch["ntokens"] == 7
    assert data.collater([]) == {}


def test_positions_point_at_what_was_masked():
    data = dataset(corruption=Corruption(title_mask_prob=0.4, mismatch_prob=0.0))
    batch = data.collater([data[i] for i in range(20)])
    flat = batch["net_input"]["title"].flatten()
    positions, targets = batch["net_input"]["masked_title"], batch["title_targets"]
    original = data.collater([dataset()[i] for i in range(20)])["net_input"]["title"].flatten()
    assert (original[positions] == targets).all()
    changed = (flat != original).nonzero().flatten()
    assert set(changed.tolist()) <= set(positions.tolist())
    assert (flat[positions] == data.mask).float().mean() > 0.6
    hidden = set(batch["net_input"]["hidden_patches"].tolist())
    assert hidden <= set(batch["net_input"]["masked_patches"].tolist())
    # weights: one over the number of the product's masked positions
    rows = positions.div(batch["net_input"]["title"].size(1), rounding_mode="floor")
    sums = torch.zeros(20).index_add(0, rows, batch["title_weights"])
    assert torch.allclose(sums, torch.ones(20))


def test_half_of_the_titles_are_another_product_s():
    data = dataset(n=400, corruption=Corruption(title_mask_prob=0.0))
    own = {tuple(data.title(i)) for i in range(400)}
    matches = []
    for i in range(400):
        sample = data[i]
        matches.append(sample["match"])
        assert np.array_equal(sample["title"], data.title(i)) == sample["match"]
        assert tuple(sample["title"]) in own
    assert np.mean(matches) == pytest.approx(0.5, abs=0.08)


def test_products_that_share_a_title_are_no_mismatch():
    data = dataset(rows=[[10, 11]] * 20, corruption=Corruption(title_mask_prob=0.0))
    assert all(data[i]["match"] for i in range(20))


def test_masked_losses_on_matched_pairs_only():
    data = dataset(corruption=Corruption(masked_losses_on="matched"))
    batch = data.collater([data[i] for i in range(40)])
    rows = batch["net_input"]["masked_title"].div(
        batch["net_input"]["title"].size(1), rounding_mode="floor"
    )
    counted = batch["title_weights"] > 0
    assert (counted == batch["match"][rows].bool()).all()
    assert 0 < counted.sum() < len(counted)
    # the mask itself stays, or it would give the match away
    masked_rows = set(rows.tolist())
    assert masked_rows == set(range(40))


def test_random_choices_come_from_seed_epoch_and_index():
    def batch(epoch, seed=1, fixed=False):
        data = dataset(corruption=Corruption(), augmentation=Augmentation(), seed=seed, fixed=fixed)
        data.set_epoch(epoch)
        return data.collater([data[i] for i in range(10)])

    equal(batch(3), batch(3))
    for other in (batch(4), batch(3, seed=2)):
        with pytest.raises(AssertionError):
            equal(batch(3), other)
    equal(batch(1, fixed=True), batch(7, fixed=True))


def test_same_product_in_any_order_and_after_pickling():
    data = dataset(corruption=Corruption(), augmentation=Augmentation())
    data.set_epoch(2)
    forward = [data[i] for i in range(10)]
    backward = [pickle.loads(pickle.dumps(data))[i] for i in reversed(range(10))][::-1]
    equal(data.collater(forward), data.collater(backward))


def labelled():
    d, rows = dictionary(), titles(20)
    stores = Titles(rows, d.eos()), Images(len(rows))
    return LabelledDataset(*stores, d, GEOMETRY, None, Augmentation(), targets=np.arange(20) - 2)


BATCHED = {
    "plain": dataset,
    "pre-training": lambda: dataset(corruption=Corruption(), augmentation=Augmentation()),
    "two views": lambda: dataset(corruption=Corruption(), views=Views()),
    "views of siblings": lambda: dataset(
        corruption=Corruption(), views=Views(photos=0.5), siblings=Siblings(["a", "b"] * 20)
    ),
    "labelled": labelled,
    "titles": lambda: MaskedTitleDataset(
        Titles(titles(20), dictionary().eos()), dictionary(), GEOMETRY
    ),
}


@pytest.mark.parametrize("make", BATCHED.values(), ids=BATCHED.keys())
@pytest.mark.parametrize("workers", [0, 1])
def test_a_loader_s_batches_are_those_of_single_products(make, workers):
    data = make()
    data.set_epoch(2)
    order = [[3, 0, 17], [5], [3, 3]]
    loader = DataLoader(data, batch_sampler=order, collate_fn=data.collater, num_workers=workers)
    batches = list(loader)
    assert len(batches) == 3
    for batch, indices in zip(batches, order):
        equal(batch, data.collater([data[i] for i in indices]))


def test_images_of_a_batch_are_not_copied():
    data = dataset(augmentation=Augmentation(), views=Views())
    samples = data.__getitems__([4, 2])
    batch = data.collater(samples)
    for key, patches in (
        ("patches", batch["net_input"]["patches"]),
        ("view_patches", batch["view"]["patches"]),
    ):
        assert patches.data_ptr() == samples[0][key].data_ptr()
        assert patches[1].data_ptr() == samples[1][key].data_ptr()


@pytest.mark.parametrize("shuffle", [True, False])
def test_images_out_of_order_are_fetched_all_at_once(shuffle):
    data = dataset(augmentation=Augmentation(), shuffle=shuffle)
    samples = data.__getitems__([9, 2, 30])
    hint = [("prefetch", [9, 2, 30])] if shuffle else []
    assert data.images.asked == [*hint, ("rows", 9), ("rows", 2), ("rows", 30)]
    equal(data.collater(samples), data.collater([data[i] for i in (9, 2, 30)]))


class Collated:
    """A dataset whose collater says whether the images lie in shared memory."""

    def __init__(self, data):
        self.data = data

    def __call__(self, samples):
        return self.data.collater(samples)["net_input"]["patches"].is_shared()


def test_a_worker_writes_images_to_shared_memory():
    data = dataset()
    loader = DataLoader(data, batch_sampler=[[0, 1]], collate_fn=Collated(data), num_workers=1)
    assert list(loader) == [True]
    assert not Collated(data)(data.__getitems__([0, 1]))


def test_epochs_are_ordered_anew():
    data = dataset(shuffle=True)
    orders = []
    for epoch in (1, 2, 1):
        data.set_epoch(epoch)
        orders.append(list(data.ordered_indices()))
    assert orders[0] == orders[2] != orders[1]
    assert sorted(orders[0]) == list(range(40))
    assert list(dataset().ordered_indices()) == list(range(40))


def test_sizes_are_those_of_the_batch():
    data = dataset()
    for i in range(len(data)):
        assert data.num_tokens(i) == data.size(i) == data.num_tokens_vec(np.array([i]))[0]
        assert data.num_tokens(i) == len(data[i]["title"]) + 2


def test_titles_and_images_must_be_as_many():
    d = dictionary()
    with pytest.raises(ValueError, match="3 titles beside 2 images"):
        ItemDataset(Titles(titles(3), d.eos()), Images(2), d, GEOMETRY)


def test_stronger_views_change_the_second_view_alone():
    augmentation = Augmentation()
    plain = dataset(augmentation=augmentation, views=Views(single=0.0))
    lit = dataset(augmentation=augmentation, views=Views(single=0.0, light=0.4))
    differ = 0
    for index in range(10):
        one, other = plain[index], lit[index]
        assert torch.equal(one["patches"], other["patches"])
        assert np.array_equal(one["title"], other["title"])
        assert np.array_equal(one["view_title"], other["view_title"])
        differ += not torch.equal(one["view_patches"], other["view_patches"])
    assert differ == 10


def test_a_second_view_may_be_made_of_another_row_of_the_product():
    siblings = Siblings([f"p{i // 4}" for i in range(40)])
    bare = {"word_drop": 0.0, "single": 0.0}
    data, plain = (
        dataset(views=Views(photos=share, **bare), siblings=siblings) for share in (1, 0)
    )
    for i in range(40):
        view = data[i]["view_patches"]
        same = [j for j in range(40) if torch.equal(data[j]["patches"], view)]
        assert len(same) == 1
        assert same[0] != i
        assert same[0] // 4 == i // 4
        assert sorted(data[i]["view_title"]) == sorted(data.title(same[0]))
        assert torch.equal(plain[i]["view_patches"], plain[i]["patches"])
    half = dataset(views=Views(photos=0.5, **bare), siblings=siblings)
    shown = sum(not torch.equal(half[i]["view_patches"], half[i]["patches"]) for i in range(40))
    assert 10 <= shown <= 30
    product = data.collater([data[i] for i in (0, 3, 4)])["product"]
    assert product[0] == product[1] != product[2]


def test_a_torn_title_is_cut_to_the_models_length():
    d = Dictionary()
    for symbol in ("ab", "a", "b", "<mask>"):
        d.add_symbol(symbol)
    data = SecondViewDataset(
        Titles([[d.index("ab")] * 5] * 2, d.eos()), Images(2), d, GEOMETRY,
        views=Views(word_drop=0.0, single=0.0, split=1.0),
    )  # fmt: skip
    assert [d[i] for i in data[0]["view_title"]] == ["a", "b", "a", "b", "a"]
    assert [d[i] for i in data[0]["title"]] == ["ab"] * 5
