"""Whether recommender agents that learn beat greedy in sessions, and how long that takes.

Run: python benchmarks/session_learning.py [WORLD] [KEY=VALUE ...]     for example: ml-100k boredom=0.3 seeds=1

Every policy learns from sessions with training users and is scored by one session with every test user, once per seed.
Differences to greedy are of users, over all seeds, with a 95 % interval from a bootstrap over users and the p of a sign
test after Holm's correction. Options: ``user``, ``seeds``, ``policies`` (names between + signs), and those of sessions.
"""

import sys
import time

from vrsim.comparisons import compare_users, holm
from vrsim.naming import parse_name
from vrsim.registry import make_policy, policies
from vrsim.seeding import derive
from vrsim.session.config import make_session
from vrsim.session.loop import play_sessions
from vrsim.session.metrics import METRICS, score_sessions, user_columns
from vrsim.session.policy import SessionSetting
from vrsim.simulated_user import SimulatedUser
from vrsim.world import World

TRAINED = ("sb3:algorithm=DQN", "sb3:algorithm=PPO", "slateq", "slateq:slates=top-k")
REFERENCE = "greedy"


def main() -> None:
    words = ",".join(word for word in sys.argv[1:] if "=" in word)
    options = parse_name(f"world:{words}")[1] if words else {}
    world = World.load(next((word for word in sys.argv[1:] if "=" not in word), "ml-100k"))
    agent, seeds = options.pop("user", "content"), options.pop("seeds", 3)
    names = options.pop("policies", "+".join([*policies(), *TRAINED])).split("+")
    users = [SimulatedUser(agent, world, seed=seed) for seed in range(seeds)]
    config = make_session(options)
    columns, scores, minutes = {}, {}, {}
    for name in [REFERENCE, *(name for name in names if name != REFERENCE)]:
        logs, spent = [], 0.0
        for seed, user in enumerate(users):
            setting, policy = SessionSetting(user, config, seed=seed), make_policy(name)
            start = time.process_time()
            policy.fit(setting)
            spent += time.process_time() - start
            logs.append(play_sessions(policy, setting, seed=derive(seed, "policy", name), fit=False))
        columns[name], scores[name] = user_columns(world, logs)["return"], score_sessions(world, logs)
        minutes[name] = spent / 60 / seeds
        returns = scores[name].metrics["return"]
        seen = ", ".join(f"{value:.2f}" for value in scores[name].by_seed)
        print(f"{name}: {returns.value:.3f} (seeds {seen}), {minutes[name]:.1f} minutes of training", flush=True)

    others = [name for name in columns if name != REFERENCE]
    found = {name: compare_users("return", columns[name], columns[REFERENCE]) for name in others}
    p = dict(zip(others, holm([found[name].p for name in others]), strict=True))
    kept = [name for name in METRICS if name != "return"]
    print(f"\n| policy | return | minus greedy | p | minutes | {' | '.join(kept)} | coverage |")
    print("|" + "---|" * (6 + len(kept)))
    for name in sorted(columns, key=lambda name: -scores[name].metrics["return"].value):
        own = scores[name].metrics["return"]
        gap = found[name].value if name in found else None
        cells = [name, f"{own.value:.2f} ({own.low:.2f} to {own.high:.2f})"]
        cells += [f"{gap.value:+.2f} ({gap.low:+.2f} to {gap.high:+.2f})", f"{p[name]:.2g}"] if gap else ["", ""]
        cells += [f"{minutes[name]:.1f}", *(f"{scores[name].metrics[metric].value:.3f}" for metric in kept)]
        print(f"| {' | '.join([*cells, f'{scores[name].coverage:.3f}'])} |")


if __name__ == "__main__":
    main()
