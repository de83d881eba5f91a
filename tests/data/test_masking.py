import numpy as np
import pytest

from fairseq_item.data.masking import mask_patches, mask_title

MASK, START, END = 104, 4, 104


def test_masked_places_hold_what_bert_puts_there():
    counts = {"mask": 0, "kept": 0, "random": 0}
    tokens = np.arange(10, 46)
    for seed in range(400):
        masked, places = mask_title(tokens, np.random.default_rng(seed), MASK, START, END)
        assert sorted(set(places)) == list(places)
        untouched = np.setdiff1d(np.arange(36), places)
        assert (masked[untouched] == tokens[untouched]).all()
        for place in places:
            if masked[place] == MASK:
                counts["mask"] += 1
            elif masked[place] == tokens[place]:
                counts["kept"] += 1
            else:
                assert START <= masked[place] < END
                counts["random"] += 1
    total = sum(counts.values())
    assert total / 400 == pytest.approx(0.15 * 36, rel=0.05)
    assert counts["mask"] / total == pytest.approx(0.8, abs=0.03)
    assert counts["random"] / total == pytest.approx(0.1, abs=0.03)
    assert (tokens == np.arange(10, 46)).all()


def test_same_generator_state_gives_same_mask():
    tokens = np.arange(10, 20)
    first = mask_title(tokens, np.random.default_rng(5), MASK, START, END)
    again = mask_title(tokens, np.random.default_rng(5), MASK, START, END)
    assert (first[0] == again[0]).all()
    assert (first[1] == again[1]).all()


@pytest.mark.parametrize("n", [1, 2, 3])
def test_short_titles_have_one_masked_place(n):
    _, places = mask_title(np.arange(10, 10 + n), np.random.default_rng(0), MASK, START, END)
    assert len(places) == 1


def test_nothing_to_mask():
    masked, places = mask_title(np.zeros(0, np.int64), np.random.default_rng(0), MASK, START, END)
    assert len(masked) == len(places) == 0
    _, places = mask_title(np.arange(9), np.random.default_rng(0), MASK, START, END, prob=0)
    assert len(places) == 0
    assert len(mask_patches(16, np.random.default_rng(0), prob=0)[0]) == 0


def test_patches_of_every_image_weigh_the_same():
    hidden_share = []
    for seed in range(300):
        places, hidden = mask_patches(196, np.random.default_rng(seed))
        assert len(places) == round(0.15 * 196)
        assert len(set(places)) == len(places)
        assert places.max() < 196
        hidden_share.append(hidden.mean())
    assert np.mean(hidden_share) == pytest.approx(0.8, abs=0.02)
