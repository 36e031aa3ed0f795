"""Attention between tokens, in the few operations that every runtime has."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional


class Attention(nn.Module):
    """Queries from tokens [batch, n, width], keys and values from tokens [batch, m, width] → [batch, n, width]."""

    def __init__(self, width: int, heads: int) -> None:
        """Raises ValueError where ``width`` is no multiple of ``heads``."""
        super().__init__()
        if width % heads:
            raise ValueError(f"a width of {width} cannot be shared by {heads} heads")
        self.heads = heads
        self.query, self.key_value = nn.Linear(width, width), nn.Linear(width, 2 * width)
        self.out = nn.Linear(width, width)

    def forward(self, asking: Tensor, answering: Tensor) -> Tensor:  # noqa: D102  # the class says it
        query = self.query(asking).unflatten(2, (self.heads, -1)).transpose(1, 2)
        key, value = self.key_value(answering).unflatten(2, (2, self.heads, -1)).permute(2, 0, 3, 1, 4).unbind(0)
        answer: Tensor = self.out(functional.scaled_dot_product_attention(query, key, value).transpose(1, 2).flatten(2))
        return answer


class Block(nn.Module):
    """A pre-norm transformer block: [batch, n, width] → the same; with ``other`` [batch, m, width] to those."""

    def __init__(self, width: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.norm, self.other_norm, self.feed_norm = (nn.LayerNorm(width) for _ in range(3))
        self.attention = Attention(width, heads)
        self.feed = nn.Sequential(nn.Linear(width, 2 * width), nn.GELU(), nn.Linear(2 * width, width))
        self.dropout = nn.Dropout(dropout)

    def forward(self, tokens: Tensor, other: Tensor | None = None) -> Tensor:  # noqa: D102  # the class says it
        asking = self.norm(tokens)
        tokens = tokens + self.dropout(self.attention(asking, asking if other is None else self.other_norm(other)))
        answer: Tensor = tokens + self.dropout(self.feed(self.feed_norm(tokens)))
        return answer
