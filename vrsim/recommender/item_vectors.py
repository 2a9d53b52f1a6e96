"""Vectors of items made from what is known of them, in place of an embedding of their ids."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn import functional

__all__ = ["ItemVectors", "in_order"]


def in_order(features: Mapping[str, np.ndarray], dataset: Any) -> dict[str, torch.Tensor]:
    """Features of the items, (n_items + 1, D) each, in the order in which RecBole numbers the items."""
    places = dataset.token2id("item_id", np.arange(1, dataset.item_num).astype(str))
    ordered = {}
    for name, rows in features.items():
        table = np.zeros_like(rows)
        table[places] = rows[1:]
        ordered[name] = torch.from_numpy(table)
    return ordered


class ItemVectors(nn.Module):
    """A module that is used as ``nn.Embedding`` is: called with items, and read by its ``weight``.

    The vector of an item is the projection of its frozen features; several features are pooled with weights that
    are learned, a softmax over one number each. An item without a feature gets zeros from it. ``ids`` adds the
    item's vector in ``table``, the embedding that this one replaces.
    """

    def __init__(self, table: nn.Embedding, features: Mapping[str, torch.Tensor], ids: bool, layers: int) -> None:
        super().__init__()
        self.table = table if ids else None
        self.names = tuple(features)
        self.shares = nn.Parameter(torch.zeros(len(features)))
        # Rows have length 1, so that the vectors start as large as those that they replace.
        scale, size = table.weight.std().item(), table.embedding_dim
        self.projections = nn.ModuleList(_projection(rows.size(1), size, scale, layers) for rows in features.values())
        for name, rows in features.items():
            self.register_buffer(f"features_{name}", rows, persistent=False)  # the recommender stores them

    def forward(self, items: torch.Tensor) -> torch.Tensor:
        """The vectors of ``items``, int64 of any shape; float32 (*shape, size)."""
        own = None if self.table is None else self.table(items)
        return self._pooled([functional.embedding(items, rows) for rows in self._features()], own)

    @property
    def weight(self) -> torch.Tensor:
        """The vectors of all items, float32 (items, size)."""
        return self._pooled(self._features(), None if self.table is None else self.table.weight)

    def _features(self) -> list[torch.Tensor]:
        return [self.get_buffer(f"features_{name}") for name in self.names]

    def _pooled(self, features: list[torch.Tensor], own: torch.Tensor | None) -> torch.Tensor:
        shares = self.shares.softmax(dim=0)
        vectors = (project(rows) for project, rows in zip(self.projections, features, strict=True))
        pooled = sum(share * vector for share, vector in zip(shares, vectors, strict=True))
        return pooled if own is None else pooled + own


def _projection(size: int, out: int, scale: float, layers: int) -> nn.Module:
    """Linear maps without a bias, so that nothing known stays zeros."""
    hidden = [nn.Linear(size, 2 * out, bias=False), nn.GELU()] if layers == 2 else []
    last = nn.Linear(2 * out if hidden else size, out, bias=False)
    nn.init.normal_(last.weight, std=scale)
    return nn.Sequential(*hidden, last)
