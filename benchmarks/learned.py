"""Whether the learned agents are at least as good as every single shortcut, on every protocol that a world can serve.

python benchmarks/learned.py [WORLD] [USERS]
"""

import sys

from vrsim.audit import AuditConfig, play_shortcuts, questions
from vrsim.comparisons import compare, holm
from vrsim.loop import play
from vrsim.registry import make_agent
from vrsim.seeding import derive
from vrsim.statistics import evaluate
from vrsim.world import World

AGENTS = ("learned", "learned:model=logistic")


def main() -> None:
    name, users = (*sys.argv[1:], *("ml-100k", "0")[len(sys.argv) - 1 :])
    world = World.load(name)
    asked, _ = questions(world, AuditConfig(users=int(users), seeds=1))
    print(f"| {name} | {' | '.join(AGENTS)} | best shortcut | nearest shortcut, learned minus it, p (Holm) |")
    print("|---|---|---|---|---|")
    for question, episodes in asked.items():
        shortcuts, _ = play_shortcuts(episodes)
        scores = {agent: evaluate(runs).headline.value for agent, runs in shortcuts.items()}
        best = max((agent for agent in scores if scores[agent] == scores[agent]), key=scores.get)
        own = {
            agent: [play(make_agent(agent), part, derive(part.seed, "agent")) for part in episodes] for agent in AGENTS
        }
        better = max(own, key=lambda agent: evaluate(own[agent]).headline.value)
        differences = {agent: compare(own[better], runs) for agent, runs in shortcuts.items()}
        p = dict(zip(differences, holm([d.p for d in differences.values()]), strict=True))
        near = min((a for a in p if p[a] == p[a]), key=lambda agent: differences[agent].value.value)
        gap = differences[near].value
        cells = [f"{evaluate(own[agent]).headline.value:.3f}" for agent in AGENTS]
        print(
            f"| {question} | {' | '.join(cells)} | {best} {scores[best]:.3f} | "
            f"{near}: {gap.value:+.3f} ({gap.low:+.3f} to {gap.high:+.3f}), {p[near]:.3g} |",
            flush=True,
        )


if __name__ == "__main__":
    main()
