"""Causal sequence models trained on all positions of a window at once (Kang and McAuley, ICDM 2018, section III.E).

RecBole makes one training row per prefix and takes the loss at its last position only, so a window
of 50 items costs 50 forward passes. A causal model gives all 50 predictions in one pass: the same
task, the same model, a fraction of the work. Trainer, data loaders and evaluator stay RecBole's.
"""

from abc import abstractmethod
from typing import Any

import numpy as np
import torch
from recbole.data.dataset import SequentialDataset
from recbole.data.interaction import Interaction
from recbole.model import sequential_recommender as original

from vrsim.recommender.item_vectors import ItemVectors, in_order

__all__ = ["MODELS", "WindowDataset"]


class WindowDataset(SequentialDataset):
    """One row per window of training targets, then one row each for the validation and the test target."""

    def data_augmentation(self) -> None:
        self._aug_presets()
        self.sort(by=[self.uid_field, self.time_field], ascending=True)
        longest = self.max_item_list_len
        users = self.inter_feat[self.uid_field].numpy()
        starts = np.flatnonzero(np.r_[True, users[1:] != users[:-1]])
        ends = np.r_[starts[1:], len(users)]

        targets, begins = [], []  # a row predicts interaction ``target`` from ``begin`` up to it
        for start, end in zip(starts, ends, strict=True):
            # The last two targets of a user become validation and test; windows cover the ones before.
            windows = np.arange(end - 3, start, -longest)[::-1]
            rows = np.r_[windows, np.arange(max(start + 1, end - 2), end)]
            targets.append(rows)
            begins.append(np.maximum(start, rows - longest))
        target, begin = np.concatenate(targets), np.concatenate(begins)
        length = target - begin
        column = np.arange(longest)
        index = np.where(column < length[:, None], begin[:, None] + column, 0)
        rows = {self.item_list_length_field: torch.from_numpy(length)}
        for field in self.inter_feat:
            if field == self.uid_field:
                continue
            values = self.inter_feat[field][torch.from_numpy(index)]
            values[torch.from_numpy(column >= length[:, None])] = 0
            rows[getattr(self, f"{field}_list_field")] = values
        self.inter_feat = self.inter_feat[torch.from_numpy(target)]
        self.inter_feat.update(Interaction(rows))


class AllPositions:
    """Cross entropy at every position, for a RecBole model whose state at a position sees no later one.

    With features of the items in the configuration their vectors take the place of the model's embedding.
    """

    def __init__(self, config: Any, dataset: Any) -> None:
        super().__init__(config, dataset)
        if features := config["item_features"]:
            vectors = ItemVectors(self.item_embedding, in_order(features, dataset), config["ids"], config["layers"])
            self.item_embedding = vectors
        self.in_batch = config["softmax"] == "in-batch"
        if self.in_batch:
            self.register_buffer("log_popularity", self._log_popularity(dataset.inter_feat), persistent=False)

    @abstractmethod
    def states(self, sequence: torch.Tensor) -> torch.Tensor:
        """What the model knows after each item, float (B, L, D); ``sequence`` is int64 (B, L), 0 after the end."""

    def penalty(self) -> torch.Tensor | float:
        """What the model adds to the loss beside the cross entropy."""
        return 0.0

    def calculate_loss(self, interaction: Interaction) -> torch.Tensor:
        sequence, length = interaction[self.ITEM_SEQ], interaction[self.ITEM_SEQ_LEN]
        items = torch.cat([sequence, torch.zeros_like(sequence[:, :1])], dim=1)  # (B, L + 1)
        items.scatter_(1, length.unsqueeze(1), interaction[self.POS_ITEM_ID].unsqueeze(1))
        target = items[:, 1:]
        known = target > 0
        states = self.states(sequence)[known]  # (targets, D)
        if self.in_batch:
            logits, label = self._within_batch(states, items)
        else:
            logits, label = states @ self.item_embedding.weight.T, target[known]  # (targets, items)
        return self.loss_fct(logits, label) + self.penalty()

    def _within_batch(self, states: torch.Tensor, items: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Logits of each target against every item of the batch, (targets, C), and the target's column.

        A sampled softmax: an item stands as often as the batch holds it, so its log frequency is taken off the
        logit (logQ: Yi et al., RecSys 2019). What the user's own window holds is no wrong answer (MicroLens).
        """
        there = items > 0  # (B, L + 1)
        columns = items[there]  # (C,)
        label = (there.flatten().cumsum(0).view_as(items) - 1)[:, 1:][there[:, 1:]]  # (targets,)
        window = there[:, 1:].nonzero()[:, 0]  # (targets,)
        own = (items.unsqueeze(2) == columns).any(dim=1)[window]  # (targets, C)
        logits = states @ self.item_embedding(columns).T - self.log_popularity[columns]
        return logits.masked_fill(own.scatter(1, label.unsqueeze(1), False), -torch.inf), label

    def _log_popularity(self, windows: Interaction) -> torch.Tensor:
        """The log of each item's share of all that the training windows hold, float32 (items,)."""
        held = torch.cat([windows[self.ITEM_SEQ].flatten(), windows[self.POS_ITEM_ID]])
        counts = torch.bincount(held, minlength=self.n_items)
        counts[0] = 0
        return (counts.clamp(min=1) / counts.sum()).log()

    def forward(self, item_seq: torch.Tensor, item_seq_len: torch.Tensor | None = None) -> torch.Tensor:
        length = (item_seq > 0).sum(dim=1).clamp(min=1)
        return self.gather_indexes(self.states(item_seq), length - 1)  # (B, D)


class SASRec(AllPositions, original.SASRec):
    def states(self, sequence: torch.Tensor) -> torch.Tensor:
        place = torch.arange(sequence.size(1), device=sequence.device)
        hidden = self.item_embedding(sequence) + self.position_embedding(place)
        hidden = self.dropout(self.LayerNorm(hidden))
        mask = self.get_attention_mask(sequence)
        return self.trm_encoder(hidden, mask, output_all_encoded_layers=True)[-1]


class GRU4Rec(AllPositions, original.GRU4Rec):
    def states(self, sequence: torch.Tensor) -> torch.Tensor:
        hidden, _ = self.gru_layers(self.emb_dropout(self.item_embedding(sequence)))
        return self.dense(hidden)


class NextItNet(AllPositions, original.NextItNet):
    """RecBole's reads the last column, which is padding for short histories; this reads the last item."""

    def states(self, sequence: torch.Tensor) -> torch.Tensor:
        return self.final_layer(self.residual_blocks(self.item_embedding(sequence)))

    def penalty(self) -> torch.Tensor:
        weights = self.reg_loss([self.item_embedding.weight, self.final_layer.weight])
        return self.reg_weight * weights + self.reg_loss_rb()


MODELS = {"SASRec": SASRec, "GRU4Rec": GRU4Rec, "NextItNet": NextItNet}
