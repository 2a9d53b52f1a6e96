"""TRL's trainers: GRPO with groups that say nothing left out of the loss, fine-tuning in two parts."""

from collections.abc import Callable
from typing import Any, final

import torch
import trl.trainer.utils
from transformers import get_scheduler
from trl import GRPOTrainer, SFTTrainer

__all__ = ["GroupTrainer", "LedTrainer"]

_use_triton = trl.trainer.utils._use_triton


def _score_replies_alone(device: torch.device) -> bool:
    """Whether TRL's output layer reads only the tokens that have a loss. TRL asks this for a device with Triton; on
    CPUs the other tokens, forty times as many here, cost half a step.
    """
    return device.type in ("cpu", "mps") or _use_triton(device)


trl.trainer.utils._use_triton = _score_replies_alone


@final
class GroupTrainer(GRPOTrainer):
    """GRPO (DeepSeekMath, 2024; VRAgent-R1, equation 3) as TRL has it.

    The difference: where all replies of a group have the same reward, their advantages are 0, and with
    ``drop_silent`` the whole group leaves the loss, its KL term and the count of tokens that the loss is divided by.
    TRL logs the share of such groups as ``frac_reward_zero_std``.
    """

    def __init__(self, *args: Any, drop_silent: bool, **options: Any) -> None:
        self._drop_silent = drop_silent
        super().__init__(*args, **options)

    def _generate_and_score_completions(self, inputs: list[dict[str, Any]]) -> dict[str, Any]:
        batch = super()._generate_and_score_completions(inputs)
        if self._drop_silent and self.model.training:
            own, mask = batch["advantages"], batch["completion_mask"]
            every = self.accelerator.gather(own)  # a group may be spread over processes
            speaks = (every.view(-1, self.num_generations) != 0).any(dim=1).repeat_interleave(self.num_generations)
            begin = self.accelerator.process_index * len(own)
            batch["completion_mask"] = mask * speaks[begin : begin + len(own), None].to(mask.dtype)
            batch["num_items_in_batch"] = self.accelerator.gather(batch["completion_mask"].sum()).sum()
        return batch


@final
class LedTrainer(SFTTrainer):
    """Fine-tuning in two parts; the learning rate rises and falls in each of them, as in two runs.

    The first ``lead`` steps are of an easier protocol; ``warmup`` is the share of rising steps. A second part that
    meets a rate which has fallen already is hardly learned.
    """

    def __init__(self, *args: Any, lead: int, warmup: float, **options: Any) -> None:
        self._lead, self._warmup = lead, warmup
        super().__init__(*args, **options)

    def create_scheduler(self, num_training_steps: int, optimizer: Any = None) -> Any:
        if self.lr_scheduler is None:
            lead, rest = self._rates(self._lead), self._rates(num_training_steps - self._lead)
            self.lr_scheduler = torch.optim.lr_scheduler.LambdaLR(
                optimizer or self.optimizer, lambda step: lead(step) if step < self._lead else rest(step - self._lead)
            )
            self._created_lr_scheduler = True
        return self.lr_scheduler

    def _rates(self, steps: int) -> Callable[[int], float]:
        """The share of the highest learning rate at each of so many steps."""
        nobody = torch.optim.SGD([torch.zeros(1)])
        return get_scheduler(self.args.lr_scheduler_type, nobody, round(self._warmup * steps), steps).lr_lambdas[0]
