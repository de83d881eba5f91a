"""ITEm: one encoder over title tokens and image patches, with the five pre-training heads."""

from dataclasses import dataclass, field
from typing import NamedTuple, Optional, Tuple

import torch
from fairseq.dataclass import ChoiceEnum
from fairseq.models import register_model, register_model_architecture
from torch import nn

from fairseq_item.models.product_model import ProductModel
from fairseq_item.models.sizes import EncoderConfig, how_to_compute, transformer_sizes
from fairseq_item.modules.embeddings import ItemEmbedding
from fairseq_item.modules.encoder import Encoder
from fairseq_item.modules.heads import GlobalTransform, TokenTransform, VocabularyHead
from fairseq_item.modules.init import initialise_as_bert
from fairseq_item.modules.pooling import mean_of_tokens


@dataclass
class ItemModelConfig(EncoderConfig):
    """Sizes of ITEm; the defaults are item_base, the paper's."""

    embed_layers: ChoiceEnum(["last", "all"]) = field(
        default="last",
        metadata={
            "help": "global and title embeddings are read from the last layer, or from the mean "
            "of all layers and the input, which keeps more of the words themselves"
        },
    )
    without_images: bool = field(
        default=False,
        metadata={
            "help": "never look at images: an ablation; without titles: --max-title-length 0"
        },
    )


class Encoded(NamedTuple):
    """Hidden states of a batch: B products, T title places, m patches, d wide."""

    title: torch.Tensor  # (B, T, d), place 0 is [CLS]
    patches: torch.Tensor  # (B, m, d)
    title_mean: torch.Tensor  # (B, T, d), what embeddings are read from: see ``embed_layers``

    @property
    def cls(self):
        return self.title[:, 0]


class Predictions(NamedTuple):
    """What the five objectives score, K masked tokens and M masked patches (all float32)."""

    itm: torch.Tensor  # (B, 2) logits: mismatch, match
    mlm: torch.Tensor  # (K, vocabulary) logits
    gmlm: torch.Tensor  # (K, vocabulary) logits
    mim: torch.Tensor  # (M, patch_dim), pixels in [0, 1]
    gmim: torch.Tensor  # (M, patch_dim)
    patch_targets: torch.Tensor  # (M, patch_dim), the true pixels
    parts: Optional[Tuple[torch.Tensor, ...]] = None  # embeddings of the batch: three (B, d)
    view_parts: Optional[Tuple[torch.Tensor, ...]] = None  # those of the second views


class MaskedPlaces:
    """Where the objectives read the encoder: at B [CLS], K masked tokens and M masked patches.

    Args:
        batch, words, patches: B, T and m.
        masked_title: int64 (K,), flat places in B*T.
        masked_patches: int64 (M,), flat places in B*m.

    Attributes:
        title_row, title_column, patch_row, patch_column: product and place in it of what is masked.
        places: int64 (B + K + M,), all of them as flat places in B*(T + m).
    """

    def __init__(self, batch, words, patches, masked_title, masked_patches):
        length = words + patches
        self.title_row = masked_title.div(words, rounding_mode="floor")
        self.title_column = masked_title % words
        self.patch_row = masked_patches.div(patches, rounding_mode="floor")
        self.patch_column = masked_patches % patches
        self.sizes = [batch, len(masked_title), len(masked_patches)]
        self.places = torch.cat(
            [
                torch.arange(0, batch * length, length, device=masked_title.device),
                self.title_row * length + self.title_column,
                self.patch_row * length + words + self.patch_column,
            ]
        )

    def split(self, states):
        """The states of ``places`` as those of [CLS], of tokens and of patches."""
        return states.split(self.sizes)


@register_model("item", dataclass=ItemModelConfig)
class ItemModel(ProductModel):
    """The paper's model. Build it through fairseq, or load it with :meth:`from_pretrained`."""

    pretraining_parts = ("itm", "mlm", "gmlm", "vocabulary", "mim", "gmim", "gmim_pixels")

    def __init__(self, cfg, vocabulary, padding, cls, sep):
        super().__init__(cfg)
        self.sees_images = not cfg.without_images
        dim = cfg.encoder_embed_dim
        patch_dim = cfg.patch_size**2 * 3
        self.special = (padding, cls, sep)
        self.embedding = ItemEmbedding(
            vocabulary,
            padding,
            dim,
            cfg.max_title_length + 2,
            (cfg.image_size // cfg.patch_size) ** 2,
            patch_dim,
            cfg.dropout,
        )
        self.encoder = Encoder(
            cfg.encoder_layers,
            dim,
            cfg.encoder_attention_heads,
            cfg.encoder_ffn_embed_dim,
            cfg.dropout,
            cfg.attention_dropout,
            **how_to_compute(cfg),
        )
        self.itm = nn.Linear(dim, 2)
        self.mlm = TokenTransform(dim)
        self.gmlm = GlobalTransform(dim)
        self.vocabulary = VocabularyHead(self.embedding.token)
        self.mim = nn.Linear(dim, patch_dim)
        self.gmim = GlobalTransform(dim)
        self.gmim_pixels = nn.Linear(dim, patch_dim)
        self.reset_parameters()

    def reset_parameters(self):
        """Draw all weights anew: normal with deviation 0.02, biases zero, as in BERT."""
        self.apply(_initialise)

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

    def become_classifier(self, classes, dropout=0.1):
        super().become_classifier(classes, dropout)
        self.embedding.mask_patch.requires_grad_(False)  # no patch is hidden any more

    def encode(self, title, patches, hidden_patches=None, has_image=None):
        """Hidden states of a batch.

        Args:
            title: int64 (B, T): [CLS] tokens [SEP], padded.
            patches: uint8 (B, m, patch_dim).
            hidden_patches: int64, flat places into B*m that show the mask patch, or None.
            has_image: bool (B,), false where the product has no image; None if all have one.

        Returns:
            :class:`Encoded`.
        """
        has_image = self._seen(has_image, title)
        with self.autocast(title.device):
            sequence, present = self._sequence(title, patches, hidden_patches, has_image)
            states = [*self.encoder.states(sequence, present)]
        words, last = title.size(1), states[-1]
        read = [sequence, *states] if self.cfg.embed_layers == "all" else [last]
        title_mean = sum(state[:, :words].float() for state in read) / len(read)
        return Encoded(last[:, :words], last[:, words:], title_mean)

    def _sequence(self, title, patches, hidden_patches=None, has_image=None):
        """The encoder's input (B, T + m, d), and which places of it are no padding."""
        present = title != self.special[0]
        images = present.new_ones(patches.shape[:2])
        if has_image is not None:
            images = images & has_image[:, None]
        sequence = self.embedding(title, patches, hidden_patches)
        return sequence, torch.cat([present, images], 1)

    def forward(
        self,
        title,
        patches,
        hidden_patches=None,
        masked_title=None,
        masked_patches=None,
        view_title=None,
        view_patches=None,
        view_has_image=None,
    ):
        """Scores of the five objectives; the vocabulary is scored at masked places only.

        Args:
            title, patches, hidden_patches: as in :meth:`encode`.
            masked_title: int64 (K,), flat places into B*T to predict.
            masked_patches: int64 (M,), flat places into B*m to reconstruct.
            view_title, view_patches, view_has_image: second views of the products, as in
                :meth:`embed`, or None.

        Returns:
            :class:`Predictions`; the embeddings of both views only if there are second ones. Of a
            classifier the logits of the leaf categories, float32 (B, classes).
        """
        if self.classifier is not None:
            return self.classify(title, patches)
        masked = MaskedPlaces(*title.shape, patches.size(1), masked_title, masked_patches)
        with self.autocast(title.device):
            if view_title is None:
                sequence, present = self._sequence(title, patches, hidden_patches)
                states = self.encoder.at(sequence, present, masked.places)
            else:
                encoded = self.encode(title, patches, hidden_patches)
                whole = torch.cat([encoded.title, encoded.patches], 1).flatten(0, 1)
                states = whole.index_select(0, masked.places)
            targets = patches.flatten(0, 1).index_select(0, masked_patches).float() / 255.0
            predictions = self._predict(*masked.split(states), masked, targets)
        if view_title is None:
            return predictions
        # The contrast is on the last layer also where embeddings are read from all layers: trained
        # on their mean, search found a little less.
        view = self.encode(view_title, view_patches, has_image=view_has_image)
        return predictions._replace(
            parts=self._parts(title, encoded.title, encoded.patches),
            view_parts=self._parts(view_title, view.title, view.patches, view_has_image),
        )

    def _predict(self, cls, words, pixels, masked, targets):
        """The five heads on the states of [CLS], masked tokens and masked patches."""
        word_cls = cls.index_select(0, masked.title_row)
        word_place = self.embedding.title_position(masked.title_column).to(words.dtype)
        hidden = torch.cat([self.mlm(words), self.gmlm(word_cls, word_place)])
        mlm, gmlm = self.vocabulary(hidden).float().split([len(words)] * 2)
        patch_cls = cls.index_select(0, masked.patch_row)
        patch_place = self.embedding.patch_position(masked.patch_column).to(pixels.dtype)
        mim = self.mim(pixels).float()
        gmim = self.gmim_pixels(self.gmim(patch_cls, patch_place)).float()
        return Predictions(self.itm(cls).float(), mlm, gmlm, mim, gmim, targets)

    def embed(self, title, patches, has_image=None):
        """The three embeddings of the paper, not normalised.

        Args:
            title, patches, has_image: as in :meth:`encode`.

        Returns:
            (global, title, image), each float32 (B, d): h([CLS]), the mean over the title's tokens
            and the mean over the patches. A part that a product lacks is all zeros.
        """
        encoded = self.encode(title, patches, has_image=has_image)
        return self._parts(title, encoded.title_mean, encoded.patches, has_image)

    def features(self, title, patches, has_image=None):
        """h([CLS]), float32 (B, d): what a classifier reads."""
        with self.autocast(title.device):
            sequence, present = self._sequence(title, patches, has_image=has_image)
            return self.encoder.first(sequence, present).float()

    def _seen(self, has_image, title):
        """``has_image``, but none has where the model never looks at images."""
        if self.cfg.without_images:
            return title.new_zeros(len(title), dtype=torch.bool)
        return has_image

    def _parts(self, title, title_states, patch_states, has_image=None):
        """h([CLS]) and the means over tokens and patches; float32 (B, d) each."""
        has_image = self._seen(has_image, title)
        image = patch_states.float().mean(1)
        if has_image is not None:
            image = image * has_image[:, None]
        words = mean_of_tokens(title_states, title, self.special)
        return title_states[:, 0].float(), words, image


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
