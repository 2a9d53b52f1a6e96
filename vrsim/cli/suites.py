"""The suites of ``vrsim bench``: what goes with which, and how their results are printed."""

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.markup import escape

import vrsim
from vrsim.cli.app import err_console, out_console
from vrsim.errors import OptionError, UnknownNameError
from vrsim.ranking_folder import ASKED

if TYPE_CHECKING:
    from vrsim.bench import BenchConfig, Budget
    from vrsim.recommender_suite import RankingConfig
    from vrsim.us_ablation import AblationConfig

__all__ = [
    "ablation", "going_on", "one_protocol", "print_left_out", "print_tables", "ranking", "read_captions", "refuse",
    "simulators",
]  # fmt: skip

OF_AGENTS = ("us-ablation", "simulators")
OF_RECOMMENDERS = ("recommenders", "ip-ablation")
BELONGS = {  # options that only some suites have
    "model": OF_AGENTS,
    "preset": ("us-ablation",),
    "option": ("us-ablation", *OF_RECOMMENDERS),
    "captions": OF_RECOMMENDERS,
    "vectors": ("recommenders",),
    "row": OF_RECOMMENDERS,
}


def refuse(suite: str | None, given: Mapping[str, Any], asks: Mapping[str, Any]) -> None:
    """Raise OptionError for options that do not go together; ``asks``: those that say what agents are asked."""
    from vrsim.suites import SUITES

    given = {name: value for name, value in given.items() if value}
    if suite is None:
        for name in given.keys() & BELONGS.keys():
            if name == "model":
                raise OptionError(
                    "--model belongs to --suite; name the model of an agent in --agent us-agent:model=NAME"
                )
            others = " or to --env session" if name == "option" else ""
            raise OptionError(f"--{name} belongs to --suite {' or '.join(BELONGS[name])}{others}")
        return
    if suite not in SUITES:
        raise UnknownNameError("suite", suite, SUITES)
    if "agent" in given:
        raise OptionError("--suite names its agents itself; leave --agent out, or --suite")
    wrong = {name for name, suites in BELONGS.items() if suite not in suites}
    wrong |= {"episodes", "ray"} if suite != "simulators" else set()
    if suite in OF_RECOMMENDERS:
        wrong |= asks.keys()
        given |= {name: value for name, value in asks.items() if value}
    for name in sorted(given.keys() & wrong):
        raise OptionError(f"--{name} does not go with --suite {suite}")
    if suite == "simulators" and "model" not in given:
        raise OptionError("--suite simulators needs --model: the one that every simulator asks, as openai:gpt-4o-mini")


def read_captions(suite: str, words: Sequence[str]) -> dict[str, Path]:
    """Tables of captions by name, from FILE or NAME=FILE; the first name of the suite goes without saying."""
    from vrsim.recommender_rows import RANKING_SUITES

    found: dict[str, Path] = {}
    for text in words:
        name, equals, file = text.partition("=")
        name, file = (name, file) if equals else (next(iter(RANKING_SUITES[suite].captions)), text)
        if name in found:
            raise OptionError(f"the captions {name} are given twice: {found[name]} and {file}")
        found[name] = Path(file)
    return found


def one_protocol(protocol: list[str] | None) -> str | None:
    """The protocol that a suite trains for, None = that of the preset. Raises OptionError for several."""
    if protocol and len(protocol) > 1:
        raise OptionError(f"expected one --protocol, found {', '.join(protocol)}")
    return protocol[0] if protocol else None


def simulators(model: str, config: "BenchConfig") -> tuple[tuple[str, ...], dict[str, str]]:
    """The agents of the suite simulators, and those left out; see vrsim.suites.simulator_agents."""
    from vrsim.questions import questions_of
    from vrsim.suites import simulator_agents

    questions = [
        question
        for protocol in config.protocols
        for question in questions_of(protocol, config.tasks, config.m, config.cohort)
    ]
    if not questions:
        raise OptionError(f"{', '.join(config.protocols)} asks no {' and no '.join(config.tasks)}")
    return simulator_agents(model, vrsim.World.load(config.world), questions[0])


def ablation(config: "AblationConfig", folder: Path, limits: "Budget", unnamed: bool, as_json: bool) -> None:
    """Train, ask and compare the variants of the US Agent, and print them."""
    from vrsim.progress import progress_bar
    from vrsim.published import ABLATION
    from vrsim.tables import ablation_tables, published_tables
    from vrsim.us_ablation import ablation_json, run_ablation

    with going_on(folder, "training", unnamed):
        vrsim.World.load(config.grpo().world)  # building it has a bar of its own
        with progress_bar("us-ablation") as progress:
            result = run_ablation(config, folder, progress, limits)
    if as_json:
        print(json.dumps({"out": str(folder), **ablation_json(result)}, indent=1))
        return
    print_tables(ablation_tables(result.compared, result.world, result.seeds))
    print_left_out(result.left_out)
    for note in result.notes:
        out_console.print(escape(note), soft_wrap=True, highlight=False)
    print_tables(published_tables([row for row in ABLATION if result.protocol in row.protocols]))
    out_console.print(f"records: {escape(str(folder))}", soft_wrap=True)


def ranking(config: "RankingConfig", folder: Path, unnamed: bool, as_json: bool) -> None:
    """Train and compare recommenders, and print them."""
    from vrsim.progress import progress_bar
    from vrsim.recommender_suite import ranking_json, run_ranking
    from vrsim.tables import ranking_tables

    with going_on(folder, ASKED, unnamed):
        vrsim.World.load(config.world)  # building it has a bar of its own
        with progress_bar(config.suite) as progress:
            result = run_ranking(config, folder, progress)
    if as_json:
        print(json.dumps({"out": str(folder), **ranking_json(result)}, indent=1))
        return
    print_tables(ranking_tables(result))
    print_left_out(result.left_out)
    for note in result.notes:
        out_console.print(escape(note), soft_wrap=True, highlight=False)
    out_console.print(f"records: {escape(str(folder))}", soft_wrap=True)


@contextmanager
def going_on(folder: Path, begun: str, unnamed: bool) -> Iterator[None]:
    """Say how to go on if the block is interrupted after it has ``begun``: the file that says so."""
    try:
        yield
    except KeyboardInterrupt:
        if (folder / begun).exists():
            again = f" with --out {folder}" if unnamed else ""
            err_console.print(f"\nstopped; the same command{again} goes on where it stopped")
        raise


def print_tables(tables: list[Any]) -> None:
    for table in tables:
        out_console.print(table, soft_wrap=True, highlight=False)


def print_left_out(left_out: dict[str, str]) -> None:
    for name, reason in left_out.items():
        out_console.print(f"left out: {escape(name)}: {escape(reason)}", soft_wrap=True, highlight=False)
