"""A pretrained BERT (Devlin et al. 2019) to start the title from."""

import json
import logging
import re
from pathlib import Path

import torch

from fairseq_item.data.weights import read_weights
from fairseq_item.data.wordpiece import BERT_MASK, BERT_SPECIALS
from fairseq_item.errors import InputError

logger = logging.getLogger(__name__)

# Our layer's parameters and those of Hugging Face's BERT that go into them, side by side.
LAYER = {
    "qkv": ("attention.self.query", "attention.self.key", "attention.self.value"),
    "out": ("attention.output.dense",),
    "attention_norm": ("attention.output.LayerNorm",),
    "fc1": ("intermediate.dense",),
    "fc2": ("output.dense",),
    "ffn_norm": ("output.LayerNorm",),
}
BERT_EPS = 1e-12  # of its LayerNorms; its token embeddings are small enough for that to matter


def start_title(file, dictionary, token, position, norm, encoder):
    """Start from a BERT, with whose weights the encoder does on text what that BERT does.

    Its token types are not told apart here: the first is added to the positions. An encoder of
    fewer layers takes the first ones; one with more, or of another feed-forward width, stays as it
    was drawn.

    Args:
        file: path.
        dictionary: fairseq ``Dictionary`` of ``item-bpe --vocab``.
        token, position: ``nn.Embedding`` of the title's tokens and positions.
        norm: ``nn.LayerNorm`` of their sum.
        encoder: :class:`fairseq_item.modules.encoder.Encoder`.

    Raises:
        InputError: the file is no BERT, or does not fit the dictionary, the longest title, the
            width or the number of heads.
    """
    state = read_weights(file, "the weights of a BERT")
    try:
        _start(file, {_new_name(name): value.float() for name, value in state.items()},
               dictionary, token, position, norm, encoder)  # fmt: skip
    except KeyError as error:
        raise InputError(f"{file} has no {error.args[0]}; give the weights of a BERT") from None


def _start(file, bert, dictionary, token, position, norm, encoder):
    words, positions, types = (
        bert[f"embeddings.{name}_embeddings.weight"] for name in ("word", "position", "token_type")
    )
    longest, dim = position.weight.shape
    if len(positions) < longest:
        raise InputError(
            f"{file} has {len(positions)} positions; take --max-title-length {len(positions) - 2}"
        )
    if words.size(1) != dim:
        raise InputError(
            f"{file} is {words.size(1)} wide, the model {dim}; take --encoder-embed-dim "
            f"{words.size(1)}"
        )
    token.weight.copy_(words[_rows(file, words, dictionary)])
    token.weight[token.padding_idx] = 0
    position.weight.copy_(positions[:longest] + types[0])
    _copy(norm, bert, ["embeddings.LayerNorm"])
    if not _fits(encoder, bert):
        logger.warning("started from the token embeddings of %s, its layers do not fit", file)
        return
    _check_heads(file, encoder.layers[0].heads)
    for number, layer in enumerate(encoder.layers):
        for name, parts in LAYER.items():
            parts = [f"encoder.layer.{number}.{part}" for part in parts]
            _copy(getattr(layer, name), bert, parts)
    logger.info("started from %s, %d layers", file, len(encoder.layers))


def _new_name(name):
    """A name without what depends on the age of the file and on what the BERT was trained for."""
    name = re.sub(r"LayerNorm\.gamma$", "LayerNorm.weight", name.removeprefix("bert."))
    return re.sub(r"LayerNorm\.beta$", "LayerNorm.bias", name)


def _rows(file, words, dictionary):
    """The rows of the pretrained token embeddings that our symbols have: int64 (vocabulary,)."""
    first, symbols = dictionary.nspecial, len(dictionary)
    own = (dictionary.bos(), dictionary.pad(), dictionary.eos(), dictionary.unk(), symbols - 1)
    names = (*BERT_SPECIALS, BERT_MASK)
    # dict.txt is in the order of the vocabulary; <mask>, of our own, comes last.
    if symbols - first - 1 != len(words) or any(name not in dictionary for name in names):
        raise InputError(
            f"{file} has {len(words)} tokens, dict.txt {symbols - first - 1}, or others; make it "
            "with item-bpe --vocab of the same BERT"
        )
    rows = torch.arange(symbols) - first
    rows[list(own)] = torch.tensor([dictionary.index(name) for name in names]) - first
    return rows


def _fits(encoder, bert):
    """Whether there are layers for all of the encoder's, and of its size."""
    last = f"encoder.layer.{len(encoder.layers) - 1}.intermediate.dense.weight"
    return last in bert and bert[last].shape == encoder.layers[-1].fc1.weight.shape


def _copy(module, state, names):
    """Fill weight and bias of ``module`` with those of ``names``, one below the other."""
    for kind in ("weight", "bias"):
        getattr(module, kind).copy_(torch.cat([state[f"{name}.{kind}"] for name in names]))


def _check_heads(file, heads):
    """Weights do not tell how many heads they are for; config.json beside them does."""
    try:
        config = json.loads(Path(file).with_name("config.json").read_text(encoding="utf-8"))
        theirs = config["num_attention_heads"]
    except (OSError, ValueError, KeyError, TypeError):
        return
    if theirs != heads:
        raise InputError(f"{file} has {theirs} heads; add --encoder-attention-heads {theirs}")
