"""Prediction heads of the five objectives (paper: section 4), and of leaf categories."""

import torch
import torch.nn.functional as F
from torch import nn


class TokenTransform(nn.Module):
    """BERT's transform before the vocabulary product: dense, GELU, LayerNorm."""

    def __init__(self, dim):
        super().__init__()
        self.dense = nn.Linear(dim, dim)
        self.norm = nn.LayerNorm(dim)

    def forward(self, x):
        return self.norm(F.gelu(self.dense(x)))


class GlobalTransform(nn.Module):
    """f and g of the paper's equations 1 and 2: from h([CLS]) and a position embedding.

    Two layers of linear, GELU and LayerNorm over the concatenation (SpanBERT's boundary head).
    """

    def __init__(self, dim):
        super().__init__()
        self.layers = nn.Sequential(
            nn.Linear(2 * dim, dim),
            nn.GELU(),
            nn.LayerNorm(dim),
            nn.Linear(dim, dim),
            nn.GELU(),
            nn.LayerNorm(dim),
        )

    def forward(self, cls, position):
        """``cls`` and ``position``: (K, dim), a row for each masked position; returns (K, dim)."""
        return self.layers(torch.cat([cls, position], dim=-1))


class VocabularyHead(nn.Module):
    """Scores of all tokens: the tied token embedding and a bias of its own."""

    def __init__(self, embedding):
        super().__init__()
        self.embedding = embedding
        self.bias = nn.Parameter(torch.zeros(embedding.num_embeddings))

    def forward(self, x):
        return F.linear(x, self.embedding.weight, self.bias)


class Classifier(nn.Module):
    """Dropout and one linear layer, initialised as BERT's."""

    def __init__(self, dim, classes, dropout=0.1):
        super().__init__()
        self.dropout = nn.Dropout(dropout)
        self.linear = nn.Linear(dim, classes)
        nn.init.normal_(self.linear.weight, std=0.02)
        nn.init.zeros_(self.linear.bias)

    def forward(self, features):
        """``features``: (B, dim); returns logits (B, classes)."""
        return self.linear(self.dropout(features))
