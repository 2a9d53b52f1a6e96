"""Do simulated users order the rungs of a ladder as the truth does? Kendall's tau, with everybody drawn together."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from vrsim.estimates import Estimate, over_users
from vrsim.fidelity.ladder import ORACLE, Ladder

__all__ = ["TAU", "UNDAMAGED", "Ordered", "Rung", "order_rungs", "tau_b"]

TAU = "all"  # the tau that simulated users are sorted by: of all rungs, with the hit rate
UNDAMAGED = "undamaged"  # the tau of the rungs that somebody could really use


@dataclass(frozen=True)
class Rung:
    """One recommender: how often its slate holds what the user really took next."""

    name: str
    hits: Estimate  # HR at the size of the slate
    ndcg: Estimate


@dataclass(frozen=True)
class Ordered:
    """How one simulated user orders the rungs."""

    liking: dict[str, Estimate]  # by rung: of the items of the slate
    some: dict[str, Estimate]  # by rung: share of users who say Yes to at least one item
    tau: dict[str, Estimate]  # with the truth: "all", "no oracle", "undamaged"; "by NDCG": all rungs, the other truth
    over_shortcut: dict[str, Estimate]  # tau minus that of the best shortcut; {} for itself, or if there is none


def tau_b(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Kendall's tau-b of two lists of numbers (..., R), NaN where all of one are equal (Kendall, Biometrika 1945).

    As scipy.stats.kendalltau, which takes one pair of lists at a time, where a bootstrap has a thousand.
    """
    i, j = np.triu_indices(one.shape[-1], 1)
    first, second = (np.sign(x[..., i] - x[..., j]) for x in (one, other))
    untied = (first**2).sum(-1) * (second**2).sum(-1)
    product = (first * second).sum(-1)
    return np.divide(product, np.sqrt(untied), out=np.full(product.shape, np.nan), where=untied > 0)


def order_rungs(
    ladder: Ladder, liking: Mapping[str, np.ndarray], some: Mapping[str, np.ndarray], shortcuts: Sequence[str]
) -> tuple[list[Rung], dict[str, Ordered], str | None]:
    """The rungs by truth, how each agent orders them, and the best of the ``shortcuts``, None = none has a tau.

    ``liking`` and ``some``: by agent float (R, U), in the order of ladder.slates; see Ordered. One bootstrap over users
    serves every number, so that the truth of a resample is that of the same users.
    """
    names, agents, users = list(ladder.slates), list(liking), len(ladder.users)
    blocks = np.stack([*_truth(ladder), *liking.values(), *some.values()])  # (2 + 2 agents, R, U)
    kinds = _kinds(ladder)
    everybody = _taus(np.ones((1, users)), blocks, kinds)[1][:, 0, 0]  # TAU of each agent
    able = {name: tau for name, tau in zip(agents, everybody, strict=True) if name in shortcuts and not np.isnan(tau)}
    best = max(able, key=lambda name: able[name]) if able else None

    def statistic(drawn: np.ndarray, axis: int = -1) -> np.ndarray:
        times = np.stack([np.bincount(row, minlength=users) for row in drawn.reshape(-1, users).astype(np.int64)])
        means, taus = _taus(times, blocks, kinds)
        over = taus - taus[agents.index(best)] if best else taus
        numbers = [part.reshape(-1, len(times)) for part in (means, taus, over)]
        return np.concatenate(numbers).reshape(-1, *drawn.shape[:-1])

    estimates = np.array(over_users([np.arange(users)], statistic, seed=0), dtype=object)
    means, taus = np.split(estimates, [blocks.shape[0] * blocks.shape[1]])
    hits, ndcg, *told = means.reshape(len(blocks), -1)
    tau, over = taus.reshape(2, len(agents), len(kinds))
    ordered = {
        name: Ordered(
            dict(zip(names, told[place], strict=True)),
            dict(zip(names, told[place + len(agents)], strict=True)),
            dict(zip(kinds, tau[place], strict=True)),
            dict(zip(kinds, over[place], strict=True)) if best not in (None, name) else {},
        )
        for place, name in enumerate(agents)
    }
    return [Rung(*row) for row in zip(names, hits, ndcg, strict=True)], ordered, best


def _truth(ladder: Ladder) -> tuple[np.ndarray, np.ndarray]:
    """Whether each slate holds what the user took next, and its gain 1 / log2(1 + place), float (R, U) each."""
    there = np.stack([slate == ladder.targets[:, None] for slate in ladder.slates.values()])  # (R, U, K)
    return there.any(axis=2).astype(float), (there / np.log2(2 + np.arange(there.shape[2]))).sum(axis=2)


def _kinds(ladder: Ladder) -> dict[str, tuple[int, list[int]]]:
    """The taus by name: the truth, 0 = hits, 1 = gain, and the rungs."""
    names = list(ladder.slates)
    every = list(range(len(names)))
    return {
        TAU: (0, every),
        "no oracle": (0, [place for place in every if names[place] != ORACLE]),
        UNDAMAGED: (0, [place for place in every if names[place] in ladder.undamaged]),
        "by NDCG": (1, every),
    }


def _taus(
    times: np.ndarray, blocks: np.ndarray, kinds: Mapping[str, tuple[int, list[int]]]
) -> tuple[np.ndarray, np.ndarray]:
    """The means of ``blocks`` over users who count ``times`` (draws, U), and the taus of each agent.

    Float (blocks, R, draws) and (agents, kinds, draws).
    """
    means = np.round(blocks @ times.T / times.sum(axis=1), 12)  # so that equal slates have equal means
    agents = (len(blocks) - 2) // 2
    taus = [
        tau_b(means[2 + agent, rungs].T, means[truth, rungs].T)
        for agent in range(agents)
        for truth, rungs in kinds.values()
    ]
    return means, np.stack(taus).reshape(agents, len(kinds), -1)
