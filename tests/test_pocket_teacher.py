"""What the pocket model is told of the recommender: its probabilities, and those of no moment that is held out."""

from types import SimpleNamespace

import numpy as np
import pytest
from scipy.special import log_softmax

from vrsim.models import pocket_teacher
from vrsim.models.pocket_teacher import Teacher, ask_recommender
from vrsim.progress import silent
from vrsim.seeding import generator


class Factors:
    """A recommender with as many factors as asked for, on a scale of its own."""

    def __init__(self, world, factors: int, scale: float = 1.0, shift: float = 0.0):
        rng = np.random.default_rng(3)
        self._titles = rng.normal(size=(world.n_items + 1, factors))
        self._scale, self._shift = scale, shift
        self.asked = set()

    def score(self, users, histories):
        self.asked |= {(int(user), int((row > 0).sum())) for user, row in zip(users, histories, strict=True)}
        found = self._titles[histories].mean(axis=1) @ self._titles.T
        return (self._scale * found + self._shift).astype(np.float32)


def world_with(tiny, recommender, kind: str = "trained") -> SimpleNamespace:
    facts = {name: getattr(tiny, name) for name in ("interactions", "n_items", "holdout")}
    return SimpleNamespace(**facts, manifest={"recommender": {"kind": kind}}, recommender=recommender)


def ask(world, size: int = 16) -> Teacher:
    return ask_recommender(world, size, generator(0, "pocket"), silent)


def taught(teacher: Teacher, rows: np.ndarray) -> np.ndarray:
    """Log probabilities of the titles in place of interactions, float (B, items)."""
    return log_softmax(teacher.states[teacher.moments[rows]] @ teacher.titles[1:].T, axis=1)


def asked_rows(tiny, teacher: Teacher) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The interactions that it was asked about, and their users and times."""
    rows = np.flatnonzero(teacher.moments >= 0)
    owners = np.searchsorted(tiny.interactions.offsets, rows, side="right") - 1
    return rows, owners, rows - tiny.interactions.offsets[owners]


def test_its_numbers_give_back_the_scores_of_a_factor_model(tiny):
    own = Factors(tiny, 8)
    teacher = ask(world_with(tiny, own))
    rows, owners, t = asked_rows(tiny, teacher)
    scores = own.score(owners, tiny.interactions.histories(owners, t, 50))[:, 1:]
    found = taught(teacher, rows)
    ratio = np.polyfit(
        (scores - scores.mean(1, keepdims=True)).ravel(), found.ravel() - found.mean(1).repeat(tiny.n_items), 1
    )
    expected = log_softmax(ratio[0] * scores, axis=1)
    np.testing.assert_allclose(found, expected, atol=2e-3)
    np.testing.assert_allclose((teacher.states**2).mean(axis=0)[:9], 1, atol=0.2)


def test_the_scale_of_the_scores_does_not_matter(tiny):
    one, other = (ask(world_with(tiny, Factors(tiny, 8, *changed))) for changed in ((1, 0), (1000, 5)))
    rows, _, _ = asked_rows(tiny, one)
    np.testing.assert_array_equal(one.moments, other.moments)
    np.testing.assert_allclose(taught(one, rows), taught(other, rows), atol=1e-2)


def test_it_is_as_sure_as_it_is_right(tiny):
    """The temperature is the one that predicts best what was taken."""
    teacher = ask(tiny)
    rows, _, _ = asked_rows(tiny, teacher)
    taken = tiny.interactions.items[rows] - 1
    scores = teacher.states[teacher.moments[rows]] @ teacher.titles[1:].T

    def surprise(factor):
        return -log_softmax(factor * scores, axis=1)[np.arange(len(rows)), taken].mean()

    assert surprise(1.0) < min(surprise(0.5), surprise(2.0)) - 0.01


def test_no_moment_that_is_held_out_is_asked_about(tiny):
    own = Factors(tiny, 4)
    teacher = ask(world_with(tiny, own))
    _, owners, t = asked_rows(tiny, teacher)
    assert (t >= 1).all()
    assert (t < tiny.interactions.lengths[owners] - tiny.holdout).all()
    assert own.asked <= set(zip(owners.tolist(), np.minimum(t, 50).tolist(), strict=True))


def test_items_that_cannot_be_scored_count_as_the_mean(tiny):
    class Partial(Factors):
        def score(self, users, histories):
            found = super().score(users, histories)
            found[:, [0, 3]] = -np.inf
            return found

    teacher = ask(world_with(tiny, Partial(tiny, 4)))
    assert np.isfinite(teacher.states).all()
    np.testing.assert_allclose((teacher.states @ teacher.titles[3]), 0, atol=1e-3)


def test_many_moments_are_a_sample(tiny, monkeypatch):
    monkeypatch.setattr(pocket_teacher, "MOMENTS", 50)
    teacher = ask(world_with(tiny, Factors(tiny, 4)))
    assert len(teacher.states) == (teacher.moments >= 0).sum() == 50


def test_a_recommender_that_knows_the_held_out_positions_alone_teaches_nothing(tiny):
    assert ask(world_with(tiny, None, kind="candidates")) is None


def test_the_losses_are_cross_entropy_and_divergence(tiny):
    torch = pytest.importorskip("torch", reason="the pocket model needs torch")
    pytest.importorskip("transformers", reason="the pocket model needs transformers")
    from vrsim.models.pocket_training import _Losses

    rng = np.random.default_rng(0)
    teacher = Teacher(np.array([0, 1]), rng.normal(size=(2, 3)).astype("f4"), rng.normal(size=(5, 3)).astype("f4"))
    tokens, moments, targets = np.array([0, 7, 2, 9, 4]), np.array([1, -1, 0]), np.array([2, 9, 1])
    logits = rng.normal(size=(3, 11)).astype("f4")
    taken, found = _Losses(tokens, teacher)(*map(torch.from_numpy, (logits, targets, moments)))
    np.testing.assert_allclose(taken, -log_softmax(logits, axis=1)[np.arange(3), targets].mean(), rtol=1e-5)
    right = log_softmax(teacher.states[[1, 0]] @ teacher.titles[1:].T, axis=1)
    said = log_softmax(logits[[0, 2]][:, tokens[1:]], axis=1)
    np.testing.assert_allclose(found, (np.exp(right) * (right - said)).sum(axis=1).mean(), rtol=1e-5)
    _, nothing = _Losses(tokens, None)(*map(torch.from_numpy, (logits, targets, moments)))
    assert float(nothing) == 0
