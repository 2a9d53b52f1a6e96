"""How well the model in training answers users it is not trained on."""

from collections.abc import Callable
from typing import Any

from vrsim.models.model import Sampling
from vrsim.text.replies import NO_ANSWER, read_reply
from vrsim.text.writer import Writer
from vrsim.training.examples import Questions

__all__ = ["make_check"]


def make_check(
    questions: Questions, writer: Writer, most: int, max_tokens: int, tokenizer: Any
) -> Callable[[Any], dict[str, float]]:
    """A function of the model: accuracy of its greedy replies by task, and the share that is well-formed.

    It asks the same validation users each time, at most ``most`` questions of a task, and draws no random number.
    """
    asked = {task: questions.validation(task, writer, most) for task in questions.tasks} if most else {}
    sampling = Sampling(max_tokens, stop=("</answer>",))
    reasoning = writer.template.reasoning

    def check(model: Any) -> dict[str, float]:
        from vrsim.models.local import LocalModel

        ready = LocalModel.around(model, tokenizer, "in training")
        scores, formed, total = {}, 0, 0
        for task, examples in asked.items():
            completions = ready.generate([example.prompt for example in examples], sampling)
            replies = [read_reply(c.text, e.labels, reasoning) for c, e in zip(completions, examples, strict=True)]
            right = sum(reply.choice == example.right for reply, example in zip(replies, examples, strict=True))
            scores[task] = right / len(examples)
            tags = questions.agent == "us-agent"  # others are asked for a word
            formed += sum(reply.well_formed if tags else reply.choice != NO_ANSWER for reply in replies)
            total += len(examples)
        return scores | ({"format": formed / total} if total else {})

    return check
