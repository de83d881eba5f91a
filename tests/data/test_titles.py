import pickle

import numpy as np
import pytest

from fairseq_item.data.labels import escape_label, unescape_label
from fairseq_item.data.text import clean_field, clean_title
from fairseq_item.data.titles import UNK, TitleTokenizer, read_dictionary
from fairseq_item.errors import InputError

sentencepiece = pytest.importorskip("sentencepiece")

TITLES = ["red shoe", "blue shoe", "red bag", "blue bag of shoes", "shoes red and blue"] * 4


@pytest.fixture(scope="module")
def bpe_model(tmp_path_factory):
    folder = tmp_path_factory.mktemp("bpe")
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(TITLES), model_prefix=str(folder / "bpe"), model_type="bpe",
        vocab_size=30, minloglevel=2, normalization_rule_name="nmt_nfkc_cf",
    )  # fmt: skip
    return folder / "bpe.model"


@pytest.fixture
def tokenizer(bpe_model, tmp_path):
    bpe = sentencepiece.SentencePieceProcessor(model_file=str(bpe_model))
    tokens = [bpe.id_to_piece(i) for i in range(3, len(bpe))]
    (tmp_path / "dict.txt").write_text(
        "".join(f"{token} {i}\n" for i, token in enumerate(tokens)), encoding="utf-8"
    )
    return TitleTokenizer(bpe_model, tmp_path / "dict.txt")


def test_clean_title():
    assert clean_title(" a\tb\r\n c \x00\x1f\x85\u2028d\u3000e\ud83d ") == "a b c d e"
    assert clean_title("\n\t ") == ""
    assert clean_field(" two  spaces\t\n stay ") == " two  spaces  stay "


def test_encode_looks_the_tokens_up(tokenizer):
    title = "Blue SHOES of\tred  bag"
    tokens = tokenizer.tokens(title)
    assert "".join(tokens).replace("▁", " ").strip() == "blue shoes of red bag"
    ids = tokenizer.encode(title)
    assert ids.dtype == np.int32
    assert ids.tolist() == [tokenizer.ids[token] for token in tokens]
    assert ids.min() > UNK


def test_encode_unknown_empty_and_long(tokenizer):
    assert UNK in tokenizer.encode("red 😀 shoe").tolist()
    for empty in ("", " \n\t"):
        assert tokenizer.encode(empty).shape == (0,)
    long = tokenizer.encode("red shoe " * 1_111)
    assert long.tolist() == tokenizer.encode("red shoe").tolist() * 1_111


def test_a_pickled_tokenizer_is_the_same(tokenizer):
    copy = pickle.loads(pickle.dumps(tokenizer))
    assert copy.encode("blue bag").tolist() == tokenizer.encode("blue bag").tolist()


def test_dictionary_agrees_with_fairseq(tmp_path):
    pytest.importorskip("fairseq")
    from fairseq.data import Dictionary

    path = tmp_path / "dict.txt"
    path.write_text("▁a 7\n# 5\nb\u00a0c 4\n▁a 3 #fairseq:overwrite\nlast 0\n", encoding="utf-8")
    theirs = Dictionary.load(str(path))
    assert read_dictionary(path) == theirs.indices
    assert read_dictionary(path)["▁a"] == 7


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a 1\nb\n", "line 2 is not a symbol and its count"),
        ("a 1\nb x\n", "line 2 is not a symbol and its count"),
        ("a 1\na 1\n", "line 2 repeats 'a'"),
        ("<unk> 1\n", "line 1 repeats '<unk>'"),
    ],
)
def test_bad_dictionary(tmp_path, text, expected):
    path = tmp_path / "dict.txt"
    path.write_text(text)
    with pytest.raises(InputError, match=expected):
        read_dictionary(path)


def test_missing_files(bpe_model, tmp_path):
    with pytest.raises(InputError, match=r"dict\.txt is missing"):
        TitleTokenizer(bpe_model, tmp_path / "dict.txt")
    with pytest.raises(InputError, match="missing or not a SentencePiece model"):
        TitleTokenizer(tmp_path / "no.model", tmp_path / "dict.txt")
    (tmp_path / "bad.model").write_bytes(b"not a model")
    with pytest.raises(InputError, match="missing or not a SentencePiece model"):
        TitleTokenizer(tmp_path / "bad.model", tmp_path / "dict.txt")


@pytest.mark.parametrize(
    "name",
    ["Shoes", "Home & Living/Wall Art", "100% Wool", "a%20b", "<unk>", "</s>", "Größe 1\u00a0m"],
)
def test_labels_can_be_undone(name):
    symbol = escape_label(name)
    assert not set(symbol) & set(" \t\u00a0<")
    assert unescape_label(symbol) == name


def test_no_label():
    assert escape_label(" ") == "<unk>"
    assert unescape_label("<unk>") == ""
