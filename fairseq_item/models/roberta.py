"""The RoBERTa baseline: fairseq's own encoder on titles alone."""

from argparse import Namespace
from dataclasses import dataclass, field

import torch
from fairseq.models import register_model, register_model_architecture
from fairseq.models.roberta.model import RobertaEncoder
from fairseq.modules.transformer_sentence_encoder import init_bert_params
from torch import nn

from fairseq_item.models.product_model import ProductModel, with_defaults
from fairseq_item.models.sizes import ReadoutConfig, TransformerConfig, transformer_sizes
from fairseq_item.modules.pooling import mean_of_tokens


@dataclass
class RobertaConfig(ReadoutConfig, TransformerConfig):
    """Sizes of the encoder."""

    image_size: int = field(default=16, metadata={"help": "images are not looked at"})


@register_model("item_roberta", dataclass=RobertaConfig)
class RobertaModel(ProductModel):
    """RoBERTa (Liu et al. 2019) for products: pre-train it with fairseq's ``masked_lm``.

    The embedding of a product is the mean over its title; a classifier reads the [CLS] state.
    """

    sees_images = False

    def __init__(self, cfg, dictionary):
        super().__init__(cfg)
        self.special = (dictionary.pad(), dictionary.bos(), dictionary.eos())
        sizes = Namespace(
            encoder_layers=cfg.encoder_layers,
            encoder_embed_dim=cfg.encoder_embed_dim,
            encoder_ffn_embed_dim=cfg.encoder_ffn_embed_dim,
            encoder_attention_heads=cfg.encoder_attention_heads,
            dropout=cfg.dropout,
            attention_dropout=cfg.attention_dropout,
            max_positions=cfg.max_title_length + 2,
        )
        self.encoder = RobertaEncoder(sizes, dictionary)
        self.reset_parameters()

    @classmethod
    def build_model(cls, cfg, task):
        return cls(with_defaults(cfg, cls), task.source_dictionary)

    def reset_parameters(self):
        """Draw all weights anew, as fairseq's RoBERTa does."""
        self.apply(init_bert_params)
        for module in self.modules():
            if isinstance(module, nn.LayerNorm):
                module.reset_parameters()
        if self.encoder.lm_head is not None:
            nn.init.zeros_(self.encoder.lm_head.bias)

    def add_classifier(self, classes, dropout=0.1):
        super().add_classifier(classes, dropout)
        self.encoder.lm_head = None

    def upgrade_state_dict_named(self, state_dict, name):
        super().upgrade_state_dict_named(state_dict, name)
        if self.classifier is not None:
            for key in [key for key in state_dict if key.startswith("encoder.lm_head.")]:
                del state_dict[key]

    def forward(self, title, patches=None, masked_tokens=None):
        """Score the tokens at masked positions.

        Args:
            title: int64 (B, T): [CLS] tokens [SEP], padded.
            patches: not looked at.
            masked_tokens: bool (B, T), the positions to score; None for all.

        Returns:
            (logits, extra) as of fairseq's RoBERTa, logits float32 (K, vocabulary) or
            (B, T, vocabulary); of a classifier the logits of the leaf categories (B, classes).
        """
        if self.classifier is not None:
            return self.classify(title)
        with self.autocast(title.device):
            logits, extra = self.encoder(title, masked_tokens=masked_tokens)
        return logits.float(), extra

    def states(self, title, all_layers=False):
        """Hidden states of the last layer, or the mean of all and the input: float32 (B, T, d)."""
        with self.autocast(title.device):
            last, extra = self.encoder.extract_features(title, return_all_hiddens=all_layers)
        if not all_layers:
            return last.float()
        layers = torch.stack([state.float() for state in extra["inner_states"]])
        return layers.mean(0).transpose(0, 1)

    def embed(self, title, patches=None, has_image=None):
        """The embedding of titles, not normalised.

        Args:
            title: as in :meth:`forward`.
            patches, has_image: not looked at.

        Returns:
            (global, title, image), each float32 (B, d): the mean over the title's tokens, zero
            where there are none, then twice zeros; where ``embed_layers`` asks for more, the
            [CLS] state, that mean, and zeros.
        """
        states = self.states(title, self.cfg.embed_layers == "all")
        mean = mean_of_tokens(states, title, self.special)
        zeros = torch.zeros_like(mean)
        if self.cfg.embed_layers == "published":
            return mean, zeros, zeros
        return states[:, 0], mean, zeros

    def features(self, title, patches=None, has_image=None):
        """h([CLS]), float32 (B, d): what a classifier reads."""
        return self.states(title)[:, 0]


@register_model_architecture("item_roberta", "item_roberta_tiny")
def item_roberta_tiny(args):
    """An encoder as item_tiny's."""
    transformer_sizes(args, 3, 128, 4, 16)


@register_model_architecture("item_roberta", "item_roberta_small")
def item_roberta_small(args):
    """An encoder as item_small's."""
    transformer_sizes(args, 6, 384, 6, 16)


@register_model_architecture("item_roberta", "item_roberta_base")
def item_roberta_base(args):
    """An encoder as item_base's: RoBERTa-base."""
    transformer_sizes(args, 12, 768, 12, 16)
