"""A WordPiece vocabulary made elsewhere, for models that start from the weights it belongs to."""

import json
from collections import Counter
from pathlib import Path

from fairseq_item.data.wordpiece import BERT_MASK, BERT_SPECIALS, FILE, from_json, symbol_of
from fairseq_item.errors import InputError
from fairseq_item.files import atomic_path


def read_vocabulary(path, case="fold"):
    """A BERT's vocabulary as a tokenizer of plain text.

    Args:
        path: ``vocab.txt``, a token a line, or ``tokenizer.json`` of Hugging Face.
        case: "fold" or "keep": whether vocab.txt is of lower case; tokenizer.json says it itself.

    Returns:
        dict, the JSON of a ``tokenizers.Tokenizer`` that adds no [CLS] and cuts nothing off.

    Raises:
        InputError: the file is missing, or is no WordPiece vocabulary with BERT's special tokens.
    """
    try:
        text = Path(path).read_text(encoding="utf-8")
        content = _of_words(text, case) if Path(path).suffix == ".txt" else json.loads(text)
        if content["model"]["type"] != "WordPiece":
            raise ValueError(f"it is {content['model']['type']}, not WordPiece")
        # A title that spells "[SEP]" means these five characters.
        content |= dict.fromkeys(("post_processor", "padding", "truncation"), None)
        content["added_tokens"] = []
        from_json(content)
        return _checked(content)
    except FileNotFoundError:
        raise InputError(f"{path} is missing; give vocab.txt or tokenizer.json of a BERT") from None
    except (OSError, ValueError, KeyError, TypeError) as error:
        reason = " ".join(str(error).split())
        raise InputError(
            f"{path} cannot be used ({reason}); give vocab.txt or tokenizer.json of a BERT"
        ) from None


def _of_words(text, case):
    tokens = text.removesuffix("\n").split("\n")
    return {
        "version": "1.0",
        "normalizer": {
            "type": "BertNormalizer",
            "clean_text": True,
            "handle_chinese_chars": True,
            "strip_accents": None,
            "lowercase": case == "fold",
        },
        "pre_tokenizer": {"type": "BertPreTokenizer"},
        "decoder": None,
        "model": {
            "type": "WordPiece",
            "unk_token": BERT_SPECIALS[-1],
            "continuing_subword_prefix": "##",
            "max_input_chars_per_word": 100,
            "vocab": {token: number for number, token in enumerate(tokens)},
        },
    }


def _checked(content):
    vocabulary = content["model"]["vocab"]
    if sorted(vocabulary.values()) != list(range(len(vocabulary))):
        raise ValueError("its tokens are not numbered one after the other, or one is there twice")
    for special in (*BERT_SPECIALS, BERT_MASK):
        if special not in vocabulary:
            raise ValueError(f"it lacks {special}")
    if len({symbol_of(token) for token in vocabulary}) < len(vocabulary):
        raise ValueError("two of its tokens read alike")
    return content


def count_tokens(content, titles):
    """How often each symbol occurs in titles: dict in the order of the vocabulary.

    That order is kept in ``dict.txt``: the rows of pretrained token embeddings lie in it.
    """
    tokenizer, seen = from_json(content), Counter()
    for title in titles:
        seen.update(tokenizer.encode(title).tokens)
    vocabulary = content["model"]["vocab"]
    return {symbol_of(token): seen[token] for token in sorted(vocabulary, key=vocabulary.get)}


def write(folder, content, counts):
    """Write ``wordpiece.json`` and ``dict.txt``, in place of a SentencePiece model."""
    with atomic_path(folder / FILE) as path:
        path.write_text(json.dumps(content, ensure_ascii=False), encoding="utf-8")
    with atomic_path(folder / "dict.txt") as path:
        lines = (f"{symbol} {count}\n" for symbol, count in counts.items())
        path.write_text("".join(lines), encoding="utf-8", newline="\n")
    (folder / "bpe.model").unlink(missing_ok=True)
