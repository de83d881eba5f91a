"""item-bpe --vocab: titles in a BERT's own tokens, and a model that starts from its weights."""

import json
import shutil

import numpy as np
import pytest
import torch

from fairseq_item import ItemModel
from fairseq_item.commands import binarize as binarize_command
from fairseq_item.commands import bpe as bpe_command
from fairseq_item.commands import embed as embed_command
from fairseq_item.data.dictionary import load_dictionary
from fairseq_item.data.second_view import word_starts
from fairseq_item.data.titles import UNK, open_tokenizer
from fairseq_item.data.token_store import TokenStore
from fairseq_item.data.tsv import write_tsv
from fairseq_item.errors import InputError

tokenizers = pytest.importorskip("tokenizers")

SPECIALS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
LETTERS = list("abcdefghijklmnopqrstuvwxyz0123456789[]-")
VOCABULARY = [*SPECIALS, *LETTERS, *(f"##{c}" for c in LETTERS), "red", "mug", "##ug", "mask"]


@pytest.fixture
def vocabulary(tmp_path):
    path = tmp_path / "vocab.txt"
    path.write_text("\n".join(VOCABULARY) + "\n", encoding="utf-8")
    return path


def make(tmp_path, vocab, *args, titles=("Red mug", "hug RED hat")):
    write_tsv(tmp_path / "train.tsv", ["title"], [{"title": title} for title in titles])
    out = tmp_path / "title"
    bpe_command.main([str(tmp_path / "train.tsv"), "--out", str(out), "--vocab", str(vocab), *args])
    return open_tokenizer(out)


def test_tokens_are_those_of_the_vocabulary_in_the_notation_of_sentencepiece(tmp_path, vocabulary):
    tokenizer = make(tmp_path, vocabulary)
    assert tokenizer.tokens("Réd  mug Hug") == ["▁red", "▁mug", "▁h", "ug"]
    assert tokenizer.tokens("") == []
    # Of what titles spell nothing is a special token; what is not in the vocabulary is unknown.
    assert tokenizer.tokens("[MASK] ☃") == ["▁[", "▁mask", "▁]", "<unk>"]
    assert tokenizer.encode("☃ red").tolist() == [UNK, tokenizer.ids["▁red"]]


def test_the_dictionary_is_in_the_order_of_the_vocabulary(tmp_path, vocabulary):
    (tmp_path / "title").mkdir()
    (tmp_path / "title" / "bpe.model").write_text("of before")
    tokenizer = make(tmp_path, vocabulary)
    lines = (tmp_path / "title" / "dict.txt").read_text(encoding="utf-8").splitlines()
    symbols, counts = zip(*(line.split(" ") for line in lines))
    written = [f"▁{t}" if t not in SPECIALS and t[:2] != "##" else t for t in VOCABULARY]
    assert list(symbols) == [symbol.removeprefix("##") for symbol in written]
    seen = {symbol: int(count) for symbol, count in zip(symbols, counts) if count != "0"}
    assert seen == {"▁red": 2, "▁mug": 1, "▁h": 2, "ug": 1, "a": 1, "t": 1}
    dictionary = load_dictionary(tmp_path / "title" / "dict.txt")
    assert [dictionary.index(symbol) for symbol in symbols] == [*map(tokenizer.ids.get, symbols)]
    starts = word_starts(dictionary)
    assert starts[dictionary.index("▁mug")]
    assert not starts[dictionary.index("ug")]
    assert not (tmp_path / "title" / "bpe.model").exists()


def test_case(tmp_path, vocabulary):
    vocabulary.write_text("\n".join([*VOCABULARY, "RED", "Réd"]), encoding="utf-8")
    tokenizer = make(tmp_path, vocabulary, "--case", "keep")
    assert tokenizer.tokens("RED Réd red") == ["▁RED", "▁Réd", "▁red"]


def test_a_tokenizer_of_hugging_face(tmp_path, vocabulary):
    """Its template, its special tokens and its cut are left out."""
    theirs = tokenizers.BertWordPieceTokenizer(str(vocabulary))
    theirs.enable_truncation(4)
    theirs.enable_padding(length=9)
    theirs.save(str(tmp_path / "tokenizer.json"))
    titles = ["red mug hug 27 [SEP] ok", "mugs"]
    tokenizer, plain = (
        make(tmp_path, path, titles=titles) for path in (tmp_path / "tokenizer.json", vocabulary)
    )
    for title in titles:
        assert tokenizer.tokens(title) == plain.tokens(title)
    assert len(tokenizer.tokens(titles[0])) > 4


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("a\nb\n", "it lacks .CLS."),
        ("\n".join([*VOCABULARY, "red"]), "numbered one after the other, or one is there twice"),
        ("\n".join([*VOCABULARY, "##▁red"]), "two of its tokens read alike"),
    ],
)
def test_vocabularies_that_cannot_be_used(tmp_path, vocabulary, content, message):
    vocabulary.write_text(content, encoding="utf-8")
    with pytest.raises(InputError, match=message):
        make(tmp_path, vocabulary)


def test_tokenizers_that_cannot_be_used(tmp_path, vocabulary):
    other = tmp_path / "tokenizer.json"
    for content, message in [
        ({"model": {"type": "BPE", "vocab": {}}}, "it is BPE, not WordPiece"),
        ({"model": {"type": "WordPiece"}}, "tokenizer.json cannot be used"),
        ([], "tokenizer.json cannot be used"),
    ]:
        other.write_text(json.dumps(content))
        with pytest.raises(InputError, match=message):
            make(tmp_path, other)
    with pytest.raises(InputError, match="none.txt is missing; give vocab.txt or tokenizer.json"):
        make(tmp_path, tmp_path / "none.txt")
    make(tmp_path, vocabulary)
    (tmp_path / "title" / "wordpiece.json").write_text("{}")
    with pytest.raises(InputError, match="wordpiece.json is no WordPiece tokenizer"):
        open_tokenizer(tmp_path / "title")


def write_bert(path):
    """The weights of a BERT of one layer for ``VOCABULARY`` and the model of ``commands.train``."""
    dim, ffn = 32, 128
    state = {
        f"embeddings.{name}_embeddings.weight": 0.1 * torch.randn(rows, dim)
        for name, rows in (("word", len(VOCABULARY)), ("position", 20), ("token_type", 2))
    }
    shapes = {f"attention.self.{name}": (dim, dim) for name in ("query", "key", "value")}
    shapes |= {"attention.output.dense": (dim, dim)}
    shapes |= {"intermediate.dense": (ffn, dim), "output.dense": (dim, ffn)}
    for name, shape in shapes.items():
        state[f"encoder.layer.0.{name}.weight"] = 0.1 * torch.randn(shape)
        state[f"encoder.layer.0.{name}.bias"] = torch.zeros(shape[0])
    for name in ("embeddings", "encoder.layer.0.attention.output", "encoder.layer.0.output"):
        state[f"{name}.LayerNorm.weight"] = torch.ones(dim)
        state[f"{name}.LayerNorm.bias"] = torch.zeros(dim)
    torch.save(state, path)
    return path


def test_the_whole_way(tmp_path, vocabulary, data_bin, commands):
    """A model that was trained from a BERT's weights is loaded, and goes on, without them."""
    data, model = tmp_path / "data-bin", tmp_path / "model"
    for name in ("image", "items"):
        shutil.copytree(data_bin / name, data / name)
    train = data_bin.parent / "splits" / "train.tsv"
    bpe_command.main([str(train), "--out", str(data / "title"), "--vocab", str(vocabulary)])
    binarize_command.main([str(data)])
    tokenizer = open_tokenizer(data / "title")
    first = (data / "items" / "train.tsv").read_text().splitlines()[1].split("\t")[1]
    stored = np.asarray(TokenStore(data / "title" / "train")[0])
    assert stored.tolist() == [*tokenizer.encode(first), 2]

    torch.manual_seed(0)
    file = write_bert(tmp_path / "bert.bin")
    start = ["--init-text", file, "--encoder-layers", 1]
    commands.train(data, model, *start, "--lr", "1e-9", updates=1)
    hub = ItemModel.from_pretrained(model, "checkpoint_last.pt")
    words = torch.load(file)["embeddings.word_embeddings.weight"]
    row = VOCABULARY.index("red")
    torch.testing.assert_close(hub.model.embedding.token.weight[4 + row], words[row])
    (title,) = {tuple(row) for row in hub.encode(["red mug"])[1].round(5).tolist()}
    assert any(title)

    # What training started from is the lower bound of embed --untrained; patches are drawn anew.
    arguments = ["--checkpoint", model / "checkpoint_last.pt", "--data", data, "--splits", "test"]
    for name, more in (("trained", []), ("untrained", ["--untrained"])):
        embed_command.main([*map(str, arguments), "--out", str(tmp_path / name), *more])
    trained, untrained = (np.load(tmp_path / n / "title.npy") for n in ("trained", "untrained"))
    assert (trained * untrained).sum(1).min() > 0.9

    file.unlink()
    commands.train(data, model, *start, updates=2)  # goes on: the weights are the checkpoint's
    ItemModel.from_pretrained(model, "checkpoint_last.pt").encode(["red mug"])
