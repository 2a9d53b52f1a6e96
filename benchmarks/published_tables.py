"""The published tables, one command each: every agent that runs here, the published rows beside them.

python benchmarks/published_tables.py films-games        MovieLens-1M and Steam, judgment, accuracy and F1
python benchmarks/published_tables.py microlens          MicroLens, judgment and selection with m = 3 and 4

Prints markdown. Decisions are recorded in runs/table-...; a table that was stopped goes on when it is called again.
The data sets are found through VRSIM_DATA. ``--seeds N``, and ``--agent NAME`` (repeat) for other agents.
"""

import argparse
from dataclasses import dataclass
from pathlib import Path

from vrsim.bench import BenchConfig, Row, run_bench
from vrsim.estimates import Estimate
from vrsim.progress import progress_bar
from vrsim.protocols import get_protocol
from vrsim.published import published
from vrsim.registry import baselines
from vrsim.world import World

MORE = ("title:order=longest", "age:order=newest", "content:order=least", "learned:model=logistic", "learned", "bandit")


@dataclass(frozen=True)
class Suite:
    """One published table."""

    worlds: tuple[str, ...]
    protocol: str
    tasks: tuple[str, ...]
    m: tuple[int, ...]
    beside: dict[str, str]  # world: the data set whose published rows stand beside it
    differs: tuple[str, ...]  # beside what the protocol's card says


SUITES = {
    "films-games": Suite(
        worlds=("ml-1m", "steam"),
        protocol="agent4rec-1to1",
        tasks=("judgment",),
        m=(3,),
        beside={"ml-1m": "ml-1m", "steam": "steam"},
        differs=("Steam here is RLMRec's cut of the reviews; the cut of the published rows is not documented",),
    ),
    "microlens": Suite(
        worlds=("microlens-50k",),
        protocol="vragent-paper",
        tasks=("judgment", "selection"),
        m=(3, 4),
        beside={"microlens-50k": "microlens-100k"},
        differs=(
            "MicroLens-50K is half of the users of the published rows' MicroLens-100K",
            "all test users are asked, not 1,000 cold-start users; --cohort cold asks the least active fifth",
            "the published rows are of language models that read titles and captions, these agents read numbers",
        ),
    ),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("suite", choices=SUITES)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--cohort", default="all")
    parser.add_argument("--users", type=int, default=0, help="at most this many test users, 0 = all")
    parser.add_argument("--agent", action="append")
    options = parser.parse_args()
    suite = SUITES[options.suite]
    agents = tuple(options.agent or [*baselines(), *(name for name in MORE if name not in baselines())])
    protocol = get_protocol(suite.protocol)
    for name in suite.worlds:
        world = World.load(name)
        able = tuple(agent for agent in agents if any(world.catalog.years) or not agent.startswith("age"))
        question = ((suite.protocol,), suite.tasks, suite.m, options.cohort, options.users, options.seeds)
        config = BenchConfig(name, able, *question)
        out = Path("runs") / f"table-{options.suite}-{name}-{options.cohort}-{options.users}-{options.seeds}"
        with progress_bar(name) as progress:
            rows = run_bench(config, out, progress)
        _print(name, world, protocol, suite, rows, out)


def _print(name: str, world: World, protocol, suite: Suite, rows: list[Row], out: Path) -> None:
    metrics = list(rows[0].score.metrics) if "judgment" in suite.tasks else []
    sizes = suite.m if "selection" in suite.tasks else ()
    both = "f1" in metrics and protocol.average == "macro"  # one right item per user makes macro F1 jump
    heads = [*metrics, *(["f1 (micro)"] if both else []), *(f"m = {m}" for m in sizes), "base rate"]
    print(f"\n## {name}\n\nProtocol {protocol.name} {protocol.hash}, world {world.hash}.")
    print(f"{rows[0].score.users:,} users, {len(rows[0].score.by_seed)} seeds, 95 % intervals. Records: {out}.\n")
    print(f"| agent | {' | '.join(heads)} |\n|---|{'---|' * len(heads)}")
    for row in published(protocol.name, suite.beside[name]):
        numbers = [row.judgment.get(metric) for metric in metrics] + [None] * both
        numbers += [row.selection.get(m) for m in sizes]
        print(f"| *{row.simulator}* ({row.source}) | {' | '.join(map(_number, [*numbers, row.base_rate]))} |")
    for agent in dict.fromkeys(row.agent for row in rows):
        own = {(row.task, row.m): row.score for row in rows if row.agent == agent}
        judged = next((score for (task, _), score in own.items() if task == "judgment"), None)
        cells = [_cell(judged.metrics[metric]) for metric in metrics]
        cells += [_cell(judged.micro["f1"])] if both else []
        cells += [_cell(own["selection", m].metrics["accuracy"]) for m in sizes]
        print(f"| {agent} | {' | '.join([*cells, _number(judged and judged.base_rate)])} |")
    print("\nDifferences:\n")
    for text in (*protocol.differs, *suite.differs):
        print(f"- {text}")


def _cell(estimate: Estimate) -> str:
    interval = f" ({_number(estimate.low)}-{_number(estimate.high)})" if estimate.low == estimate.low else ""
    return _number(estimate.value) + interval


def _number(value: float | None) -> str:
    return "-" if value is None or value != value else f"{value:.3f}".removeprefix("0")


if __name__ == "__main__":
    main()
