"""The variants of an ablation on one set of questions: scores, and differences with their tests."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from vrsim.audit import Lift, lifts, play_shortcuts
from vrsim.estimates import Estimate
from vrsim.loop import Played
from vrsim.records import Question
from vrsim.scoring import REWARDS
from vrsim.statistics import evaluate
from vrsim.suites import Variant
from vrsim.text.replies import NO_ANSWER, labels_of, read_reply
from vrsim.text.rewards import FORMAT_REWARD

__all__ = ["Compared", "VariantRow", "compare_variants", "mean_reward"]


@dataclass(frozen=True)
class VariantRow:
    """One variant on one set of questions, all seeds together."""

    variant: str
    accuracy: Estimate
    f1: Estimate | None  # of judgments
    by_seed: list[float]  # accuracy of each training seed; [] without training
    reward: float | None  # VRAgent-R1's reward per reply, form and answer; None where no words are written
    over_sft: Lift | None
    over_shortcut: Lift | None
    published: float | None  # accuracy in VRAgent-R1's ablation


@dataclass(frozen=True)
class Compared:
    """Every variant on one set of questions."""

    question: Question
    users: int
    shortcut: str | None  # the best one
    score: Estimate | None  # its accuracy, or AUC where the protocol goes by it
    rows: list[VariantRow]


def compare_variants(
    question: Question,
    played: Mapping[str, list[Played]],
    variants: Sequence[Variant],
    agents: Mapping[str, list[str]],
    seeds: int,
) -> Compared:
    """The runs of all training seeds as those of one agent; what has one run for all of them stands in for each."""

    def pool(runs: list[Played], models: int) -> list[Played]:
        return runs * (seeds // models)

    pooled = {
        name: pool([run for agent in found for run in played[agent]], len(found)) for name, found in agents.items()
    }
    shortcuts, _ = play_shortcuts([run.episodes for run in next(iter(played.values()))])
    able = {name: evaluate(runs).headline for name, runs in shortcuts.items()}
    able = {name: score for name, score in able.items() if not np.isnan(score.value)}
    best = max(able, key=lambda name: able[name].value) if able else None
    over_shortcut = lifts(pooled, pool(shortcuts[best], 1)) if best else {}
    over_sft = lifts({name: runs for name, runs in pooled.items() if name != "SFT"}, pooled["SFT"])
    rows = []
    for variant in variants:
        score, own = evaluate(pooled[variant.name]), agents[variant.name]
        rows.append(
            VariantRow(
                variant.name,
                score.metrics["accuracy"],
                score.metrics.get("f1"),
                [evaluate(played[agent]).metrics["accuracy"].value for agent in own]
                if variant.method != "none"
                else [],
                mean_reward(pooled[variant.name]),
                over_sft.get(variant.name),
                over_shortcut.get(variant.name),
                variant.published(question),
            )
        )
    return Compared(question, score.users, best, able.get(best), rows)


def mean_reward(runs: Sequence[Played]) -> float | None:
    """The mean of vrsim.text.rewards.paper_reward over recorded replies; None for answers by probability."""
    total = []
    for run in runs:
        decisions, episodes = run.decisions, run.episodes
        if decisions.reading is None or decisions.probability is not None:
            return None
        labels = labels_of(episodes.task, episodes.n_options)
        plainly = [
            any(read_reply(text, labels, thinks).strict_choice != NO_ANSWER for thinks in (True, False))
            for text in decisions.text
        ]
        formed = decisions.reading.well_formed
        total.append(FORMAT_REWARD * formed + REWARDS[episodes.task](run.correct & formed & np.array(plainly)))
    return float(np.mean(np.concatenate(total)))
