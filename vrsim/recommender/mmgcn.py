"""MMGCN: one graph of users and items for each feature of the items (Wei et al., ACM Multimedia 2019).

In every graph a node gathers the mean of its neighbours (equation 1), and joins it with itself and with the vector
of its id (equations 5 and 6, the element-wise way); the vectors of all graphs are averaged, where the paper adds
them. Features are first projected to the size of the vectors, as the authors' code does for images.
"""

from typing import Any

import numpy as np
import torch
from recbole.data.interaction import Interaction
from recbole.model.abstract_recommender import GeneralRecommender
from recbole.model.loss import BPRLoss
from recbole.utils import InputType
from torch import nn
from torch.nn.functional import leaky_relu, normalize

from vrsim.recommender.item_vectors import in_order

__all__ = ["MMGCN"]


class MMGCN(GeneralRecommender):
    """Users and items by the mean of their vectors in the graphs of all features, trained by pairs (BPR)."""

    input_type = InputType.PAIRWISE

    def __init__(self, config: Any, dataset: Any) -> None:
        super().__init__(config, dataset)
        size = config["embedding_size"]
        features = in_order(config["item_features"], dataset)
        self.reg_weight = config["reg_weight"]
        self.ids = nn.Parameter(nn.init.xavier_normal_(torch.empty(self.n_users + self.n_items, size)))
        self.graphs = nn.ModuleList(
            FeatureGraph(rows, self.n_users, size, config["n_layers"]) for rows in features.values()
        )
        self.register_buffer("neighbours", _mean_of_neighbours(dataset.inter_matrix(form="coo")), persistent=False)
        self.loss = BPRLoss()
        self.vectors = None  # of all nodes, (users + items, size), computed where training is over

    def forward(self) -> torch.Tensor:
        """The vectors of all users, then of all items, (users + items, size)."""
        return torch.stack([graph(self.ids, self.neighbours) for graph in self.graphs]).mean(dim=0)

    def train(self, mode: bool = True) -> "MMGCN":
        self.vectors = None  # whatever comes next may follow new weights
        return super().train(mode)

    def calculate_loss(self, interaction: Interaction) -> torch.Tensor:
        vectors = self.forward()
        users, items = interaction[self.USER_ID], self.n_users + interaction[self.ITEM_ID]
        others = self.n_users + interaction[self.NEG_ITEM_ID]
        liked, not_liked = ((vectors[users] * vectors[nodes]).sum(dim=1) for nodes in (items, others))
        nodes = torch.cat([users, items, others])
        penalty = self.ids[nodes].square().mean()
        penalty = penalty + sum(graph.preferences.square().mean() for graph in self.graphs)
        return self.loss(liked, not_liked) + self.reg_weight * penalty

    def predict(self, interaction: Interaction) -> torch.Tensor:
        users, items = interaction[self.USER_ID], self.n_users + interaction[self.ITEM_ID]
        return (self._known()[users] * self._known()[items]).sum(dim=1)

    def full_sort_predict(self, interaction: Interaction) -> torch.Tensor:
        vectors = self._known()
        return (vectors[interaction[self.USER_ID]] @ vectors[self.n_users :].T).view(-1)

    def _known(self) -> torch.Tensor:
        """The vectors of all nodes, computed once until ``train`` or ``eval`` is called."""
        if self.vectors is None:
            self.vectors = self.forward().detach()
        return self.vectors


class FeatureGraph(nn.Module):
    """The vectors of all nodes by one feature of the items."""

    def __init__(self, features: torch.Tensor, n_users: int, size: int, n_layers: int) -> None:
        super().__init__()
        self.register_buffer("features", features, persistent=False)
        self.project = nn.Linear(features.size(1), size)
        self.preferences = nn.Parameter(nn.init.xavier_normal_(torch.empty(n_users, size)))
        self.gather = nn.ModuleList(nn.Linear(size, size, bias=False) for _ in range(n_layers))
        self.keep = nn.ModuleList(nn.Linear(size, size) for _ in range(n_layers))
        self.join = nn.ModuleList(nn.Linear(size, size) for _ in range(n_layers))

    def forward(self, ids: torch.Tensor, neighbours: torch.Tensor) -> torch.Tensor:
        nodes = normalize(torch.cat([self.preferences, self.project(self.features)]))
        for gather, keep, join in zip(self.gather, self.keep, self.join, strict=True):
            around = leaky_relu(torch.sparse.mm(neighbours, gather(nodes)))
            nodes = leaky_relu(join(around) + leaky_relu(keep(nodes)) + ids)
        return nodes


def _mean_of_neighbours(pairs: Any) -> torch.Tensor:
    """The sparse matrix that averages the neighbours of each node, from RecBole's matrix of users and items."""
    users, items = pairs.row.astype(np.int64), pairs.col.astype(np.int64) + pairs.shape[0]
    nodes = sum(pairs.shape)
    rows, columns = np.r_[users, items], np.r_[items, users]
    shares = 1 / np.bincount(rows, minlength=nodes)[rows]
    index, values = torch.from_numpy(np.stack([rows, columns])), torch.from_numpy(shares).float()
    return torch.sparse_coo_tensor(index, values, (nodes, nodes), check_invariants=True).coalesce()
