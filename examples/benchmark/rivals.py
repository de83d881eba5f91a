"""The same products and objectives for every contestant, and the models that ours is held against.

All of them are ``ItemModel`` with another body: the five heads, the masked positions at which alone
they compute, the losses and the optimiser are the same.
"""

import importlib
import sys
from functools import cache
from types import SimpleNamespace

import numpy as np
import torch
from fairseq.data import Dictionary
from torch import nn

import fairseq_item

fairseq_item.register()

from fairseq_item.commands.common import Parser  # noqa: E402
from fairseq_item.criterions.item_pretraining import (  # noqa: E402
    ItemPretrainingCriterion,
    ItemPretrainingCriterionConfig,
)
from fairseq_item.data.item_dataset import Corruption, Geometry, ItemDataset  # noqa: E402
from fairseq_item.models.item import ItemModel, ItemModelConfig, MaskedPositions  # noqa: E402
from fairseq_item.models.resnet import whole_images  # noqa: E402

VOCABULARY = 8000
# Tokens of a title: those of the demo catalogue. A batch is padded to its longest.
TITLE_MEAN, TITLE_DEVIATION, TITLE_LEAST, TITLE_MOST = 12.0, 3.4, 3, 36


def parser(description, out):
    """The options of what compares models; ``out``: what ``--out`` is a folder for."""
    p = Parser(description)
    p.add_argument("--out", required=True, help=f"folder for {out}")
    p.add_argument("--quick", action="store_true", help="a few seconds on very small models")
    p.add_argument("--device", default="auto", help="auto, cpu or cuda")
    p.add_argument("--sizes", default="item_tiny,item_small,item_base", help="with commas")
    p.add_argument("--dtypes", default="float32,bfloat16", help="with commas")
    p.add_argument("--repeats", type=int, default=5, help="timed turns of each contestant")
    p.add_argument("--batch-size", type=int, help="products at once; the default goes by size")
    return p


def parse(p, argv=None):
    """Parse the options of :func:`parser`; ``auto`` becomes the device that is there."""
    args = p.parse_args(argv)
    if args.device == "auto":
        args.device = "cuda" if torch.cuda.is_available() else "cpu"
    return args


class Titles(list):
    """Titles of random tokens, in the form that ``ItemDataset`` reads."""

    def __init__(self, count, rng):
        lengths = np.rint(rng.normal(TITLE_MEAN, TITLE_DEVIATION, count)).astype(int)
        self.sizes = lengths.clip(TITLE_LEAST, TITLE_MOST) + 1
        super().__init__(np.append(rng.integers(4, VOCABULARY, n - 1), 2) for n in self.sizes)


class Images:
    """Images of random pixels, in the form that ``ItemDataset`` reads."""

    def __init__(self, count, size, rng):
        self.pixels = rng.integers(0, 256, (count, size, size, 3), dtype=np.uint8)

    def __len__(self):
        return len(self.pixels)

    def side(self, index):
        return self.pixels.shape[1]

    def rows(self, index, top, bottom):
        return self.pixels[index, top:bottom]


def dictionary():
    """fairseq's ``Dictionary`` of ``VOCABULARY`` tokens, ``<mask>`` the last of them."""
    symbols = Dictionary()
    for number in range(VOCABULARY - len(symbols) - 1):
        symbols.add_symbol(f"p{number}")
    symbols.add_symbol("<mask>")
    return symbols


def batch(cfg, count, corruption=None, seed=1):
    """A batch of ``count`` products for a model of ``cfg``, as the dataset collates them."""
    rng = np.random.default_rng(seed)
    dataset = ItemDataset(
        Titles(count, rng),
        Images(count, cfg.image_size, rng),
        dictionary(),
        Geometry(cfg.image_size, cfg.patch_size, cfg.max_title_length),
        corruption,
    )
    return dataset.collater([dataset[i] for i in range(count)])


def masked_batch(cfg, count, seed=1):
    """A batch of pre-training, with the paper's masks and mismatches."""
    return batch(cfg, count, Corruption(), seed)


def to_device(value, device):
    """A batch on the device."""
    if isinstance(value, dict):
        return {key: to_device(one, device) for key, one in value.items()}
    return value.to(device) if torch.is_tensor(value) else value


def config(architecture, **changes):
    """The configuration that one of the model's architectures stands for."""
    args = SimpleNamespace(**changes)
    architecture(args)
    return ItemModelConfig(**vars(args))


def criterion():
    """The paper's five objectives with the paper's weights."""
    cfg = ItemPretrainingCriterionConfig(mismatch_prob=0.5, masked_losses_on="all")
    return ItemPretrainingCriterion(SimpleNamespace(target_dictionary=None), cfg)


def item(cfg):
    """Our own model."""
    return ItemModel(cfg, VOCABULARY, 1, 0, 2)


def on_fairseq(cfg):
    """Our model on fairseq's ``TransformerSentenceEncoderLayer``, which RoBERTa was made of."""
    model = item(cfg)
    model.encoder = _FairseqEncoder(cfg)
    return model


class _FairseqEncoder(nn.Module):
    def __init__(self, cfg):
        from fairseq.modules import TransformerSentenceEncoderLayer

        super().__init__()
        self.layers = nn.ModuleList(
            TransformerSentenceEncoderLayer(
                cfg.encoder_embed_dim,
                cfg.encoder_ffn_embed_dim,
                cfg.encoder_attention_heads,
                cfg.dropout,
                cfg.attention_dropout,
                activation_dropout=0.0,
                activation_fn="gelu",
            )
            for _ in range(cfg.encoder_layers)
        )

    def at(self, x, present, wanted):
        x = x.transpose(0, 1)
        for layer in self.layers:
            x, _ = layer(x, self_attn_padding_mask=~present)
        return x.transpose(0, 1).flatten(0, 1).index_select(0, wanted)


def vilt(cfg):
    """Hugging Face's ``ViltModel`` of the same size under our heads.

    ViLT has a second [CLS] and shuffles the patches, so which of them are reconstructed means
    nothing here; how many does.

    Returns:
        the model; None, with a line on stderr, where transformers is missing.
    """
    library = transformers()
    return _Vilt(cfg, library) if library else None


def transformers():
    """Hugging Face's; see :func:`optional`."""
    return optional("transformers")


@cache
def optional(name):
    """A library by its module's name; None, said once on stderr, where it is missing."""
    # Hugging Face's want torchaudio where there is one; one of another CUDA than torch's fails.
    sys.modules.setdefault("torchaudio", None)
    try:
        return importlib.import_module(name)
    except ImportError as error:
        sys.stderr.write(f"{name} is left out: {error}\n")
        return None


def vilt_body(cfg, library):
    """``ViltModel`` of the sizes of ``cfg``, random weights."""
    return library.ViltModel(
        library.ViltConfig(
            vocab_size=VOCABULARY,
            hidden_size=cfg.encoder_embed_dim,
            num_hidden_layers=cfg.encoder_layers,
            num_attention_heads=cfg.encoder_attention_heads,
            intermediate_size=cfg.encoder_ffn_embed_dim,
            hidden_dropout_prob=cfg.dropout,
            attention_probs_dropout_prob=cfg.attention_dropout,
            image_size=cfg.image_size,
            patch_size=cfg.patch_size,
            max_position_embeddings=cfg.max_title_length + 2,
            max_image_length=-1,
            pad_token_id=1,
        ),
        add_pooling_layer=False,
    )


class _Vilt(ItemModel):
    def __init__(self, cfg, library):
        super().__init__(cfg, VOCABULARY, 1, 0, 2)
        self.encoder = vilt_body(cfg, library)
        self.vocabulary.embedding = self.encoder.embeddings.text_embeddings.word_embeddings
        for name in ("token", "patch", "norm"):
            delattr(self.embedding, name)

    def forward(self, title, patches, hidden_patches, masked_title, masked_patches):
        tokens = title.size(1)
        masked = MaskedPositions(*title.shape, patches.size(1), masked_title, masked_patches)
        targets = patches.flatten(0, 1).index_select(0, masked_patches).float() / 255.0
        shown = patches.flatten(0, 1).index_fill(0, hidden_patches, 128).view_as(patches)
        with self.autocast(title.device):
            states = self.encoder(
                input_ids=title,
                attention_mask=(title != 1).long(),
                pixel_values=whole_images(shown, self.cfg.patch_size, self.cfg.image_size),
            ).last_hidden_state
            states = torch.cat([states[:, :tokens], states[:, tokens + 1 :]], 1)  # less its [CLS]
            states = states.flatten(0, 1).index_select(0, masked.flat)
            return self._predict(*masked.split(states), masked, targets)
