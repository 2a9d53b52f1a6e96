"""RecBole's models, trained again from their own weights with interactions added."""

import numpy as np
import pytest

from vrsim.augmentation.retraining import Retraining, retrain
from vrsim.building import BuildConfig, build
from vrsim.interactions import Interactions
from vrsim.recommender.additions import Additions
from vrsim.tiny import tiny_data
from vrsim.world import World

pytest.importorskip("torch", reason="the extra vrsim[recbole] is not installed")
pytest.importorskip("recbole", reason="the extra vrsim[recbole] is not installed")

from vrsim.recommender.recbole_models import RecBoleRecommender
from vrsim.recommender.recbole_settings import RecBoleConfig

DATA = tiny_data()
USERS = np.arange(0, 200, 7)
STILL = Retraining(epochs=1, learning_rate=1e-12)  # the weights do not move
FULL = Retraining(epochs=5, learning_rate=0.002)  # enough to learn what is added

pytestmark = pytest.mark.usefixtures("home")
# Nobody but the last user starts with these: RecBole, which numbers items as they appear, must not count them anew.
EARLY = Additions(np.repeat(np.arange(3), 4), np.array([160, 151, 140, 133] * 3))


@pytest.fixture(scope="module")
def make(tmp_path_factory):
    """A world of the tiny data with a RecBole model; each is made once."""
    made = {}

    def make(model: str) -> World:
        if model not in made:
            folder = tmp_path_factory.mktemp("worlds") / model
            made[model] = build(folder, DATA, BuildConfig(recommender=model, options={"epochs": 3}))
        return made[model]

    return make


def scores(recommender, world: World) -> np.ndarray:
    t = world.interactions.lengths[USERS] - 1
    return recommender.score(USERS, world.interactions.histories(USERS, t, 50))[:, 1:]


@pytest.mark.parametrize("model", ["SASRec", "BPR"])
def test_it_starts_with_the_weights_of_the_world(make, model):
    world = make(model)
    np.testing.assert_allclose(scores(retrain(world, EARLY, STILL), world), scores(world.recommender, world), atol=1e-5)
    cold = retrain(world, EARLY, Retraining(warm=False, epochs=1, learning_rate=1e-12))
    assert np.abs(scores(cold, world) - scores(world.recommender, world)).max() > 0.01


@pytest.mark.parametrize("model", ["SASRec", "BPR", "EASE", "ItemKNN"])
def test_what_is_added_is_learned(make, model):
    world = make(model)
    item = 160
    fans = np.array([user for user in USERS if item not in world.interactions.of(user)])
    added = Additions(fans, np.full(len(fans), item))
    without, with_it = (scores(retrain(world, more, FULL), world) for more in (Additions.none(), added))
    places = [(-found).argsort(axis=1).argsort(axis=1)[np.isin(USERS, fans), item - 1] for found in (without, with_it)]
    assert np.median(places[1]) < np.median(places[0])


def test_the_interaction_before_the_held_out_one_is_learned_and_the_held_out_one_is_not(make):
    world = make("Pop")
    again = retrain(world, EARLY, Retraining())
    known = DATA.interactions.items[DATA.interactions.training_rows(1)]
    counts = np.bincount(np.concatenate([known, EARLY.items]), minlength=161)[1:]
    np.testing.assert_allclose(scores(again, world)[0], counts / counts.max(), atol=1e-6)


@pytest.mark.parametrize("model", ["SASRec", "BPR"])
def test_held_out_items_leave_no_trace(make, model):
    world = make(model)
    items = DATA.interactions.items.copy()
    last = DATA.interactions.offsets[151:] - 1  # of users so late that RecBole numbers items as before
    items[last] = np.roll(items[last], 1)
    changed = Interactions(DATA.interactions.offsets, items)
    config = RecBoleConfig(model, {"epochs": 1, "eval_step": 0}, 0)
    one, other = (
        world.recommender.retrained(config, interactions, DATA.catalog, 1, EARLY)
        for interactions in (DATA.interactions, changed)
    )
    np.testing.assert_allclose(scores(one, world), scores(other, world), atol=1e-6)


def test_a_training_is_kept_and_depends_on_everything_that_it_is_given(make, monkeypatch):
    world = make("SASRec")
    first = retrain(world, EARLY, Retraining(epochs=1), seed=5)
    assert first.report["epochs"] == 1
    others = [
        retrain(world, EARLY, Retraining(epochs=1), seed=6),
        retrain(world, Additions.none(), Retraining(epochs=1), seed=5),
        retrain(world, EARLY, Retraining(epochs=1, learning_rate=0.01), seed=5),
        retrain(world, EARLY, Retraining(epochs=1, warm=False), seed=5),
    ]
    found = [scores(one, world) for one in (first, *others)]
    assert len({array.tobytes() for array in found}) == 5
    monkeypatch.setattr(RecBoleRecommender, "retrained", None)  # a call would fail
    again = retrain(world, EARLY, Retraining(epochs=1), seed=5)
    np.testing.assert_allclose(scores(again, world), found[0], atol=1e-6)
    assert again.report == first.report


def test_it_is_short_and_gentle_from_the_weights_and_as_before_from_scratch(make):
    world = make("SASRec")
    before, warm, cold = (
        world.recommender,
        retrain(world, EARLY, Retraining()),
        retrain(world, EARLY, Retraining(False)),
    )
    assert (warm.report["epochs"], cold.report["epochs"]) == (2, 3)
    assert before.learning_rate == cold.learning_rate == 4 * warm.learning_rate == 0.002
    assert warm.config.options["eval_step"] == cold.config.options["eval_step"] == 0  # the last epoch is kept


def test_the_order_of_interactions_is_that_of_the_user_then_of_the_rows(make):
    """A model of the order alone: after what came last, SASRec expects what was added first."""
    world = make("SASRec")
    users = np.repeat(np.arange(200), 2)
    items = np.tile([31, 32], 200)
    again = retrain(world, Additions(users, items), FULL)
    places = (-scores(again, world)).argsort(axis=1).argsort(axis=1)
    assert np.median(places[:, 30]) < np.median(places[:, 31])
