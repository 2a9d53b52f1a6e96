"""The suite us-ablation: every variant of the US Agent is trained, all are asked the same, and compared."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import Any

from vrsim.bench import BenchConfig, Budget, plain, run_bench
from vrsim.errors import OptionError, ResultsError, TrainingError
from vrsim.naming import write_name
from vrsim.progress import Progress, silent
from vrsim.published import ABLATION
from vrsim.questions import ask, questions_of
from vrsim.runs import read_run
from vrsim.suites import Variant, what_differs
from vrsim.training.config import GrpoConfig, SftConfig, TrainConfig
from vrsim.training.grpo import SHARED, train_grpo
from vrsim.training.presets import PRESETS, make_training
from vrsim.training.run_folder import MODEL, TRAINING
from vrsim.training.sft import train_sft
from vrsim.variants import Compared, compare_variants
from vrsim.world import World

__all__ = ["Ablation", "AblationConfig", "ablation_json", "run_ablation"]

RESULT, RUNS, BENCH = "ablation.json", "training", "bench"  # in the folder of a suite
FIRST = "sft."  # in front of a setting of the fine-tuning


@dataclass(frozen=True)
class AblationConfig:
    """What to train and what to ask."""

    preset: str = "pocket"  # of vrsim train grpo
    options: Mapping[str, Any] = field(default_factory=dict)  # settings of GRPO; sft.NAME: of the fine-tuning
    tasks: tuple[str, ...] = ("judgment", "selection")  # what is asked of the test users
    m: tuple[int, ...] = (1, 3, 4)
    cohort: str = "all"
    users: int = 0  # at most this many test users, 0 = all
    seeds: int = 3  # seeds 0, 1, ... of the training, and of the episodes

    def __post_init__(self) -> None:
        if "seed" in self.options or f"{FIRST}seed" in self.options:
            raise OptionError("every variant is trained with the seeds 0, 1, ...: give their number as --seeds")
        self.bench(("us-agent",))
        self.sft(self.grpo())

    def grpo(self, seed: int = 0) -> GrpoConfig:
        """The full method with one seed. Raises UnknownNameError, OptionError."""
        options = {name: value for name, value in self.options.items() if not name.startswith(FIRST)}
        return make_training(GrpoConfig, self.preset, options | {"seed": seed})

    def sft(self, grpo: GrpoConfig) -> SftConfig:
        """The fine-tuning that goes with a run of GRPO. Raises UnknownNameError, OptionError."""
        preset = grpo.sft or self.preset
        if preset not in PRESETS[SftConfig]:
            raise OptionError(f"the preset {preset} has no fine-tuning to compare with; choose one with sft=NAME")
        own = {name.removeprefix(FIRST): value for name, value in self.options.items() if name.startswith(FIRST)}
        shared = {f.name: getattr(grpo, f.name) for f in fields(TrainConfig) if f.name in SHARED}
        if wrong := sorted(own.keys() & shared.keys()):
            raise OptionError(f"{FIRST}{wrong[0]} is that of GRPO: give it as {wrong[0]}")
        return make_training(SftConfig, preset, own | shared)

    def bench(self, agents: tuple[str, ...], world: str = "", protocol: str = "") -> BenchConfig:
        """What the agents are asked. Raises UnknownNameError, OptionError."""
        return BenchConfig(world, agents, (protocol,), self.tasks, self.m, self.cohort, self.users, self.seeds)


@dataclass(frozen=True)
class Ablation:
    """The result of the suite."""

    world: str
    protocol: str
    seeds: int
    agents: dict[str, list[str]]  # by variant: one per training seed
    left_out: dict[str, str]  # variants, and why
    notes: list[str]  # training runs that were stopped
    compared: list[Compared]


@dataclass(frozen=True)
class _Training:
    """One training run of a variant; ``variant`` None = a fine-tuning from which it starts."""

    config: TrainConfig
    folder: Path
    variant: Variant | None = None


def run_ablation(
    config: AblationConfig, out: Path, progress: Progress = silent, budget: Budget | None = None
) -> Ablation:
    """Train every variant with every seed, ask all of them, compare, and write ``out/ablation.json``.

    The same call goes on where it was stopped. Raises what training, worlds, agents and records raise.
    """
    out, base = Path(out), config.grpo()
    _check_folder(out)
    world = World.load(base.world)
    variants, left_out = what_differs(base, world)
    _check_questions(config, base, world)
    trainings = _plan(config, variants, out)
    agents: dict[str, list[str]] = {variant.name: [] for variant in variants}
    notes = []
    for done, training in enumerate(trainings):
        name = training.folder.name
        stopped = _train(training, _within(progress, done, len(trainings) + 1, name))
        if stopped:
            notes.append(f"{name}: {stopped}")
        if training.variant is None:
            continue
        if (training.folder / MODEL).exists():
            agents[training.variant.name].append(_agent(training.folder))
        else:
            left_out[training.variant.name] = f"{name} was stopped and left no model: {stopped}"
    agents["no training"] = [_untrained(base)]
    agents = {name: found for name, found in agents.items() if name not in left_out}
    asked = config.bench(tuple(agent for found in agents.values() for agent in found), base.world, base.protocol)
    bar = _within(progress, len(trainings), len(trainings) + 1, "")
    run_bench(asked, out / BENCH, bar, budget or Budget())
    played = read_run(out / BENCH, world).played
    variants = [variant for variant in variants if variant.name in agents]
    compared = [compare_variants(question, found, variants, agents, config.seeds) for question, found in played.items()]
    result = Ablation(base.world, base.protocol, config.seeds, agents, left_out, notes, compared)
    _write(out / RESULT, json.dumps(ablation_json(result), indent=1) + "\n")
    return result


def ablation_json(result: Ablation) -> dict[str, Any]:
    """The result as plain data, with the published rows; what is not defined is null."""
    rows = [asdict(row) for row in ABLATION if result.protocol in row.protocols]
    return plain({"suite": "us-ablation", **asdict(result), "published": rows})


def _check_questions(config: AblationConfig, base: GrpoConfig, world: World) -> None:
    """Raise before hours of training what would be raised after them."""
    questions = list(questions_of(base.protocol, config.tasks, config.m, config.cohort))
    if not questions:
        raise OptionError(f"{base.protocol} asks no {' and no '.join(config.tasks)}")
    for question in questions:
        ask(world, question, config.users, 1)


def _check_folder(out: Path) -> None:
    if out.exists() and not out.is_dir():
        raise ResultsError(f"{out} is not a folder; choose another one with --out")
    if out.exists() and (others := {entry.name for entry in out.iterdir()} - {RESULT, f".{RESULT}", RUNS, BENCH}):
        raise ResultsError(f"{out} holds something else than this suite ({min(others)}); choose another one with --out")
    if {",", "="} & set(str(out)):
        raise OptionError(f"the name of an agent cannot hold {out}; choose a folder without commas and = with --out")


def _plan(config: AblationConfig, variants: Sequence[Variant], out: Path) -> list[_Training]:
    """All training runs in order, each after the one that it starts from."""
    found = []
    for seed in range(config.seeds):
        for variant in (variant for variant in variants if variant.method != "none"):
            full = replace(config.grpo(seed), **variant.changes)
            first = out / RUNS / f"sft-{f'{variant.slug}-' if variant.without else ''}{seed}"
            if variant.method == "sft":
                found.append(_Training(config.sft(full), first, variant))
                continue
            if full.sft and variant.without:
                found.append(_Training(config.sft(full), first))
            if full.sft:
                full = replace(full, sft="", model=_agent(first))
            found.append(_Training(full, out / RUNS / f"{variant.slug}-{seed}", variant))
    return found


def _train(training: _Training, progress: Progress) -> str:
    """Train, unless it is done; returns why the run was stopped before its end, "" = it was not."""
    train = train_sft if isinstance(training.config, SftConfig) else train_grpo
    try:
        train(training.config, training.folder, progress)
    except TrainingError as error:
        file = training.folder / TRAINING
        told = json.loads(file.read_text(encoding="utf-8")) if file.exists() else {}
        # A run that collapsed is a result, and the same again next time; a fine-tuning is needed by all that follow.
        if told.get("stopped") != str(error) or isinstance(training.config, SftConfig):
            raise
        return str(error)
    return ""


def _agent(folder: Path) -> str:
    return f"checkpoint:{folder}"


def _untrained(base: GrpoConfig) -> str:
    """The agent that asks the model as it is before any training, with the switches of the full method."""
    kind, _, target = base.model.partition(":")
    switches: dict[str, Any] = {"history": base.history} if base.history else {}
    if kind != "pocket" or base.prompt:  # else it is asked for titles, and writes nothing
        switches |= {name: False for name in ("cot", "comments", "captions") if not getattr(base, name)}
        switches["max_tokens"] = base.max_tokens
    if base.prompt:
        switches["prompt"] = base.prompt
    if kind == "checkpoint":
        return write_name("checkpoint", {"path": target} | switches)
    return write_name("us-agent", {"model": base.model} | switches)


def _within(progress: Progress, done: int, parts: int, name: str) -> Progress:
    """Progress of one part, as a part of the whole."""

    def show(part: float, whole: float, what: str) -> None:
        progress(done + part / max(1, whole), parts, f"{done + 1} of {parts}: {name and f'{name}, '}{what}")

    return show


def _write(file: Path, text: str) -> None:
    temporary = file.with_name(f".{file.name}")
    try:
        temporary.write_text(text, encoding="utf-8")
        temporary.replace(file)
    except OSError as error:
        raise ResultsError(f"{file} cannot be written: {error}; make room and give the same command") from error
