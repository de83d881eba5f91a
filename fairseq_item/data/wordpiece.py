"""WordPiece (Wu et al. 2016), the tokens of BERT, for models that start from its weights.

Tokens are written as SentencePiece writes them, so that all else need not tell them apart:
"▁shoe" begins a word, where WordPiece has "shoe", and "s" goes on with one, where it has "##s".
"""

import json

from fairseq_item.data.text import clean_title
from fairseq_item.data.titles import SPECIALS, UNK, TitleTokenizer, read_dictionary
from fairseq_item.errors import InputError

FILE = "wordpiece.json"
# BERT's names of what a fairseq dictionary begins with, and of <mask>, which ends it.
BERT_SPECIALS = ("[CLS]", "[PAD]", "[SEP]", "[UNK]")
BERT_MASK = "[MASK]"


class WordPieceTokenizer(TitleTokenizer):
    """Titles to WordPiece tokens and their ids in fairseq's numbering.

    Args:
        path: a file that :func:`fairseq_item.preprocess.wordpiece.write` wrote.
        dict_path: the dictionary of its tokens, ``dict.txt``.

    Raises:
        InputError: a file is missing or is not what it should be, or the library is.
    """

    def __init__(self, path, dict_path):
        try:
            self._wordpiece = from_json(json.loads(path.read_text(encoding="utf-8")))
        except (OSError, ValueError) as error:
            reason = " ".join(str(error).split())
            raise InputError(
                f"{path} is no WordPiece tokenizer ({reason}); item-bpe --vocab writes it"
            ) from None
        self.ids = read_dictionary(dict_path)

    def tokens(self, title):
        found = self._wordpiece.encode(clean_title(title)).tokens
        return [
            SPECIALS[UNK] if token == BERT_SPECIALS[UNK] else symbol_of(token) for token in found
        ]


def from_json(content):
    """A ``tokenizers.Tokenizer`` of the parsed JSON of one.

    Raises:
        InputError: the library is not installed.
        ValueError: the content is something else.
    """
    try:
        from tokenizers import Tokenizer
    except ImportError:
        raise InputError(
            "WordPiece needs a library; run pip install 'fairseq-item[pretrained]'"
        ) from None
    try:
        return Tokenizer.from_str(json.dumps(content))
    except Exception as error:  # the library raises nothing more special
        raise ValueError(str(error)) from None


def symbol_of(token):
    """How ``dict.txt`` writes a token of WordPiece; BERT's special ones stay what they are."""
    if token in BERT_SPECIALS or token == BERT_MASK:
        return token
    return token[2:] if token.startswith("##") and len(token) > 2 else f"\u2581{token}"
