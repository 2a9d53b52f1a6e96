"""TRL's GRPO trainer, with groups that say nothing left out of the loss."""

from typing import Any, final

from trl import GRPOTrainer

__all__ = ["GroupTrainer"]


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
