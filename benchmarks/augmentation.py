"""What user agents like of a recommender's first ten items, and how often it is what the user really took next.

Run: python benchmarks/augmentation.py WORLD USERS [PROTOCOL ...] [agent=AGENT ...]
for example: python benchmarks/augmentation.py ml-1m cold:8000 uniform rank-matched agent=learned agent=content

Nothing is trained but the agents: this is what `vrsim augment` will add. "likes": items per user that are answered
with Yes. "next": share of these that the user really took next; beside it that of as many items drawn from the ten, and
of as many of the first ones. "first 3": users who took one of the agent's three most probable ones, and of the
recommender's first three.
"""

import sys
import time

import numpy as np

from vrsim.augmentation.asking import asked_users, shown_items
from vrsim.augmentation.rows import next_items
from vrsim.protocols import get_protocol
from vrsim.simulated_user import SimulatedUser
from vrsim.world import World

AGENTS = ("recommender", "popularity", "content", "graph", "learned", "learned:model=logistic")
SHOWN, FIRST = 10, 3


def main() -> None:
    name, cohort, *words = sys.argv[1:]
    agents = [word.removeprefix("agent=") for word in words if word.startswith("agent=")] or AGENTS
    world = World.load(name)
    print("| protocol | agent | likes | next: likes | drawn | first | first 3: agent | recommender | seconds |")
    print("|---|---|---|---|---|---|---|---|---|")
    for protocol in [word for word in words if not word.startswith("agent=")] or ["uniform"]:
        users = asked_users(world, get_protocol(protocol), cohort)
        shown = shown_items(world, users, SHOWN)
        taken = shown == next_items(world, users)[:, None]
        positions = np.stack([users, world.interactions.lengths[users] - 1], axis=1)
        for agent in agents:
            started = time.perf_counter()
            user = SimulatedUser(agent, world, protocol)
            judged = user.judge(positions, user.histories(positions), shown)
            likes = judged.yes.sum(axis=1)
            drawn = (taken.mean(axis=1) * likes).sum() / max(1, likes.sum())
            first = taken[np.arange(SHOWN) < likes[:, None]]
            shares = [found.mean() if found.size else np.nan for found in (taken[judged.yes], first)]
            probable = "-"
            if judged.probability is not None:
                best = np.argsort(-judged.probability, axis=1, kind="stable")[:, :FIRST]
                probable = f"{np.take_along_axis(taken, best, axis=1).any(axis=1).mean():.3f}"
            cells = (protocol, agent, f"{likes.mean():.2f}", f"{shares[0]:.4f}", f"{drawn:.4f}", f"{shares[1]:.4f}")
            more = probable, f"{taken[:, :FIRST].any(axis=1).mean():.3f}", f"{time.perf_counter() - started:.0f}"
            print(f"| {' | '.join((*cells, *more))} |", flush=True)
        print(f"\n{protocol}: {len(users):,} users, of whom {taken.any(axis=1).mean():.1%} took one of the ten next\n")


if __name__ == "__main__":
    main()
