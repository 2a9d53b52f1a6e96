"""Suites: the published tables, as far as the data and the chosen model allow."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from vrsim.errors import ModelError
from vrsim.loop import play
from vrsim.models.trained import read_trained
from vrsim.protocols import get_protocol
from vrsim.published import ABLATION, PUBLISHED, PublishedRow
from vrsim.questions import ask
from vrsim.recommender_rows import RANKING_SUITES
from vrsim.records import Question
from vrsim.registry import make_agent
from vrsim.text.templates import POCKET, US_AGENT, US_AGENT_DIRECT, Template, get_template
from vrsim.training.config import GrpoConfig
from vrsim.world import World

__all__ = [
    "SIMULATORS",
    "SUITES",
    "VARIANTS",
    "Variant",
    "landmarks",
    "prompt_of",
    "simulator_agents",
    "what_differs",
]

SUITES = ("us-ablation", "simulators", *RANKING_SUITES)

# The simulators of VRAgent-R1's second table that ask a language model, by the agents of vrsim.
SIMULATORS = ("zero-shot", "recagent", "agent4rec", "llm-simulator", "tallrec", "mllm-msr", "us-agent")
WEIGH = ("tallrec", "mllm-msr")  # answer by the probability of Yes


def simulator_agents(model: str, world: World, question: Question) -> tuple[tuple[str, ...], dict[str, str]]:
    """The simulators with one model, and those that cannot run with it, with the reason.

    ``model`` is a name with options, as in ``openai:gpt-4o-mini,store=off``. Only a server does not say beforehand
    whether it tells probabilities: it is asked about one user. Raises what agents and models raise.
    """
    kind = model.partition(":")[0].partition(",")[0]
    others = [name for name in SIMULATORS if name != "us-agent"]
    if kind == "checkpoint":
        reason = "a trained model is asked as it was trained to be, by the agent checkpoint"
        return (model,), dict.fromkeys(SIMULATORS, reason)
    if kind == "pocket":
        reason = "pocket knows titles and follows no instructions; us-agent is the one that asks it for titles"
        return (f"us-agent:model={model}",), dict.fromkeys(others, reason)
    left_out: dict[str, str] = {}
    if kind == "openai":
        try:
            play(make_agent(f"{WEIGH[0]}:model={model}"), ask(world, question, 1, 1)[0], batch=1)
        except ModelError as error:
            if "tells no probabilities" not in str(error):  # an outage says nothing about the model
                raise
            left_out = dict.fromkeys(WEIGH, "it needs probabilities of answers, and this server tells none")
    return tuple(f"{name}:model={model}" for name in SIMULATORS if name not in left_out), left_out


def landmarks(protocols: Sequence[str], world: str) -> list[PublishedRow]:
    """The published rows for some protocols: those about the data of ``world``, else about any."""
    rows = [row for row in PUBLISHED if set(protocols) & set(row.protocols)]
    return [row for row in rows if row.data == world.partition(":")[0]] or rows


@dataclass(frozen=True)
class Variant:
    """One row of the ablation of the US Agent."""

    name: str
    method: str  # "none", "sft" or "grpo"
    changes: Mapping[str, Any] = field(default_factory=dict)  # settings of GRPO
    without: str = ""  # what the prompt shows or asks for and this row leaves out, "" = nothing

    @property
    def slug(self) -> str:
        """The name in the names of folders: ``grpo-no-cot``."""
        return self.name.lower().replace(",", "").replace(" ", "-")

    def published(self, question: Question) -> float | None:
        """The accuracy that VRAgent-R1 reports, None where it reports none for such questions."""
        for row in ABLATION:
            if row.simulator == self.name and question.protocol in row.protocols:
                known = {1: row.judgment["accuracy"]} if question.task == "judgment" else row.selection
                return known.get(question.m)
        return None


# VRAgent-R1, the ablation of the US Agent; the last two rows compare curricula with the same budget.
VARIANTS = (
    Variant("no training", "none"),
    Variant("SFT", "sft"),
    Variant("GRPO, no CoT", "grpo", {"cot": False}, "reasoning"),
    Variant("GRPO, no comments", "grpo", {"comments": False}, "comments"),
    Variant("GRPO, no captions", "grpo", {"captions": False}, "captions"),
    Variant("GRPO", "grpo"),
    Variant("GRPO, mixed from the start", "grpo", {"curriculum": "mixed"}),
    Variant("GRPO, selection only", "grpo", {"curriculum": "selection-only"}),
)


def prompt_of(config: GrpoConfig) -> Template:
    """The prompt that a run of ``config`` trains on, known without loading the model. Raises ModelError."""
    kind, _, target = config.model.partition(":")
    completes = POCKET.name if kind == "pocket" else ""
    if kind == "checkpoint":
        completes = read_trained(Path(target)).card["completes"]
    template = get_template(config.prompt or completes or US_AGENT.name)
    return US_AGENT_DIRECT if template is US_AGENT and not config.cot else template


def what_differs(config: GrpoConfig, world: World) -> tuple[list[Variant], dict[str, str]]:
    """The variants that differ from ``config`` in this world, and the others, each with one sentence why."""
    template, kept, left_out = prompt_of(config), [], {}
    for variant in VARIANTS:
        if reason := _same(variant, config, template, world):
            left_out[variant.name] = reason
        else:
            kept.append(variant)
    return kept, left_out


def _same(variant: Variant, config: GrpoConfig, template: Template, world: World) -> str:
    """Why a variant would be the full method once more, "" = it is not."""
    changes = ", ".join(f"{name}={value}" for name, value in variant.changes.items())
    if changes and replace(config, **variant.changes) == config:
        return f"it is the full method here, which has {changes} already."
    tasks = [task for task in config.tasks if task in get_protocol(config.protocol).tasks]
    if "curriculum" in variant.changes and len(tasks) < 2:
        return f"every curriculum is the same where the only task is {tasks[0] if tasks else 'missing'}."
    if variant.without == "reasoning" and not template.reasoning:
        return f"the prompt {template.name} asks for no reasoning anyway."
    if variant.without in ("comments", "captions"):
        comments = world.interactions.comments
        known = {"comments": comments is not None, "captions": any(world.catalog.captions)}
        if template.lines == "titles":
            return f"the prompt {template.name} shows titles and no {variant.without} anyway."
        if not known[variant.without]:
            return f"the world {world.name} has no {variant.without}."
    return ""
