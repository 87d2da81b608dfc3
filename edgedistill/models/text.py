"""Compact text models: token numbers to logits or to an embedding."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch
from torch import nn
from torch.nn import functional

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

EMBEDDING_DEVIATION = 0.3
"""Standard deviation of the token embeddings before training, from a teacher or random."""


class TextConvNet(nn.Module):
    """Token embeddings, convolutions of several widths, the largest response over the text, a linear layer.

    Source: Kim 2014, arXiv:1408.5882, section 2. Every operator has an INT8 kernel in ONNX Runtime.

    Args:
        classes: number of outputs: classes, or the width of an embedding.
        vocabulary: rows of the embedding table.
        padding: number of the padding token; its embedding is 0 and stays so.
        width: of a token embedding, at least 1.
        filters: of each convolution, at least 1.
        kernels: widths of the convolutions in tokens, odd.
        dropout: probability of dropping a feature in training, 0 to 1, before and behind the convolutions.

    Raises:
        ValueError: a kernel's width is even.
    """

    def __init__(
        self,
        *,
        classes: int,
        vocabulary: int,
        padding: int = 0,
        width: int = 64,
        filters: int = 96,
        kernels: Sequence[int] = (1, 3, 5),
        dropout: float = 0.2,
    ) -> None:
        super().__init__()
        if any(size % 2 == 0 for size in kernels):
            raise ValueError(f"kernels {tuple(kernels)}: wanted odd widths")
        self.embedding = token_embedding(vocabulary, width, padding=padding)
        self.convolutions = nn.ModuleList(
            nn.Conv2d(width, filters, (1, size), padding=(0, size // 2)) for size in kernels
        )
        self.dropout = nn.Dropout(dropout)
        self.head = nn.Linear(filters * len(kernels), classes)

    def forward(self, tokens: Tensor) -> Tensor:
        """Map token numbers (batch, length) to outputs (batch, classes)."""
        # two-dimensional convolutions of height 1: those are what runtimes have integer kernels for
        features = self.dropout(self.embedding(tokens)).transpose(1, 2).unsqueeze(2)
        responses = [functional.relu(convolution(features)) for convolution in self.convolutions]
        largest = [functional.max_pool2d(response, (1, response.shape[3])).flatten(1) for response in responses]
        return self.head(self.dropout(torch.cat(largest, 1)))  # type: ignore[no-any-return]


class TextEncoder(nn.Module):
    """A small Transformer encoder: attention layers over the tokens, mean over the text, a linear layer.

    Source: Vaswani et al. 2017, arXiv:1706.03762, section 3, with normalisation before each part (Xiong et al. 2020,
    arXiv:2002.04745); mean pooling as in Reimers and Gurevych 2019, arXiv:1908.10084.

    Args:
        classes: number of outputs: classes, or the width of an embedding.
        vocabulary: rows of the embedding table.
        length: most tokens of a text.
        padding: number of the padding token; no token attends to it.
        width: of a token's features, a multiple of `heads`.
        layers: attention layers, at least 1.
        heads: of each layer.
        expansion: width of the hidden layer between two attentions, as a multiple of `width`.
        dropout: probability of dropping a feature in training, 0 to 1.

    Raises:
        ValueError: `width` is no multiple of `heads`.
    """

    def __init__(
        self,
        *,
        classes: int,
        vocabulary: int,
        length: int,
        padding: int = 0,
        width: int = 64,
        layers: int = 2,
        heads: int = 4,
        expansion: int = 2,
        dropout: float = 0.1,
    ) -> None:
        super().__init__()
        if width % heads:
            raise ValueError(f"width {width}: wanted a multiple of heads, {heads}")
        self.padding = padding
        self.embedding = token_embedding(vocabulary, width, padding=padding)
        self.position = nn.Parameter(torch.randn(length, width) * 0.05)
        self.dropout = nn.Dropout(dropout)
        self.layers = nn.ModuleList(
            EncoderLayer(width, heads=heads, expansion=expansion, dropout=dropout) for _ in range(layers)
        )
        self.norm = nn.LayerNorm(width)
        self.head = nn.Linear(width, classes)

    def forward(self, tokens: Tensor) -> Tensor:
        """Map token numbers (batch, length) to outputs (batch, classes)."""
        known = (tokens != self.padding).to(self.position.dtype)
        ignored = ((1 - known) * -1e4)[:, None, None, :]
        features = self.dropout(self.embedding(tokens) + self.position)
        for layer in self.layers:
            features = layer(features, ignored)
        weights = (known / known.sum(1, keepdim=True)).unsqueeze(2)
        return self.head((self.norm(features) * weights).sum(1))  # type: ignore[no-any-return]


class EncoderLayer(nn.Module):
    """Multi-head self-attention and a hidden layer, each behind a normalisation and beside a skip connection."""

    def __init__(self, width: int, *, heads: int, expansion: int, dropout: float) -> None:
        super().__init__()
        self.heads, self.depth = heads, width // heads
        self.attention_norm, self.hidden_norm = nn.LayerNorm(width), nn.LayerNorm(width)
        self.query, self.key, self.value, self.output = (nn.Linear(width, width) for _ in range(4))
        self.hidden = nn.Sequential(
            nn.Linear(width, expansion * width), nn.GELU(), nn.Dropout(dropout), nn.Linear(expansion * width, width)
        )
        self.dropout = nn.Dropout(dropout)

    def forward(self, features: Tensor, ignored: Tensor) -> Tensor:
        """Map features (batch, length, width); `ignored` (batch, 1, 1, length) is far below 0 at padding."""
        features = features + self.dropout(self._attended(self.attention_norm(features), ignored))
        return features + self.dropout(self.hidden(self.hidden_norm(features)))  # type: ignore[no-any-return]

    def _attended(self, features: Tensor, ignored: Tensor) -> Tensor:
        query, key, value = (self._split(part(features)) for part in (self.query, self.key, self.value))
        scores = torch.matmul(query, key.transpose(2, 3)) * (1 / math.sqrt(self.depth))
        mixed = torch.matmul(torch.softmax(scores + ignored, -1), value)
        return self.output(mixed.transpose(1, 2).flatten(2))  # type: ignore[no-any-return]

    def _split(self, features: Tensor) -> Tensor:
        return features.reshape(*features.shape[:2], self.heads, self.depth).transpose(1, 2)


def token_embedding(vocabulary: int, width: int, *, padding: int) -> nn.Embedding:
    """Return a table of random token embeddings (vocabulary, width); the padding token's is 0."""
    embedding = nn.Embedding(vocabulary, width, padding_idx=padding)
    with torch.no_grad():
        embedding.weight.normal_(std=EMBEDDING_DEVIATION)
        embedding.weight[padding] = 0
    return embedding


@torch.no_grad()
def start_from_embeddings(embedding: nn.Embedding, rows: Tensor) -> None:
    """Give a table the directions in which another one's rows differ most, in place.

    The rows are centred and projected on their first principal components, and scaled to the deviation of a random
    start. A table as narrow as the model wants keeps its meaning this way: Raunak et al. 2019, arXiv:1910.13366.

    Args:
        embedding: the table (vocabulary, width) to be filled.
        rows: (vocabulary, wider or equal), floating point: the other table's row for each token.
    """
    centred = rows.double() - rows.double().mean(0)
    covariance = centred.T @ centred / len(centred)
    _, directions = torch.linalg.eigh(covariance)  # ascending
    directions = directions.flip(1)[:, : embedding.embedding_dim]
    # a direction is known but for its sign: the largest entry is made positive, so that every machine agrees
    largest = directions.abs().argmax(0)
    directions = directions * directions[largest, torch.arange(directions.shape[1])].sign()
    projected = centred @ directions
    embedding.weight.copy_(projected / projected.std() * EMBEDDING_DEVIATION)
    if embedding.padding_idx is not None:
        embedding.weight[embedding.padding_idx] = 0
