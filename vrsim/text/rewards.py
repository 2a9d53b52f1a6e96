"""What a reply is worth: the rewards of the text interface and of GRPO, as pure functions.

A reply is rewarded by the strict reading alone; an evaluation counts the lenient one (vrsim.text.replies).
"""

from collections.abc import Callable

from vrsim.scoring import REWARDS
from vrsim.text.replies import NO_ANSWER, Reply

__all__ = ["FORMAT_REWARD", "REPLY_REWARDS", "code_reward", "graded_reward", "paper_reward"]

FORMAT_REWARD = 1.0  # R_format of a well-formed reply, else 0


def paper_reward(reply: Reply, right: int, task: str) -> float:
    """R_format + R_task (VRAgent-R1, section "US Agent"); ``right``: place of the right label as shown.

    Judgment 2 right, 0 wrong, -1 malformed; selection 3, 1 and 0.
    """
    return FORMAT_REWARD * reply.well_formed + float(REWARDS[task](reply.strict_choice == right))


def code_reward(reply: Reply, right: int, task: str) -> float:
    """2 right, -1.5 wrong, -2 without a well-formed answer, for both tasks (VRAgent-R1, released code).

    The code multiplies by a factor for the form; here a malformed reply has the worst value, whatever it says.
    """
    if reply.strict_choice == NO_ANSWER:
        return -2.0
    return 2.0 if reply.strict_choice == right else -1.5


def graded_reward(reply: Reply, right: int, task: str) -> float:
    """1 right, 0.3 well-formed but wrong, -1 malformed, for both tasks (MLLMRec-R1, 2026)."""
    if not reply.well_formed:
        return -1.0
    return 1.0 if reply.strict_choice == right else 0.3


REPLY_REWARDS: dict[str, Callable[[Reply, int, str], float]] = {
    "vragent-paper": paper_reward,
    "vragent-code": code_reward,
    "mllmrec-r1": graded_reward,
}
