"""The CLIP baseline: a BERT for titles and one for images, told apart by contrast."""

import math
from dataclasses import dataclass, field
from typing import NamedTuple

import torch
import torch.nn.functional as F
from fairseq.models import register_model, register_model_architecture
from torch import nn

from fairseq_item.data.settings import check_range
from fairseq_item.models.pretrained_start import StartConfig
from fairseq_item.models.pretrained_text import BERT_EPS
from fairseq_item.models.product_model import ProductModel
from fairseq_item.models.sizes import (
    EncoderConfig,
    ReadoutConfig,
    build_encoder,
    set_defaults,
    transformer_sizes,
)
from fairseq_item.modules.contrastive import scale_of
from fairseq_item.modules.init import initialise_as_bert
from fairseq_item.modules.pooling import mean_of_tokens
from fairseq_item.modules.towers import ImageTower, TitleTower


@dataclass
class ClipConfig(StartConfig, ReadoutConfig, EncoderConfig):
    """Sizes of each tower."""

    joint_dim: int = field(default=512, metadata={"help": "width of a tower's embedding"})
    temperature: float = field(
        default=0.07, metadata={"help": "where the learned temperature starts"}
    )


class Contrasted(NamedTuple):
    """What the contrast compares."""

    titles: torch.Tensor  # float32 (B, joint_dim), rows of norm 1
    images: torch.Tensor  # the same
    scale: torch.Tensor  # scalar: one over the temperature


@register_model("item_clip", dataclass=ClipConfig)
class ClipModel(ProductModel):
    """Two towers (Radford et al. 2021), each with BERT's encoder as in the paper's comparison.

    The global embedding of a product is that of its title and that of its image, one after the
    other; a classifier reads both [CLS] states.
    """

    pretraining_only = ("title_projection", "image_projection", "logit_scale")

    def __init__(self, cfg, vocabulary, padding, cls, sep):
        super().__init__(cfg)
        check_range("--temperature", cfg.temperature, 0.01, 100)
        dim, sizes = cfg.encoder_embed_dim, self.geometry
        self.special = (padding, cls, sep)
        self.title = TitleTower(
            vocabulary, padding, dim, cfg.max_title_length + 2, build_encoder(cfg), cfg.dropout
        )
        if cfg.init_text:
            self.title.norm.eps = BERT_EPS
        self.image = ImageTower(
            sizes.patches, sizes.patch_dim, dim, build_encoder(cfg), cfg.dropout
        )
        self.title_projection = nn.Linear(dim, cfg.joint_dim, bias=False)
        self.image_projection = nn.Linear(dim, cfg.joint_dim, bias=False)
        self.logit_scale = nn.Parameter(torch.zeros(()))
        self.reset_parameters()

    def reset_parameters(self):
        """Draw all weights anew, as in BERT; the projections keep the variance, as in CLIP."""
        self.apply(initialise_as_bert)
        nn.init.normal_(self.image.cls, std=0.02)
        if self.classifier is None:
            for projection in (self.title_projection, self.image_projection):
                nn.init.normal_(projection.weight, std=projection.in_features**-0.5)
            nn.init.constant_(self.logit_scale, -math.log(self.cfg.temperature))

    def title_parts(self):
        """What :func:`fairseq_item.models.pretrained_text.start_title` takes."""
        tower = self.title
        return {name: getattr(tower, name) for name in ("token", "position", "norm", "encoder")}

    def image_parts(self):
        """What :func:`fairseq_item.models.pretrained_image.start_image` takes."""
        return {"patch": self.image.patch, "positions": self.image.position.weight[1:]}  # no [CLS]

    @property
    def embedding_dim(self):
        both = 2 * self.cfg.joint_dim if self.classifier is None else self.feature_dim
        published = self.cfg.embed_layers == "published"
        return both if published else max(both, self.cfg.encoder_embed_dim)

    @property
    def feature_dim(self):
        return 2 * self.cfg.encoder_embed_dim

    def forward(self, title, patches, with_embeddings=False):
        """Compare a batch.

        Args:
            title: int64 (B, T): [CLS] tokens [SEP], padded.
            patches: uint8 (B, m, patch_dim).
            with_embeddings: return what :meth:`embed_last` does as well, of the same pass.

        Returns:
            :class:`Contrasted`, or (:class:`Contrasted`, embeddings); of a classifier the logits
            of the leaf categories (B, classes).
        """
        if self.classifier is not None:
            return self.classify(title, patches)
        scale = scale_of(self.logit_scale)
        if not with_embeddings:
            return Contrasted(*self.project(title, patches), scale)
        titles, images, *means = self._encode(title, patches)
        return Contrasted(titles, images, scale), self._three(title, titles, images, *means)

    def project(self, title, patches):
        """Embeddings of title and image: float32 rows of norm 1."""
        with self.autocast(title.device):
            return self._project(self.title(title), self.image(patches))

    def _project(self, titles, images):
        """The [CLS] states of both towers in the joint space."""
        if self.classifier is None:
            titles, images = self.title_projection(titles), self.image_projection(images)
        return F.normalize(titles.float(), dim=-1), F.normalize(images.float(), dim=-1)

    def _encode(self, title, patches, all_layers=False):
        """:meth:`project`, and the means over the title's tokens and the patches: (B, dim) each."""
        with self.autocast(title.device):
            words, mean = self.title.encoder.last_and_mean(*self.title.sequence(title))
            pixels = self.image.encoder.last(self.image.sequence(patches))
            projected = self._project(words[:, 0], pixels[:, 0])
        tokens = mean_of_tokens(mean if all_layers else words, title, self.special)
        return *projected, tokens, pixels[:, 1:].float().mean(1)

    def embed(self, title, patches, has_image=None):
        """The embeddings, not normalised.

        Args:
            title, patches: as in :meth:`forward`.
            has_image: bool (B,), false where the product has no image; None if all have one.

        Returns:
            (global, title, image), each float32 (B, embedding_dim): both towers' embeddings
            concatenated, and zeros unless ``embed_layers`` asks for the means of title and image.
            The narrower ones end in zeros; that of what a product lacks is zero.
        """
        if self.cfg.embed_layers != "published":
            means = self._encode(title, patches, self.cfg.embed_layers == "all")
            return self._three(title, *means, has_image)
        titles, images = self.project(title, patches)
        blank = titles.new_zeros(len(titles), self.embedding_dim)
        return self._three(title, titles, images, blank, blank, has_image)

    def embed_last(self, title, patches, has_image=None):
        """:meth:`embed` from the last layer, whatever ``embed_layers`` says; views contrast it."""
        return self._three(title, *self._encode(title, patches), has_image)

    def _three(self, title, titles, images, tokens, patches, has_image=None):
        """The global embedding of both projections, and the two means."""
        special = torch.tensor(self.special, device=title.device)
        titles = titles * (~torch.isin(title, special)).any(1, keepdim=True)
        if has_image is not None:
            images, patches = images * has_image[:, None], patches * has_image[:, None]
        found = torch.cat([titles, images], dim=1), tokens, patches
        width = max(rows.size(1) for rows in found)
        return tuple(F.pad(rows, (0, width - rows.size(1))) for rows in found)

    def features(self, title, patches, has_image=None):
        """Both [CLS] states, float32 (B, feature_dim): what a classifier reads."""
        with self.autocast(title.device):
            titles, images = self.title(title).float(), self.image(patches).float()
        if has_image is not None:
            images = images * has_image[:, None]
        return torch.cat([titles, images], dim=1)


@register_model_architecture("item_clip", "item_clip_tiny")
def item_clip_tiny(args):
    """Each tower as item_tiny."""
    transformer_sizes(args, 3, 128, 4, 64)
    set_defaults(args, joint_dim=128)


@register_model_architecture("item_clip", "item_clip_small")
def item_clip_small(args):
    """Each tower as item_small."""
    transformer_sizes(args, 6, 384, 6, 112)
    set_defaults(args, joint_dim=256)


@register_model_architecture("item_clip", "item_clip_base")
def item_clip_base(args):
    """Each tower as item_base: BERT-base."""
    transformer_sizes(args, 12, 768, 12, 224)
    set_defaults(args, joint_dim=512)
