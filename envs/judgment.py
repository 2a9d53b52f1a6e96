"""``vrsim/Judgment-v0``: would this user take this item? Yes or No."""

from typing import final

from vrsim.envs.decision import DecisionEnv, load_episodes
from vrsim.world import World

__all__ = ["JudgmentEnv"]


@final
class JudgmentEnv(DecisionEnv):
    """Judge one item on behalf of a user.

    ## Observation
    Dict of int64 arrays: ``position`` (2,) user and number of earlier interactions; ``history``
    (protocol.history,) items, oldest first, 0 = empty; ``slate`` (1,) the item in question.

    ## Action
    Discrete(2): 0 = No, 1 = Yes.

    ## Reward
    +1 for the right answer, -1 for the wrong one (VRAgent-R1, R_jud). Users are asked about
    the real next item and about others, as many as the protocol says (mostly one); ``tallrec`` asks whether
    they will like the real one.

    ## Arguments
    ``world`` a name or folder; ``protocol`` a name; ``split`` "train" or "test" users; ``cohort`` "all",
    "cold" or "warm"; ``seed`` draws the negatives.

    ## Version History
    v0: first version.
    """

    task = "judgment"

    def __init__(
        self,
        world: str | World = "ml-100k",
        protocol: str = "vragent-paper",
        split: str = "test",
        cohort: str = "all",
        seed: int = 0,
        render_mode: str | None = None,
    ) -> None:
        super().__init__(load_episodes(self.task, world, protocol, 1, split, cohort, seed), render_mode)
