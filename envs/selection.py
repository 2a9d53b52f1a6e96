"""``vrsim/Selection-v0``: which of these items does this user take next?"""

from typing import final

from vrsim.envs.decision import DecisionEnv, load_episodes
from vrsim.world import World

__all__ = ["SelectionEnv"]


@final
class SelectionEnv(DecisionEnv):
    """Select one of m + 1 items on behalf of a user.

    ## Observation
    Dict of int64 arrays: ``position`` (2,) user and number of earlier interactions; ``history``
    (protocol.history,) items, oldest first, 0 = empty; ``slate`` (m + 1,) distinct items, in an order
    that says nothing.

    ## Action
    Discrete(m + 1): a place in the slate, from 0.

    ## Reward
    2 for the item the user really took next, else 0 (VRAgent-R1, R_sel).

    ## Arguments
    ``world`` a name or folder; ``protocol`` a name; ``m`` the number of negatives; ``split`` "train" or
    "test" users; ``cohort`` "all", "cold" or "warm"; ``seed`` draws negatives and places.

    ## Version History
    v0: first version.
    """

    task = "selection"

    def __init__(
        self,
        world: str | World = "ml-100k",
        protocol: str = "vragent-paper",
        m: int = 3,
        split: str = "test",
        cohort: str = "all",
        seed: int = 0,
        render_mode: str | None = None,
    ) -> None:
        super().__init__(load_episodes(self.task, world, protocol, m, split, cohort, seed), render_mode)
