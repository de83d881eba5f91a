"""The models that are compared, all of one size, and the batches that they read.

In training all of them are ``ItemModel`` with another body: the five heads, the masked positions at
which alone they compute, the losses and the optimiser are the same. Weights are random.
"""

from types import SimpleNamespace

import bench
import numpy as np
import torch
from bench import optional
from synthetic import dictionary
from torch import nn

import fairseq_item

fairseq_item.register()

from fairseq_item.commands.common import positive  # noqa: E402
from fairseq_item.criterions.item_pretraining import (  # noqa: E402
    ItemPretrainingCriterion,
    ItemPretrainingCriterionConfig,
)
from fairseq_item.data.item_dataset import Corruption, Geometry, ItemDataset  # noqa: E402
from fairseq_item.models import item as architectures  # noqa: E402
from fairseq_item.models.resnet import whole_images  # noqa: E402

VOCABULARY = 8000
SPECIAL = PADDING, CLS, SEP = 1, 0, 2
# Tokens of a title: those of the synthetic catalogue. A batch is padded to its longest.
TITLE_MEAN, TITLE_DEVIATION, TITLE_LEAST, TITLE_MOST = 12.0, 3.4, 3, 36
QUICK = {
    "encoder_layers": 2, "encoder_embed_dim": 32, "encoder_attention_heads": 2, "image_size": 32,
    "patch_size": 8,
}  # fmt: skip


def parser(description):
    """The options of what compares models."""
    p = bench.parser(description, repeats=5)
    p.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    p.add_argument("--sizes", nargs="+", default=["item_tiny", "item_small", "item_base"])
    p.add_argument("--dtypes", nargs="+", default=["float32", "bfloat16"])
    p.add_argument("--batch-size", type=positive, help="products at once; else it goes by size")
    return p


def parse(p, argv):
    """The parsed options; with ``--quick`` of one turn of the smallest size."""
    args = p.parse_args(argv)
    if args.quick:
        args.sizes, args.repeats = ["item_tiny"], 1
    return args


def contests(args, batches, gpu_batch):
    """Of each size and precision its name, configuration and products computed at once.

    The latter are ``--batch-size``, else ``gpu_batch``, or those of ``batches`` on a CPU.
    """
    for size in args.sizes:
        for dtype in args.dtypes:
            default = gpu_batch if args.device == "cuda" else batches[size]
            count = args.batch_size or (8 if args.quick else default)
            yield f"{size} {dtype}", config(size, dtype, args.quick), count


def config(size, dtype="float32", quick=False, **changes):
    """The configuration of an architecture such as "item_tiny"; very small with ``quick``."""
    args = SimpleNamespace(compute_dtype=dtype, **{**(QUICK if quick else {}), **changes})
    getattr(architectures, size)(args)
    return architectures.ItemModelConfig(**vars(args))


class Images(list):
    """Arrays of pixels in the form that ``ItemDataset`` reads."""

    def side(self, index):
        return len(self[index])

    def rows(self, index, top, bottom):
        return self[index][top:bottom]


def batch(cfg, count, corruption=None, device="cpu"):
    """A batch of ``count`` random products for a model of ``cfg``, as the dataset collates them."""
    rng, side = np.random.default_rng(1), cfg.image_size
    lengths = np.rint(rng.normal(TITLE_MEAN, TITLE_DEVIATION, count)).astype(int)
    lengths = lengths.clip(TITLE_LEAST, TITLE_MOST)
    titles = [np.append(rng.integers(4, VOCABULARY, length), SEP) for length in lengths]
    images = Images(rng.integers(0, 256, (count, side, side, 3), dtype=np.uint8))
    geometry = Geometry(side, cfg.patch_size, cfg.max_title_length)
    dataset = ItemDataset(titles, images, dictionary(VOCABULARY), geometry, corruption)
    return to_device(dataset.collater([dataset[i] for i in range(count)]), device)


def masked_batch(cfg, count, device="cpu"):
    """A batch of pre-training, with the paper's masks and mismatches."""
    return batch(cfg, count, Corruption(), device)


def to_device(value, device):
    if isinstance(value, dict):
        return {key: to_device(one, device) for key, one in value.items()}
    return value.to(device) if torch.is_tensor(value) else value


def criterion():
    """The paper's five objectives with the paper's weights."""
    cfg = ItemPretrainingCriterionConfig(mismatch_prob=0.5, masked_losses_on="all")
    return ItemPretrainingCriterion(SimpleNamespace(target_dictionary=None), cfg)


def item(cfg):
    """Our own model."""
    return architectures.ItemModel(cfg, VOCABULARY, *SPECIAL)


def on_fairseq(cfg):
    """Our model on fairseq's ``TransformerSentenceEncoderLayer``, which RoBERTa was made of."""
    model = item(cfg)
    model.encoder = _FairseqEncoder(cfg)
    return model


class _FairseqEncoder(nn.Module):
    def __init__(self, cfg):
        from fairseq.modules import TransformerSentenceEncoderLayer as Layer

        super().__init__()
        sizes = cfg.encoder_embed_dim, cfg.encoder_ffn_embed_dim, cfg.encoder_attention_heads
        dropouts = cfg.dropout, cfg.attention_dropout, 0.0
        layers = range(cfg.encoder_layers)
        self.layers = nn.ModuleList(Layer(*sizes, *dropouts, activation_fn="gelu") for _ in layers)

    def at(self, x, present, wanted):
        x = x.transpose(0, 1)
        for layer in self.layers:
            x, _ = layer(x, self_attn_padding_mask=~present)
        return x.transpose(0, 1).flatten(0, 1).index_select(0, wanted)


def vilt(cfg):
    """Hugging Face's ViLT under our heads; None where transformers is missing.

    ViLT has a second [CLS] and shuffles the patches, so which of them are reconstructed means
    nothing here; how many does.
    """
    return _Vilt(cfg) if optional("transformers") else None


class _Vilt(architectures.ItemModel):
    def __init__(self, cfg):
        super().__init__(cfg, VOCABULARY, *SPECIAL)
        self.encoder = _ViltEncoder(cfg)
        text = self.encoder.body.embeddings.text_embeddings
        self.vocabulary.embedding = text.word_embeddings
        for name in ("token", "patch", "norm"):
            delattr(self.embedding, name)

    def sequence(self, title, patches, hidden_patches=None, has_image=None):
        shown = patches.flatten(0, 1).index_fill(0, hidden_patches, 128).view_as(patches)
        return (title, shown), None  # what its encoder reads


class _ViltEncoder(nn.Module):
    def __init__(self, cfg):
        super().__init__()
        self.cfg, self.body = cfg, vilt_body(cfg)

    def at(self, x, present, wanted):
        inputs, tokens = others_inputs(self.cfg, *x), x[0].size(1)
        states = self.body(**inputs).last_hidden_state
        states = torch.cat([states[:, :tokens], states[:, tokens + 1 :]], 1)  # less its [CLS]
        return states.flatten(0, 1).index_select(0, wanted)


def others_inputs(cfg, title, patches):
    """A batch as the models of transformers read it."""
    whole = whole_images(patches, cfg.patch_size, cfg.image_size)
    mask = (title != PADDING).long()
    return {"input_ids": title, "attention_mask": mask, "pixel_values": whole}


def _sizes(cfg):
    return {
        "hidden_size": cfg.encoder_embed_dim,
        "intermediate_size": cfg.encoder_ffn_embed_dim,
        "num_hidden_layers": cfg.encoder_layers,
        "num_attention_heads": cfg.encoder_attention_heads,
    }


def vilt_body(cfg):
    """transformers' ``ViltModel`` of the sizes of ``cfg``."""
    library = optional("transformers")
    whole = library.ViltConfig(
        **_sizes(cfg),
        vocab_size=VOCABULARY,
        hidden_dropout_prob=cfg.dropout,
        attention_probs_dropout_prob=cfg.attention_dropout,
        image_size=cfg.image_size,
        patch_size=cfg.patch_size,
        max_position_embeddings=cfg.max_title_length + 2,
        max_image_length=-1,
        pad_token_id=PADDING,
    )
    return library.ViltModel(whole, add_pooling_layer=False)


def clip_body(cfg, vocabulary=VOCABULARY, specials=(CLS, SEP, PADDING)):
    """transformers' ``CLIPModel`` whose towers are of the sizes of ``cfg``.

    Args:
        cfg: our configuration.
        vocabulary: tokens of a title.
        specials: what begins a title, ends and pads it.
    """
    library, sizes = optional("transformers"), _sizes(cfg)
    text = dict(zip(("bos_token_id", "eos_token_id", "pad_token_id"), specials))
    text.update(vocab_size=vocabulary, max_position_embeddings=cfg.max_title_length + 2)
    vision = {"image_size": cfg.image_size, "patch_size": cfg.patch_size}
    whole = library.CLIPConfig(
        text_config={**sizes, **text, "projection_dim": cfg.encoder_embed_dim},
        vision_config={**sizes, **vision, "projection_dim": cfg.encoder_embed_dim},
        projection_dim=cfg.encoder_embed_dim,
    )
    return library.CLIPModel(whole)
