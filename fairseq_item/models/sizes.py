"""Sizes that the models share, under the same names, so that they compare at equal size."""

from dataclasses import dataclass, field

from fairseq.dataclass import ChoiceEnum, FairseqDataclass

from fairseq_item.data.settings import check_range, check_shares
from fairseq_item.errors import InputError
from fairseq_item.modules.encoder import Encoder


@dataclass
class InputConfig(FairseqDataclass):
    """What a model sees of a product, and how it computes."""

    image_size: int = field(default=224, metadata={"help": "side of the image seen, in pixels"})
    patch_size: int = field(default=16, metadata={"help": "side of a patch, in pixels"})
    max_title_length: int = field(
        default=36, metadata={"help": "title tokens seen; longer titles are cut"}
    )
    compute_dtype: ChoiceEnum(["float32", "bfloat16", "auto"]) = field(
        default="float32",
        metadata={
            "help": "precision of the forward pass; parameters stay float32; auto: bfloat16 on a "
            "GPU that has it, on a CPU the faster one, measured when training starts"
        },
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
    """How our own encoder computes; it means the same, and checkpoints fit either way."""

    checkpoint_activations: bool = field(
        default=False,
        metadata={"help": "compute each layer twice in training rather than keep all of it"},
    )
    compile: bool = field(
        default=False,
        metadata={"help": "put the encoder's layers through torch.compile: for GPUs"},
    )
    no_cpu_kernels: bool = field(
        default=False,
        metadata={"help": "on a CPU, attention and dropout by torch alone, and rows for padding"},
    )


@dataclass
class ReadoutConfig(InputConfig):
    """Which embeddings a baseline gives."""

    embed_layers: ChoiceEnum(["published", "last", "all"]) = field(
        default="published",
        metadata={
            "help": "published: the one global embedding that the paper compares; last, all: "
            "also means over the title's tokens and over patches, as ITEm's, of the last layer, or "
            "the title's of all layers and the input"
        },
    )


SIZES = (
    "encoder_layers",
    "encoder_embed_dim",
    "encoder_ffn_embed_dim",
    "encoder_attention_heads",
    "joint_dim",
    "width",
)
LARGEST = 65_536
MOST_LAYERS = 512
MOST_PARAMETERS = 20_000_000_000


def check_sizes(cfg):
    """Refuse sizes and probabilities that no model can have; ``cfg`` may lack some.

    Raises:
        InputError: one line that names the flag.
    """
    for name in SIZES:
        check_range(f"--{name.replace('_', '-')}", getattr(cfg, name, 1), 1, LARGEST)
    check_range("--encoder-layers", getattr(cfg, "encoder_layers", 1), 1, MOST_LAYERS)
    if least_parameters(cfg) > MOST_PARAMETERS:
        raise InputError(
            f"these sizes make a model of {least_parameters(cfg):,} parameters; choose a smaller "
            "--encoder-embed-dim, --encoder-ffn-embed-dim or --encoder-layers"
        )
    check_shares(**{name: getattr(cfg, name, 0) for name in ("dropout", "attention_dropout")})
    dim, heads = (getattr(cfg, f"encoder_{n}", 1) for n in ("embed_dim", "attention_heads"))
    if dim % heads:
        raise InputError(
            f"--encoder-embed-dim {dim} is not a multiple of --encoder-attention-heads {heads}; "
            "change one of them"
        )


def least_parameters(cfg):
    """Parameters that a model of these settings has at least.

    The matrices of its encoder, or a convolution of the last stage of a ResNet.
    """
    layers, dim, ffn = (
        getattr(cfg, f"encoder_{name}", 0) for name in ("layers", "embed_dim", "ffn_embed_dim")
    )
    return layers * (4 * dim * dim + 2 * dim * ffn) + 9 * (8 * getattr(cfg, "width", 0)) ** 2


def build_encoder(cfg):
    """The :class:`fairseq_item.modules.encoder.Encoder` of an :class:`EncoderConfig`."""
    return Encoder(
        cfg.encoder_layers,
        cfg.encoder_embed_dim,
        cfg.encoder_attention_heads,
        cfg.encoder_ffn_embed_dim,
        cfg.dropout,
        cfg.attention_dropout,
        recompute=cfg.checkpoint_activations,
        compiled=cfg.compile,
        cpu_kernels=not cfg.no_cpu_kernels,
    )


def transformer_sizes(args, layers, dim, heads, image_size):
    """Set what the command line left open; feed-forward blocks are four times as wide."""
    set_defaults(
        args,
        encoder_layers=layers,
        encoder_embed_dim=dim,
        encoder_attention_heads=heads,
        image_size=image_size,
    )
    set_defaults(args, encoder_ffn_embed_dim=4 * args.encoder_embed_dim)


def set_defaults(args, **defaults):
    """Set what the command line left open."""
    for name, value in defaults.items():
        if getattr(args, name, None) is None:
            setattr(args, name, value)
