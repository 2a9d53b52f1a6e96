"""Muon for the matrices inside a model's layers and AdamW for everything else, as one optimizer."""

import torch
from transformers import PreTrainedModel

__all__ = ["MuonAdamW"]


class MuonAdamW(torch.optim.Optimizer):
    """Both as torch has them; Muon's steps are as large as AdamW's (Moonlight, 2025), so one learning rate does.

    Muon (Jordan et al., 2024) makes the step of a matrix orthogonal: what few examples say moves it as much as what
    most of them say. Embeddings, the output layer and vectors are AdamW's, as its authors advise.
    """

    def __init__(
        self, model: PreTrainedModel, lr: float, weight_decay: float = 0.0, betas: tuple[float, float] = (0.9, 0.999)
    ) -> None:
        """``model``: of transformers. ``weight_decay`` of matrices; vectors have none. What needs no gradient is left
        out.
        """
        tables = [part for part in model.modules() if isinstance(part, torch.nn.Embedding)]
        outside = {id(part.weight) for part in (*tables, model.get_output_embeddings())}
        weights = [weight for weight in model.parameters() if weight.requires_grad]
        inside = [weight for weight in weights if weight.ndim == 2 and id(weight) not in outside]
        rest = [weight for weight in weights if weight.ndim != 2 or id(weight) in outside]
        groups = [
            {"params": [weight for weight in rest if weight.ndim > 1], "weight_decay": weight_decay},
            {"params": [weight for weight in rest if weight.ndim < 2], "weight_decay": 0.0},
        ]
        self._muon = torch.optim.Muon(inside, lr=lr, weight_decay=weight_decay, adjust_lr_fn="match_rms_adamw")
        self._adamw = torch.optim.AdamW(groups, lr=lr, betas=betas)
        super().__init__([*self._muon.param_groups, *self._adamw.param_groups], {})

    def step(self, closure: None = None) -> None:
        """One step; the state and the groups are this optimizer's, so schedules and checkpoints see all of them."""
        self._muon.param_groups, self._adamw.param_groups = self.param_groups[:1], self.param_groups[1:]
        for part in (self._muon, self._adamw):
            part.state = self.state
            part.step()
