"""From a title to token ids: the one path for training data and for queries."""

import numpy as np

from fairseq_item.data.text import clean_title
from fairseq_item.errors import InputError

# What every fairseq dictionary begins with.
SPECIALS = ("<s>", "<pad>", "</s>", "<unk>")
BOS, PAD, EOS, UNK = range(len(SPECIALS))
OVERWRITE = " #fairseq:overwrite"


def read_dictionary(path):
    """Read fairseq's ``dict.txt``: a line per symbol, the symbol and its count.

    Returns:
        dict: symbol -> id, numbered as fairseq does: the four of ``SPECIALS``, then line by line
        from 4. A symbol flagged ``#fairseq:overwrite`` takes the id of its own line.

    Raises:
        InputError: the file is missing, is not UTF-8, or has a line of another form.
    """
    ids = {symbol: i for i, symbol in enumerate(SPECIALS)}
    number = 0
    try:
        with open(path, encoding="utf-8") as file:
            for number, line in enumerate(file, 1):
                line = line.rstrip()
                overwrite = line.endswith(OVERWRITE)
                symbol, space, count = line.removesuffix(OVERWRITE).rpartition(" ")
                if not space or not count.isdecimal():
                    raise InputError(
                        f"{path} line {number} is not a symbol and its count; write it again"
                    )
                if symbol in ids and not overwrite:
                    raise InputError(
                        f"{path} line {number} repeats '{symbol}'; add{OVERWRITE} to the line "
                        "where that is meant"
                    )
                ids[symbol] = len(SPECIALS) + number - 1
    except FileNotFoundError:
        raise InputError(f"{path} is missing; preprocess/train_bpe.py writes it") from None
    except UnicodeDecodeError:
        raise InputError(f"{path} is not UTF-8 after line {number}; write it again") from None
    return ids


TOKENIZERS = ("bpe.model", "wordpiece.json")  # the file beside dict.txt says which it is


def open_tokenizer(folder):
    """The tokenizer of a folder, title/ of a data-bin or a model's: SentencePiece or WordPiece.

    Returns:
        :class:`TitleTokenizer`.

    Raises:
        InputError: as of that.
    """
    from fairseq_item.data.wordpiece import FILE, WordPieceTokenizer

    if (folder / FILE).exists():
        return WordPieceTokenizer(folder / FILE, folder / "dict.txt")
    return TitleTokenizer(folder / "bpe.model", folder / "dict.txt")


class TitleTokenizer:
    """Titles to BPE tokens and their ids in fairseq's numbering.

    Args:
        bpe_model_path: a SentencePiece model.
        dict_path: the dictionary of its tokens, ``dict.txt``.

    Attributes:
        ids: dict, token -> id.

    Raises:
        InputError: a file is missing or is not what it should be.
    """

    def __init__(self, bpe_model_path, dict_path):
        import sentencepiece

        try:
            self._bpe = sentencepiece.SentencePieceProcessor(model_file=str(bpe_model_path))
        except (OSError, RuntimeError):
            raise InputError(
                f"{bpe_model_path} is missing or not a SentencePiece model; "
                "preprocess/train_bpe.py writes it"
            ) from None
        self.ids = read_dictionary(dict_path)

    def __len__(self):
        """Number of symbols, the four special ones included."""
        return len(self.ids)

    def tokens(self, title):
        """The title's tokens, a list of strings; empty for an empty title."""
        return self._bpe.encode(clean_title(title), out_type=str)

    def encode(self, title):
        """The title's ids, int32 of shape (number of tokens,): neither cut nor ended by ``</s>``.

        Tokens that the dictionary lacks become ``<unk>``.
        """
        tokens = self.tokens(title)
        return np.fromiter((self.ids.get(token, UNK) for token in tokens), np.int32, len(tokens))
