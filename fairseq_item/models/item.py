"""ITEm: one encoder over title tokens and image patches, with the five pre-training heads."""

from dataclasses import dataclass, field
from typing import NamedTuple

import torch
from fairseq.dataclass import ChoiceEnum
from fairseq.models import register_model, register_model_architecture
from torch import nn

from fairseq_item.models.pretrained_start import StartConfig
from fairseq_item.models.pretrained_text import BERT_EPS
from fairseq_item.models.product_model import ProductModel
from fairseq_item.models.sizes import EncoderConfig, build_encoder, transformer_sizes
from fairseq_item.modules.embeddings import ItemEmbedding
from fairseq_item.modules.heads import GlobalTransform, TokenTransform, VocabularyHead
from fairseq_item.modules.init import initialise_as_bert
from fairseq_item.modules.pooling import mean_of_tokens


@dataclass
class ItemModelConfig(StartConfig, EncoderConfig):
    """Sizes of ITEm; the defaults are item_base, the paper's."""

    embed_layers: ChoiceEnum(["last", "all"]) = field(
        default="last",
        metadata={
            "help": "global and title embeddings are read from the last layer, or from the mean "
            "of all layers and the input, which keeps more of the tokens themselves"
        },
    )
    without_images: bool = field(
        default=False,
        metadata={
            "help": "never look at images: an ablation; without titles: --max-title-length 0",
            "argparse_alias": "--without-pictures",
        },
    )


class Encoded(NamedTuple):
    """The last layer's states of a batch: B products, T title positions, m patches, d wide."""

    title: torch.Tensor  # (B, T, d), position 0 is [CLS]
    patches: torch.Tensor  # (B, m, d)


class Predictions(NamedTuple):
    """What the five objectives score, K masked tokens and M masked patches (all float32)."""

    itm: torch.Tensor  # (B, 2) logits: mismatch, match
    mlm: torch.Tensor  # (K, vocabulary) logits
    gmlm: torch.Tensor  # (K, vocabulary) logits
    mim: torch.Tensor  # (M, patch_dim), pixels in [0, 1]
    gmim: torch.Tensor  # (M, patch_dim)
    patch_targets: torch.Tensor  # (M, patch_dim), the true pixels


class MaskedPositions:
    """Where the objectives read the encoder: at B [CLS], K masked tokens and M masked patches.

    Args:
        batch, title_length, patches: B, T and m.
        masked_title: int64 (K,), flat positions in B*T.
        masked_patches: int64 (M,), flat positions in B*m.

    Attributes:
        title_row, title_column, patch_row, patch_column: product of what is masked, and position
            in it.
        flat: int64 (B + K + M,), all of them as flat positions in B*(T + m).
    """

    def __init__(self, batch, title_length, patches, masked_title, masked_patches):
        length = title_length + patches
        self.title_row = masked_title.div(title_length, rounding_mode="floor")
        self.title_column = masked_title % title_length
        self.patch_row = masked_patches.div(patches, rounding_mode="floor")
        self.patch_column = masked_patches % patches
        self.sizes = [batch, len(masked_title), len(masked_patches)]
        self.flat = torch.cat(
            [
                torch.arange(0, batch * length, length, device=masked_title.device),
                self.title_row * length + self.title_column,
                self.patch_row * length + title_length + self.patch_column,
            ]
        )

    def split(self, states):
        """The states of ``flat`` as those of [CLS], of tokens and of patches."""
        return states.split(self.sizes)


@register_model("item", dataclass=ItemModelConfig)
class ItemModel(ProductModel):
    """The paper's model. Build it through fairseq, or load it with :meth:`from_pretrained`."""

    pretraining_only = ("itm", "mlm", "gmlm", "vocabulary", "mim", "gmim", "gmim_pixels")

    def __init__(self, cfg, vocabulary, padding, cls, sep):
        super().__init__(cfg)
        self.sees_images = not cfg.without_images
        dim, sizes = cfg.encoder_embed_dim, self.geometry
        self.special = (padding, cls, sep)
        self.embedding = ItemEmbedding(
            vocabulary,
            padding,
            dim,
            cfg.max_title_length + 2,
            sizes.patches,
            sizes.patch_dim,
            cfg.dropout,
        )
        if cfg.init_text:
            self.embedding.norm.eps = BERT_EPS
        self.encoder = build_encoder(cfg)
        self.itm = nn.Linear(dim, 2)
        self.mlm = TokenTransform(dim)
        self.gmlm = GlobalTransform(dim)
        self.vocabulary = VocabularyHead(self.embedding.token)
        self.mim = nn.Linear(dim, sizes.patch_dim)
        self.gmim = GlobalTransform(dim)
        self.gmim_pixels = nn.Linear(dim, sizes.patch_dim)
        self.reset_parameters()

    def reset_parameters(self):
        """Draw all weights anew: normal with deviation 0.02, biases zero, as in BERT."""
        self.apply(_initialise)

    def title_parts(self):
        """What :func:`fairseq_item.models.pretrained_text.start_title` takes."""
        parts = self.embedding
        nn.init.zeros_(parts.modality.weight.data[0])  # it is a part of the positions then
        return {
            "token": parts.token,
            "position": parts.title_position,
            "norm": parts.norm,
            "encoder": self.encoder,
        }

    def image_parts(self):
        """What :func:`fairseq_item.models.pretrained_image.start_image` takes."""
        return {"patch": self.embedding.patch, "positions": self.embedding.patch_position.weight}

    @classmethod
    def from_pretrained(cls, path, checkpoint_file="checkpoint_best.pt", device="cpu"):
        """Load a model folder, or one checkpoint file, for use outside training.

        Args:
            path: folder with ``checkpoint_file``, ``dict.txt`` and ``bpe.model``, or the path of
                a checkpoint with the other two beside it.
            checkpoint_file: which checkpoint of the folder.
            device: where the model computes.

        Returns:
            :class:`fairseq_item.models.hub_interface.ItemHubInterface`.

        Raises:
            InputError: a file is missing or is not a checkpoint of this plugin.
        """
        from fairseq_item.models.hub_interface import load

        return load(path, checkpoint_file, device)

    def set_mean_pixels(self, mean_patch):
        """Start both pixel heads at the mean patch, (patch_dim,) in [0, 1].

        Otherwise the first thousands of updates go into learning the brightness of the
        background: a bias moves by at most the learning rate an update.
        """
        for head in (self.mim, self.gmim_pixels):
            head.bias.data.copy_(mean_patch)

    def add_classifier(self, classes, dropout=0.1):
        super().add_classifier(classes, dropout)
        self.embedding.mask_patch.requires_grad_(False)  # no patch is hidden any more

    def encode(self, title, patches, hidden_patches=None, has_image=None):
        """The last layer's states of a batch.

        Args:
            title: int64 (B, T): [CLS] tokens [SEP], padded.
            patches: uint8 (B, m, patch_dim).
            hidden_patches: int64, flat positions into B*m that show the mask patch, or None.
            has_image: bool (B,), false where the product has no image; None if all have one.

        Returns:
            :class:`Encoded`.
        """
        with self.autocast(title.device):
            last = self.encoder.last(*self.sequence(title, patches, hidden_patches, has_image))
        return Encoded(*last.split([title.size(1), patches.size(1)], dim=1))

    def sequence(self, title, patches, hidden_patches=None, has_image=None):
        """The encoder's input (B, T + m, d), and which positions of it are no padding."""
        present = title != self.special[0]
        images = present.new_ones(patches.shape[:2])
        has_image = self._seen(has_image, title)
        if has_image is not None:
            images = images & has_image[:, None]
        sequence = self.embedding(title, patches, hidden_patches)
        return sequence, torch.cat([present, images], 1)

    def _seen(self, has_image, title):
        """``has_image``, but none has where the model never looks at images."""
        if self.cfg.without_images:
            return title.new_zeros(len(title), dtype=torch.bool)
        return has_image

    def forward(
        self,
        title,
        patches,
        hidden_patches=None,
        masked_title=None,
        masked_patches=None,
        with_embeddings=False,
    ):
        """Scores of the five objectives; the vocabulary is scored at masked positions only.

        Args:
            title, patches, hidden_patches: as in :meth:`encode`.
            masked_title: int64 (K,), flat positions into B*T to predict.
            masked_patches: int64 (M,), flat positions into B*m to reconstruct; none is where the
                model never looks at images.
            with_embeddings: return what :meth:`embed_last` does as well, of the same pass.

        Returns:
            :class:`Predictions`, or (:class:`Predictions`, embeddings). Of a classifier the logits
            of the leaf categories, float32 (B, classes).
        """
        if self.classifier is not None:
            return self.classify(title, patches)
        if self.cfg.without_images:
            masked_patches = masked_patches[:0]
        masked = MaskedPositions(*title.shape, patches.size(1), masked_title, masked_patches)
        if with_embeddings:
            encoded = self.encode(title, patches, hidden_patches)
            states = torch.cat(encoded, 1).flatten(0, 1).index_select(0, masked.flat)
        else:
            with self.autocast(title.device):
                sequence, present = self.sequence(title, patches, hidden_patches)
                states = self.encoder.at(sequence, present, masked.flat)
        targets = patches.flatten(0, 1).index_select(0, masked_patches).float() / 255.0
        with self.autocast(title.device):
            predictions = self._predict(*masked.split(states), masked, targets)
        return (predictions, self._pool(title, *encoded)) if with_embeddings else predictions

    def _predict(self, cls, tokens, patches, masked, targets):
        """The five heads on the states of [CLS], masked tokens and masked patches."""
        title_cls = cls.index_select(0, masked.title_row)
        title_position = self.embedding.title_position(masked.title_column).to(tokens.dtype)
        hidden = torch.cat([self.mlm(tokens), self.gmlm(title_cls, title_position)])
        mlm, gmlm = self.vocabulary(hidden).float().split([len(tokens)] * 2)
        patch_cls = cls.index_select(0, masked.patch_row)
        patch_position = self.embedding.patch_position(masked.patch_column).to(patches.dtype)
        mim = self.mim(patches).float()
        gmim = self.gmim_pixels(self.gmim(patch_cls, patch_position)).float()
        return Predictions(self.itm(cls).float(), mlm, gmlm, mim, gmim, targets)

    def embed(self, title, patches, has_image=None):
        """The three embeddings of the paper, not normalised.

        Args:
            title, patches, has_image: as in :meth:`encode`.

        Returns:
            (global, title, image), each float32 (B, d): h([CLS]), the mean over the title's tokens
            and the mean over the patches; zeros for what a product lacks.
        """
        if self.cfg.embed_layers == "last":
            return self.embed_last(title, patches, has_image)
        tokens = title.size(1)
        with self.autocast(title.device):
            sequence = self.sequence(title, patches, has_image=has_image)
            last, mean = self.encoder.last_and_mean(*sequence)
        return self._pool(title, mean[:, :tokens], last[:, tokens:], has_image)

    def embed_last(self, title, patches, has_image=None):
        """:meth:`embed` from the last layer, whatever ``embed_layers`` says.

        The contrast of views reads it: trained on the mean of all layers, search found less.
        """
        encoded = self.encode(title, patches, has_image=has_image)
        return self._pool(title, *encoded, has_image)

    def embed_separately(self, title, patches):
        """Embeddings of titles without images, and of images without titles.

        Read from the last layer, as :meth:`embed_last`; two short passes cost about one long one.

        Returns:
            ((global, title), (global, image)), each float32 (B, d).
        """
        of_title = self.embed_last(title, patches[:, :0])
        empty = torch.stack([torch.full_like(title[:, 0], s) for s in self.special[1:]], 1)
        of_image = self.embed_last(empty, patches)
        return of_title[:2], of_image[::2]

    def features(self, title, patches, has_image=None):
        """h([CLS]), float32 (B, d): what a classifier reads."""
        with self.autocast(title.device):
            sequence, present = self.sequence(title, patches, has_image=has_image)
            return self.encoder.first(sequence, present).float()

    def _pool(self, title, title_states, patch_states, has_image=None):
        """h([CLS]) and the means over tokens and patches; float32 (B, d) each."""
        has_image = self._seen(has_image, title)
        image = patch_states.float().sum(1) / max(1, patch_states.size(1))
        if has_image is not None:
            image = image * has_image[:, None]
        tokens = mean_of_tokens(title_states, title, self.special)
        return title_states[:, 0].float(), tokens, image


def _initialise(module):
    initialise_as_bert(module)
    if isinstance(module, VocabularyHead):
        nn.init.zeros_(module.bias)
    if isinstance(module, ItemEmbedding):
        nn.init.normal_(module.mask_patch, std=0.02)


@register_model_architecture("item", "item_tiny")
def item_tiny(args):
    """3 layers, 128 wide, 64 pixels: demos and tests on a CPU."""
    transformer_sizes(args, 3, 128, 4, 64)


@register_model_architecture("item", "item_small")
def item_small(args):
    """6 layers, 384 wide, 112 pixels: a CPU overnight, or a small GPU."""
    transformer_sizes(args, 6, 384, 6, 112)


@register_model_architecture("item", "item_base")
def item_base(args):
    """12 layers, 768 wide, 224 pixels: the paper's model (BERT-base)."""
    transformer_sizes(args, 12, 768, 12, 224)


@register_model_architecture("item", "item_large")
def item_large(args):
    """24 layers, 1,024 wide, 224 pixels (BERT-large)."""
    transformer_sizes(args, 24, 1024, 16, 224)
