"""The order of tasks in a training run: judgment first, then selection, with judgments mixed in (VRAgent-R1)."""

import numpy as np

from vrsim.seeding import generator

__all__ = ["schedule"]


def schedule(
    curriculum: str, steps: int, prompts: int, switch: float, mix: float, seed: int, tasks: tuple[str, ...]
) -> list[str]:
    """The task of every prompt, ``prompts`` a step, in order.

    "judgment-first": judgments alone until ``switch`` of the steps are done, then selections with a share of ``mix``
    judgments at every step, so that the first task is not forgotten. "mixed": that from the start. A share that is no
    whole number of prompts is reached on average. A protocol that asks one task is trained on that.
    """
    if len(tasks) == 1 or curriculum.endswith("-only"):
        wanted = tasks[0] if len(tasks) == 1 else curriculum.removesuffix("-only")
        return [wanted] * (steps * prompts)
    rng = generator(seed, "curriculum")
    first = round(switch * steps) if curriculum == "judgment-first" else 0
    judged = np.diff(np.floor(np.arange(steps - first + 1) * mix * prompts + 1e-9)).astype(int)
    order = ["judgment"] * (first * prompts)
    for number in judged.tolist():
        step = np.array(["judgment"] * number + ["selection"] * (prompts - number))
        order += rng.permutation(step).tolist()
    return order
