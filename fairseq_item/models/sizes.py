"""Sizes that the models share, under the same names, so that they compare at equal size."""

from dataclasses import dataclass, field

from fairseq.dataclass import ChoiceEnum, FairseqDataclass


@dataclass
class InputConfig(FairseqDataclass):
    """What a model sees of a product, and how it computes."""

    image_size: int = field(default=224, metadata={"help": "side of the image seen, in pixels"})
    patch_size: int = field(default=16, metadata={"help": "side of a patch, in pixels"})
    max_title_length: int = field(
        default=36, metadata={"help": "title tokens seen; longer titles are cut"}
    )
    compute_dtype: ChoiceEnum(["float32", "bfloat16"]) = field(
        default="float32",
        metadata={"help": "precision of the forward pass; parameters stay float32"},
    )


@dataclass
class TransformerConfig(InputConfig):
    """Sizes of an encoder; the defaults are BERT-base's."""

    encoder_layers: int = field(default=12, metadata={"help": "encoder layers"})
    encoder_embed_dim: int = field(default=768, metadata={"help": "width of the encoder"})
    encoder_ffn_embed_dim: int = field(default=3072, metadata={"help": "feed-forward width"})
    encoder_attention_heads: int = field(default=12, metadata={"help": "attention heads"})
    dropout: float = field(default=0.1, metadata={"help": "dropout of the hidden states"})
    attention_dropout: float = field(default=0.1, metadata={"help": "dropout of the attention"})


@dataclass
class EncoderConfig(TransformerConfig):
    """How our own encoder computes; this changes no number, and checkpoints fit either way."""

    checkpoint_activations: bool = field(
        default=False,
        metadata={"help": "compute each layer twice in training rather than keep all of it"},
    )
    compile: bool = field(
        default=False,
        metadata={"help": "put the encoder's layers through torch.compile: for GPUs"},
    )


def how_to_compute(cfg):
    """Arguments of an ``Encoder`` that :class:`EncoderConfig` adds; older checkpoints lack them."""
    return {
        "recompute": bool(getattr(cfg, "checkpoint_activations", False)),
        "compiled": bool(getattr(cfg, "compile", False)),
    }


def transformer_sizes(args, layers, dim, heads, image_size):
    """Fill in what the command line left open; feed-forward blocks are four times as wide."""
    args.encoder_layers = given(args, "encoder_layers", layers)
    args.encoder_embed_dim = given(args, "encoder_embed_dim", dim)
    args.encoder_ffn_embed_dim = given(args, "encoder_ffn_embed_dim", 4 * args.encoder_embed_dim)
    args.encoder_attention_heads = given(args, "encoder_attention_heads", heads)
    args.image_size = given(args, "image_size", image_size)


def given(args, name, default):
    """A setting of the command line, ``default`` where it was left open."""
    value = getattr(args, name, None)
    return default if value is None else value
