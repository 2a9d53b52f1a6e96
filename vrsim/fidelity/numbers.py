"""What simulated users' answers say about a ladder of recommenders, beside what the users really took next."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations, pairwise

import numpy as np

from vrsim.audit import Lift
from vrsim.comparisons import Agreement, alike, compare_users, holm
from vrsim.estimates import Estimate, mean_of_users
from vrsim.fidelity.order import TAU, UNDAMAGED, Ordered, Rung, order_rungs
from vrsim.fidelity.questions import FidelityQuestions

__all__ = ["RULE", "Alike", "Reaction", "Trust", "alike_agents", "trust"]

LEVEL = 0.05
RULE = (
    "useful: tau lies above 0, of all rungs and of the undamaged ones (95 %), each step of damage lowers the liking,",
    "and the recommender's first items are liked more than its deep ranks and than random items (p < .05, Holm)",
)
DEEP, CHANCE = "deep ranks", "random items"  # liked less than the recommender's first items?
PARTNER, NEXT = "by the partner", "partner's next"  # the same items asked of another user; what another user took next


@dataclass(frozen=True)
class Reaction:
    """Two things that the same user was asked about."""

    share: Estimate  # of users who like the first one more; equal ones count half
    lift: Lift  # the liking of the first minus that of the second; p of a sign test over users, corrected by Holm

    @property
    def right(self) -> bool:
        """The first one is liked more, by the mean and by most users, and that is no chance."""
        difference = self.lift.difference
        return difference.value.value > 0 and difference.better > difference.worse and self.lift.p < LEVEL


@dataclass(frozen=True)
class Trust:
    """One simulated user on a ladder, all seeds together."""

    agent: str
    shortcut: bool  # it is one of the trivial agents of the audit
    by: str  # what its liking is: the "probability" of Yes, or the share of "yes" where it tells none
    invalid: float  # share of replies that could not be read, which count as No
    ordered: Ordered
    steps: dict[str, Reaction]  # each step of damage against the next one
    reactions: dict[str, Reaction]  # the first items against DEEP, CHANCE, PARTNER; the own next one against NEXT
    changed: Estimate  # share of answers about the own slate that change if the partner is asked
    seeds_alike: Agreement | None  # answers with different seeds; None = one seed
    useful: bool  # by RULE
    objections: tuple[str, ...]  # why not


@dataclass(frozen=True)
class Alike:
    """How alike two simulated users answer: with one agent and two prompts, what the prompt does."""

    one: str
    other: str
    agreement: Agreement


def trust(
    questions: FidelityQuestions, answers: Mapping[str, Sequence[np.ndarray]], shortcuts: Sequence[str]
) -> tuple[list[Rung], list[Trust], str | None]:
    """The rungs by truth, a row for each agent, the highest tau first, and the best shortcut, None = none has a tau.

    ``answers``: by agent ANSWER (N,), one per seed, in the order of the questions.
    """
    places = {name: questions.places(slate) for name, slate in questions.ladder.slates.items()}  # (U, K) each
    tells = {name: not any(np.isnan(part["probability"]).any() for part in found) for name, found in answers.items()}
    like = {name: _mean(found, "probability" if tells[name] else "yes") for name, found in answers.items()}
    liking = {name: np.stack([own[at].mean(axis=1) for at in places.values()]) for name, own in like.items()}
    some = {
        name: np.stack([np.mean([part["yes"][at].any(axis=1) for part in found], axis=0) for at in places.values()])
        for name, found in answers.items()
    }
    rungs, ordered, best = order_rungs(questions.ladder, liking, some, shortcuts)
    rows = []
    for name, found in answers.items():
        by_rung = dict(zip(places, liking[name], strict=True))
        steps = _reactions(
            {f"{one} > {other}": (by_rung[one], by_rung[other]) for one, other in pairwise(questions.ladder.steps)}
        )
        reactions = _reactions(_pairs(questions, like[name], by_rung))
        objections = _objections(ordered[name], steps, reactions)
        rows.append(
            Trust(
                agent=name,
                shortcut=name in shortcuts,
                by="probability" if tells[name] else "yes",
                invalid=float(1 - np.mean([part["valid"] for part in found])),
                ordered=ordered[name],
                steps=steps,
                reactions=reactions,
                changed=_changed(questions, found),
                seeds_alike=_seeds_alike(found),
                useful=not objections,
                objections=objections,
            )
        )
    rows.sort(key=lambda row: np.nan_to_num(row.ordered.tau[TAU].value, nan=-2), reverse=True)
    return rungs, rows, best


def alike_agents(answers: Mapping[str, Sequence[np.ndarray]]) -> list[Alike]:
    """The agreement of every two agents, over all seeds."""
    said = {name: np.concatenate([part["yes"] for part in found]) for name, found in answers.items()}
    return [Alike(one, other, alike(said[one], said[other])) for one, other in combinations(said, 2)]


def _mean(found: Sequence[np.ndarray], column: str) -> np.ndarray:
    """The mean of a column of the answers over the seeds, float (N,)."""
    return np.mean([part[column].astype(float) for part in found], axis=0)


def _pairs(
    questions: FidelityQuestions, like: np.ndarray, by_rung: Mapping[str, np.ndarray]
) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """What is set against what, float (users,) each; without the users whose partner's next item says nothing."""
    ladder = questions.ladder
    first = by_rung[ladder.own]
    known = questions.next_of_partner[:, 0] > 0
    own, other = (questions.places(items)[known, 0] for items in (ladder.targets[:, None], questions.next_of_partner))
    return {
        DEEP: (first, like[questions.places(ladder.worse)].mean(axis=1)),
        CHANCE: (first, by_rung[ladder.steps[-1]]),
        PARTNER: (first, like[questions.by_partner].mean(axis=1)),
        NEXT: (like[own], like[other]),
    }


def _reactions(pairs: Mapping[str, tuple[np.ndarray, np.ndarray]]) -> dict[str, Reaction]:
    """The paired comparisons, their p corrected together."""
    rounded = {name: (np.round(one, 9), np.round(other, 9)) for name, (one, other) in pairs.items()}
    found = {name: compare_users("liking", one, other) for name, (one, other) in rounded.items()}
    corrected = holm([difference.p for difference in found.values()])
    shares = [mean_of_users([(1 + np.sign(one - other)) / 2])[0] for one, other in rounded.values()]
    return {
        name: Reaction(share, Lift(found[name], p)) for name, share, p in zip(found, shares, corrected, strict=True)
    }


def _changed(questions: FidelityQuestions, found: Sequence[np.ndarray]) -> Estimate:
    """The share of answers about the own slate that another user would not give."""
    at = questions.places(questions.ladder.slates[questions.ladder.own])
    changed = np.mean([(part["yes"][at] != part["yes"][questions.by_partner]).mean(axis=1) for part in found], axis=0)
    return mean_of_users([changed])[0]


def _seeds_alike(found: Sequence[np.ndarray]) -> Agreement | None:
    """The agreement of every two seeds."""
    two = list(combinations([part["yes"] for part in found], 2))
    return alike(*(np.concatenate(column) for column in zip(*two, strict=True))) if two else None


def _objections(ordered: Ordered, steps: Mapping[str, Reaction], reactions: Mapping[str, Reaction]) -> tuple[str, ...]:
    """What speaks against trusting a simulated user, by RULE."""
    unsure = [kind for kind in (TAU, UNDAMAGED) if not ordered.tau[kind].low > 0]
    wrong = sum(not step.right for step in steps.values())
    return (
        *(f"tau ({kind}) not above 0" for kind in unsure),
        *([f"{wrong} of {len(steps)} steps of damage not seen"] if wrong else []),
        *(f"{name} not liked less" for name in (DEEP, CHANCE) if not reactions[name].right),
    )
