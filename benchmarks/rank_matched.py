"""Whether rank-matched slates tell anything by the recommender's scores and ranks: they must not.

Plays the highest score, the lowest, the one nearest the slate's median, and boosted trees that see the scores and
ranks of whole slates and were trained on those of other users. python benchmarks/rank_matched.py [WORLD] [PROTOCOL]
"""

import sys

import numpy as np
from sklearn.ensemble import HistGradientBoostingClassifier

import vrsim
from vrsim.recommender import CONTEXT

SEEDS = range(3)  # of the test slates
DRAWS = range(10)  # of the training slates: the same users, other wrong items


def sorted_slates(episodes, scores: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Features of each slate, best score first, float (N, F), and the place of the target among them, int (N,)."""
    user = episodes.positions[:, 0]  # holdout 1: the user is the position
    own = np.take_along_axis(scores[user], episodes.slates, axis=1)
    rank = (scores[user][:, None, :] > own[:, :, None]).sum(axis=2)
    order = np.argsort(-own, axis=1, kind="stable")
    own, rank = (np.take_along_axis(values, order, axis=1) for values in (own, rank))
    place = np.argmax(order == episodes.answers[:, None], axis=1)
    gaps = -np.diff(own, axis=1)
    top = np.sort(scores[user], axis=1)[:, -3:]  # how sure the recommender is at all
    length = episodes.positions[:, 1:]
    return np.hstack([own, rank, rank % 20, gaps, gaps / gaps.sum(axis=1, keepdims=True), top, length]), place


def main() -> None:
    name, protocol = [*sys.argv[1:], "ml-1m", "rank-matched"][:2] if len(sys.argv) < 3 else sys.argv[1:3]
    world = vrsim.World.load(name)
    if world.holdout != 1:
        sys.exit("a world with holdout 1, please")
    users, t = world.held_out
    scores = world.recommender.score(users, world.interactions.histories(users, t, CONTEXT))
    row, seen = world.interactions.before(users, t)
    scores[row, seen] = -np.inf
    for m in (1, 3, 4):
        tests = [vrsim.make_episodes(world, protocol, "selection", m, seed=seed) for seed in SEEDS]
        trains = [vrsim.make_episodes(world, protocol, "selection", m, "train", seed=seed) for seed in DRAWS]
        x, y = (np.concatenate(parts) for parts in zip(*(sorted_slates(e, scores) for e in trains), strict=True))
        trees = HistGradientBoostingClassifier(max_iter=100, learning_rate=0.05, random_state=0).fit(x, y)
        x, y = (np.concatenate(parts) for parts in zip(*(sorted_slates(e, scores) for e in tests), strict=True))
        asked = np.mean([len(e) for e in tests])
        left = np.mean([e.left_out for e in tests])
        middle = np.abs(x[:, : m + 1] - np.median(x[:, : m + 1], axis=1, keepdims=True))
        middle = np.argmin(middle + 1e-9 * np.random.default_rng(0).random(middle.shape), axis=1)  # ties by chance
        picks = {"highest": np.zeros_like(y), "lowest": np.full_like(y, m), "median": middle, "trees": trees.predict(x)}
        found = ", ".join(f"{agent} {np.mean(pick == y):.3f}" for agent, pick in picks.items())
        users = f"{asked:.0f} users, {left / (asked + left):.1%} left out"
        print(f"{name} {protocol} m = {m}: chance {1 / (m + 1):.3f}, {found}; {users}")


if __name__ == "__main__":
    main()
