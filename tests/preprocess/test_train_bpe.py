"""The learnt tokens cover any title, their dictionary is one that fairseq takes."""

import random

import pytest

from fairseq_item.commands import bpe as bpe_command
from fairseq_item.data.titles import UNK, TitleTokenizer
from fairseq_item.data.tsv import write_tsv
from fairseq_item.errors import InputError

WORDS = ["red", "Blue", "running", "shoe", "bag", "leather", "Nike", "Puma", "T20", "men", "women"]


def write_titles(path, count=300, more=()):
    rng = random.Random(1)
    titles = [" ".join(rng.sample(WORDS, 4)) + f" {rng.randrange(10_000)}" for _ in range(count)]
    write_tsv(path, ["title"], [{"title": title} for title in (*titles, *more)])
    return titles


def train(catalog, out, *args):
    bpe_command.main([str(catalog), "--out", str(out), *map(str, args)])
    return TitleTokenizer(out / "bpe.model", out / "dict.txt")


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    folder = tmp_path_factory.mktemp("bpe")
    specials = ["<s> <pad> </s> <unk> <mask> <0x41>"] * 50
    titles = write_titles(folder / "train.tsv", more=specials)
    return train(folder / "train.tsv", folder / "title", "--vocab-size", 400), folder, titles


def dictionary(folder):
    lines = (folder / "title" / "dict.txt").read_text(encoding="utf-8").splitlines()
    return [(token, int(count)) for token, count in (line.rsplit(" ", 1) for line in lines)]


def test_size_counts_every_symbol_of_the_model(trained):
    tokenizer, _, _ = trained
    assert len(tokenizer) + 1 == 400  # and <mask>, which the task adds


def test_dictionary_has_the_counts_in_the_order_of_fairseq(trained):
    tokenizer, folder, titles = trained
    counts = dict(dictionary(folder))
    specials = ["<s> <pad> </s> <unk> <mask> <0x41>"] * 50
    seen = [token for title in (*titles, *specials) for token in tokenizer.tokens(title)]
    assert {token: count for token, count in counts.items() if count} == {
        token: seen.count(token) for token in set(seen)
    }

    fairseq_data = pytest.importorskip("fairseq.data")
    theirs = fairseq_data.Dictionary()
    for token, count in counts.items():
        theirs.add_symbol(token, count)
    theirs.finalize(padding_factor=1)
    assert list(zip(theirs.symbols[4:], theirs.count[4:])) == dictionary(folder)
    assert fairseq_data.Dictionary.load(str(folder / "title" / "dict.txt")).indices == tokenizer.ids


def test_nothing_is_unknown_and_nothing_is_taken_for_a_control_symbol(trained):
    tokenizer, _, _ = trained
    for title in ("👟 red ✨ 鞋", "<s> </s> <pad> <unk> <mask> <0x41>", "Ünïcödé ™ \u200d ½"):
        ids = tokenizer.encode(title)
        assert len(ids)
        assert ids.min() > UNK
    assert "<mask>" not in tokenizer.ids
    assert "<0x41>" not in tokenizer.tokens("<0x41>")


def test_case(trained, tmp_path):
    tokenizer, folder, _ = trained
    assert tokenizer.tokens("RED Nike ﬁt") == tokenizer.tokens("red nike fit")
    keep = train(folder / "train.tsv", tmp_path, "--vocab-size", 400, "--case", "keep")
    assert keep.tokens("Nike") != keep.tokens("nike")


def test_the_same_bytes_every_time(trained, tmp_path):
    _, folder, _ = trained
    train(folder / "train.tsv", tmp_path, "--vocab-size", 400)
    for name in ("bpe.model", "dict.txt"):
        assert (tmp_path / name).read_bytes() == (folder / "title" / name).read_bytes()


def test_small_catalogue_gets_a_smaller_vocabulary(tmp_path, caplog):
    write_titles(tmp_path / "train.tsv", 40)
    tokenizer = train(tmp_path / "train.tsv", tmp_path)
    assert "40 titles are too few for a vocabulary of 50000" in caplog.text
    assert 256 + 20 < len(tokenizer) < 1000
    # Whole words are tokens, but numbers seen once are not.
    assert tokenizer.tokens("leather women") == ["▁leather", "▁women"]
    assert len(tokenizer.tokens("1234")) > 1


def test_several_catalogues_and_column_names(tmp_path):
    for name, word in (("a", "alpha"), ("b", "beta")):
        write_tsv(tmp_path / f"{name}.tsv", ["name"], [{"name": f"{word} shoe"}] * 20)
    bpe_command.main(
        [str(tmp_path / "a.tsv"), str(tmp_path / "b.tsv"), "--out", str(tmp_path),
         "--title-column", "name"]
    )  # fmt: skip
    tokenizer = TitleTokenizer(tmp_path / "bpe.model", tmp_path / "dict.txt")
    assert tokenizer.tokens("alpha beta") == ["▁alpha", "▁beta"]


def test_sample_is_seeded(tmp_path):
    write_titles(tmp_path / "train.tsv")

    def sample(seed):
        args = ["--vocab-size", 300, "--max-titles", 50, "--seed", seed]
        train(tmp_path / "train.tsv", tmp_path, *args)
        return (tmp_path / "dict.txt").read_text()

    first = sample(1)
    assert sample(1) == first
    assert sample(2) != first


def test_long_and_odd_titles_do_no_harm(tmp_path):
    odd = ["x" * 10_000, "word " * 2_000, "👟" * 100, "", "\u3000", "\u200b"]
    write_titles(tmp_path / "train.tsv", more=odd)
    tokenizer = train(tmp_path / "train.tsv", tmp_path, "--vocab-size", 400)
    assert tokenizer.tokens("leather") == ["▁leather"]


def test_bad_input(tmp_path):
    write_titles(tmp_path / "train.tsv")
    with pytest.raises(InputError, match=r"--vocab-size 50 is too small: .* are \d+"):
        train(tmp_path / "train.tsv", tmp_path, "--vocab-size", 50)
    with pytest.raises(InputError, match="no column 'name'"):
        train(tmp_path / "train.tsv", tmp_path, "--title-column", "name")
    with pytest.raises(InputError, match="--character-coverage"):
        train(tmp_path / "train.tsv", tmp_path, "--character-coverage", 99)
    write_tsv(tmp_path / "empty.tsv", ["title", "id"], [{"id": "1", "title": " "}])
    with pytest.raises(InputError, match="no title that is not empty"):
        train(tmp_path / "empty.tsv", tmp_path)


@pytest.mark.parametrize("size", ["0", "-5", "10000000000000", "1e13"])
def test_impossible_sizes(tmp_path, size):
    write_titles(tmp_path / "train.tsv", 5)
    with pytest.raises(InputError, match="--vocab-size"):
        train(tmp_path / "train.tsv", tmp_path, "--vocab-size", size)


def test_titles_without_a_visible_character(tmp_path):
    write_tsv(tmp_path / "train.tsv", ["title"], [{"title": "\u200b\u200b"}] * 3)
    with pytest.raises(InputError, match="no vocabulary can be learnt"):
        train(tmp_path / "train.tsv", tmp_path)
