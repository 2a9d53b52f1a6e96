"""Muon for the linear layers of a model and AdamW for everything else, as one optimizer."""

from collections.abc import Callable
from typing import Any

import torch
from transformers import PreTrainedModel

__all__ = ["MuonAdamW"]


class MuonAdamW(torch.optim.Optimizer):
    """Both as torch has them; Muon's steps are as large as AdamW's (Moonlight, 2025), so one learning rate does.

    Muon (Jordan et al., 2024) makes the step of a matrix orthogonal: what few examples say moves it as much as what
    most of them say. It has the weights of linear layers, those of LoRA among them. Embeddings, the output layer,
    vectors, and what a model holds in tables of three dimensions are AdamW's, as its authors advise.
    """

    def __init__(
        self, model: PreTrainedModel, lr: float, weight_decay: float = 0.0, betas: tuple[float, float] = (0.9, 0.999)
    ) -> None:
        """``weight_decay``: of everything but vectors. What needs no gradient is left out."""
        tables = [part.weight for part in model.modules() if isinstance(part, torch.nn.Embedding)]
        tables += [head.weight] if (head := model.get_output_embeddings()) is not None else []
        linear = {id(part.weight) for part in model.modules() if isinstance(part, torch.nn.Linear)} - {*map(id, tables)}
        weights = [weight for weight in model.parameters() if weight.requires_grad]
        inside = [weight for weight in weights if id(weight) in linear]
        rest = [weight for weight in weights if id(weight) not in linear]
        groups = [
            {"params": [weight for weight in rest if weight.ndim > 1], "weight_decay": weight_decay},
            {"params": [weight for weight in rest if weight.ndim < 2], "weight_decay": 0.0},
        ]
        self._muon = torch.optim.Muon(inside, lr=lr, weight_decay=weight_decay, adjust_lr_fn="match_rms_adamw")
        self._adamw = torch.optim.AdamW(groups, lr=lr, betas=betas)
        super().__init__([*self._muon.param_groups, *self._adamw.param_groups], {})

    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """One step; the state and the groups are this optimizer's, so schedules and checkpoints see all of them."""
        loss = None if closure is None else closure()
        self._muon.param_groups, self._adamw.param_groups = self.param_groups[:1], self.param_groups[1:]
        for part in (self._muon, self._adamw):
            part.state = self.state
            part.step()
        return loss
