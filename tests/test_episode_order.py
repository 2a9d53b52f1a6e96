"""The place of an item in its slate, and of a question among the others, says nothing about the answer."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import chi2, chisquare

from vrsim.building import BuildConfig, make_world
from vrsim.episodes import make_episodes
from vrsim.protocols import PROTOCOLS
from vrsim.tiny import tiny_data
from vrsim.world import World

UNLIKELY = 1e-4  # a p-value below it is no accident; the seeds are fixed, so it cannot come and go

every_selection = pytest.mark.parametrize("protocol", sorted(n for n, p in PROTOCOLS.items() if p.selection))
every_judgment = pytest.mark.parametrize(
    "protocol", sorted(n for n, p in PROTOCOLS.items() if p.judgment not in ("", "rated"))
)


@pytest.fixture(scope="module")
def fans():
    """The tiny world in which everybody likes everything, so that Agent4Rec finds users to ask."""
    data = tiny_data()
    liked = replace(data.interactions, ratings=np.full(len(data.interactions), 5, np.float32))
    return make_world("fans", replace(data, interactions=liked), BuildConfig("transitions", holdout=3))[0]


@pytest.fixture
def world(protocol, fans):
    """A world in which the protocol finds users to ask."""
    return fans if protocol.startswith("agent4rec") else World.load("tiny")


@every_selection
@pytest.mark.parametrize("m", [1, 3, 4])
def test_the_target_stands_at_every_place_equally_often(protocol, world, m):
    answers = [make_episodes(world, protocol, "selection", m, seed=seed).answers for seed in range(100)]
    assert chisquare(np.bincount(np.concatenate(answers), minlength=m + 1)).pvalue > UNLIKELY


@every_selection
def test_the_place_in_the_slate_says_nothing_about_the_popularity_of_a_negative(protocol, world):
    first = []
    for seed in range(100):
        episodes = make_episodes(world, protocol, "selection", 3, seed=seed)
        popularity = world.popularity[episodes.slates] + episodes.slates / 1000  # no two items are equal
        popularity[np.arange(len(episodes)), episodes.answers] = -1
        first.append(popularity.argmax(axis=1))
    assert chisquare(np.bincount(np.concatenate(first), minlength=4)).pvalue > UNLIKELY


@every_judgment
def test_yes_cannot_be_told_from_the_row_number(protocol, world):
    seeds = 200
    answers = [make_episodes(world, protocol, "judgment", seed=seed).answers for seed in range(seeds)]
    rows = min(map(len, answers))  # a matched protocol asks more or less, by chance
    yes = np.stack([part[:rows] for part in answers])  # (seeds, rows)
    share = 1 / (1 + PROTOCOLS[protocol].per_positive)
    z = (yes.sum(axis=0) - seeds * share) / np.sqrt(seeds * share * (1 - share))
    assert chi2.sf((z**2).sum(), rows - 1) > UNLIKELY  # each row is Yes as often as any other
    even, odd = yes[:, : rows // 2 * 2 : 2].sum(), yes[:, 1 : rows // 2 * 2 : 2].sum()
    assert chisquare([even, odd]).pvalue > UNLIKELY
    # Wald and Wolfowitz: the number of runs in a random order of so many Yes and so many No
    excess, variance = 0.0, 0.0
    for part in answers:
        expected = 1 + 2 * part.sum() * (len(part) - part.sum()) / len(part)
        excess += 1 + (part[1:] != part[:-1]).sum() - expected
        variance += (expected - 1) * (expected - 2) / (len(part) - 1)
    assert abs(excess) < 4 * np.sqrt(variance)


@every_judgment
def test_the_judgments_of_a_user_stand_apart(protocol, world):
    neighbours, by_chance, first_yes = 0, 0.0, []
    for seed in range(100):
        episodes = make_episodes(world, protocol, "judgment", seed=seed)
        users = episodes.positions[:, 0]
        counts = np.bincount(users)
        neighbours += (users[1:] == users[:-1]).sum()
        by_chance += (counts * (counts - 1)).sum() / len(users)
        first_yes.append(episodes.answers[np.unique(users, return_index=True)[1]].mean())
    assert neighbours < 1.5 * by_chance
    assert abs(np.mean(first_yes) - 1 / (1 + PROTOCOLS[protocol].per_positive)) < 0.03
