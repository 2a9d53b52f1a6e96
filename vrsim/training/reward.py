"""The reward function that GRPO calls: the pure functions of vrsim.text.rewards over a batch of completions.

Nothing turns into a silent 0: a function that raises, or returns something else than one number per completion,
ends the training with the sample shown.
"""

import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from typing import Any

from vrsim.errors import OptionError, TrainingError, UnknownNameError
from vrsim.text.replies import NO_ANSWER, read_reply
from vrsim.text.rewards import REPLY_REWARDS

__all__ = ["RewardFunction", "Rewarder", "find_reward"]

RewardFunction = Callable[[list[str], list[dict[str, Any]]], Sequence[float]]
"""``function(completions, questions)``: one number per completion. A question has ``task``, ``labels``, ``right`` (the
place of the right label), ``user``, ``t`` and ``prompt``."""

COLUMNS = ("task", "labels", "right", "user", "t", "prompt")


def find_reward(name: str) -> RewardFunction | None:
    """The function behind "module:function", None for the name of a built-in reward. Raises OptionError."""
    if name in REPLY_REWARDS:
        return None
    module, colon, function = name.partition(":")
    if not colon:
        raise UnknownNameError("reward", name, [*REPLY_REWARDS, "module:function"])
    try:
        found = getattr(import_module(module), function)
    except (ImportError, AttributeError) as error:
        raise OptionError(f"the reward {name!r} cannot be imported: {error}") from error
    if not callable(found):
        raise OptionError(f"the reward {name!r} is no function")
    return found


class Rewarder:
    """Rewards for completions, and what the completions are like, for the log."""

    __name__ = "vrsim"  # TRL logs rewards under the name of the function

    def __init__(self, reward: str, reasoning: bool, tasks: Sequence[str]) -> None:
        self._name, self._reasoning, self._tasks = reward, reasoning, tuple(tasks)
        self._function = find_reward(reward)

    def __call__(
        self,
        completions: list[str],
        log_metric: Callable[[str, float], None] = lambda name, value: None,
        **columns: Any,
    ) -> list[float]:
        """One reward per completion. ``columns``: those of the data set, one value per completion."""
        texts = [lead + text for lead, text in zip(columns["lead"], completions, strict=True)]
        columns = {**columns, "prompt": columns.get("prompts", columns.get("prompt"))}
        questions = [dict(zip(COLUMNS, row, strict=True)) for row in zip(*(columns[c] for c in COLUMNS), strict=True)]
        replies = [read_reply(text, q["labels"], self._reasoning) for text, q in zip(texts, questions, strict=True)]
        if self._function is None:
            rule = REPLY_REWARDS[self._name]
            rewards = [rule(reply, q["right"], q["task"]) for reply, q in zip(replies, questions, strict=True)]
        else:
            rewards = self._ask(texts, questions)
        for name, value in self._metrics(replies, questions, rewards).items():
            log_metric(f"vrsim/{name}", value)
        return rewards

    def _ask(self, texts: list[str], questions: list[dict[str, Any]]) -> list[float]:
        try:
            rewards = list(self._function(texts, questions))
        except Exception as error:  # anything at all: it is somebody else's code, and the sample is what helps
            raise TrainingError(
                f"the reward {self._name} raised {error!r} for {_sample(texts, questions, 0)}"
            ) from error
        if len(rewards) != len(texts):
            raise TrainingError(
                f"the reward {self._name} returned {len(rewards)} numbers for {len(texts)} completions; expected one "
                f"for each. The first is {_sample(texts, questions, 0)}"
            )
        for place, value in enumerate(rewards):
            if isinstance(value, bool) or not _is_number(value):
                raise TrainingError(
                    f"the reward {self._name} returned {value!r}, expected a finite number, for "
                    f"{_sample(texts, questions, place)}"
                )
        return [float(value) for value in rewards]

    def _metrics(
        self, replies: Sequence[Any], questions: Sequence[Mapping[str, Any]], rewards: Sequence[float]
    ) -> dict[str, float]:
        """Means over the batch; a task that is not in it has none."""
        found = {
            "format": sum(reply.well_formed for reply in replies) / len(replies),
            "answered": sum(reply.strict_choice != NO_ANSWER for reply in replies) / len(replies),
        }
        said: Counter[str] = Counter()
        for task in self._tasks:
            rows = [i for i, question in enumerate(questions) if question["task"] == task]
            if not rows:
                continue
            found[f"reward_{task}"] = sum(rewards[i] for i in rows) / len(rows)
            found[f"accuracy_{task}"] = sum(replies[i].choice == questions[i]["right"] for i in rows) / len(rows)
            answered = [i for i in rows if replies[i].choice != NO_ANSWER]
            said.update(questions[i]["labels"][replies[i].choice] for i in answered)
            if task == "judgment" and answered:
                found["yes"] = sum(replies[i].choice for i in answered) / len(answered)
            if task == "selection" and answered:  # where in the slate it is, from 0 = first to 1 = last; fair is 1/2
                found["place"] = sum(replies[i].choice / (len(questions[i]["labels"]) - 1) for i in answered) / len(
                    answered
                )
        if said:
            found["top_answer"] = max(said.values()) / sum(said.values())
        return found


def _is_number(value: Any) -> bool:
    try:
        return math.isfinite(value)
    except TypeError:
        return False


def _sample(texts: Sequence[str], questions: Sequence[Mapping[str, Any]], place: int) -> str:
    question = questions[place]
    right = question["labels"][question["right"]]
    return (
        f"user {question['user']} at t = {question['t']}, {question['task']}, right answer {right}, "
        f"completion {texts[place]!r}, prompt {str(question['prompt'])[-500:]!r}"
    )
