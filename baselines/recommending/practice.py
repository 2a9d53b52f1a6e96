"""Sessions with training users, for policies that learn by themselves."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from vrsim.seeding import derive
from vrsim.session.policy import SessionSetting

__all__ = ["Step", "practise"]

SIDE_BY_SIDE = 256  # sessions


@dataclass(frozen=True, eq=False)
class Step:
    """One turn of B sessions, as rows."""

    before: Mapping[str, np.ndarray]  # observations, as Policy.act gets them
    slate: np.ndarray  # int64 (B, K): items shown
    item: np.ndarray  # int64 (B,): the one that was picked, 0 = the answer could not be read
    reward: np.ndarray  # float64 (B,)
    after: Mapping[str, np.ndarray]  # observations after it, of a session that ended its own last ones
    gone: np.ndarray  # bool (B,): the user left for good
    over: np.ndarray  # bool (B,): the session ended, by that or by its length


def practise(
    setting: SessionSetting, act: Callable[[Mapping[str, np.ndarray]], np.ndarray], turns: int
) -> Iterator[Step]:
    """Play ``turns`` turns, rounded up to whole batches, with the slates int64 (B, K) that ``act`` chooses."""
    env = setting.make_vec(SIDE_BY_SIDE)
    before, _ = env.reset(seed=derive(setting.seed, "practice") % 2**31)
    for _ in range(-(-turns // SIDE_BY_SIDE)):
        places = act(before)
        upcoming, reward, gone, truncated, info = env.step(places[:, 0] if setting.config.slate == 1 else places)
        over = gone | truncated
        after = upcoming
        if over.any():
            final = info["final_obs"]
            after = {name: _where(over, final[name], column) for name, column in upcoming.items()}
        yield Step(before, info["slate"], info["item"], reward, after, gone, over)
        before = upcoming


def _where(rows: np.ndarray, one: np.ndarray, other: np.ndarray) -> np.ndarray:
    return np.where(rows.reshape(-1, *[1] * (one.ndim - 1)), one, other)
