"""vrsim.agents.calibration: what probabilities are worth, by hand, planted, and in the us-agent."""

import numpy as np
import pytest
from scipy.special import expit, log_softmax, logit

import vrsim
from tests.scripted_model import ScriptedModel
from vrsim.agents.calibration import Calibration, fit_calibration
from vrsim.agents.user import UserAgent
from vrsim.errors import OptionError
from vrsim.models.model import Completion
from vrsim.text.writer import Writer

SHARES = np.array([[0.1, 0.2, 0.7], [0.5, 0.25, 0.25]])


def test_a_slope_is_a_power_and_one_changes_nothing():
    np.testing.assert_allclose(Calibration()(SHARES), SHARES)
    squared = SHARES**2
    np.testing.assert_allclose(Calibration(2.0)(SHARES), squared / squared.sum(axis=1, keepdims=True))
    assert Calibration(-1.0)(SHARES).argmax(axis=1).tolist() == [0, 1]


def test_yes_alone_and_yes_beside_no_are_the_same_judgment():
    yes = np.array([[0.2], [0.9], [1.0], [0.0]])
    alone = Calibration(-0.5, 0.3)(yes)
    np.testing.assert_allclose(alone[:2], expit(-0.5 * logit(yes[:2]) + 0.3))
    np.testing.assert_allclose(Calibration(-0.5, 0.3)(np.hstack([1 - yes, yes]))[:, 1:], alone)


def test_a_probability_of_zero_can_be_turned_round():
    np.testing.assert_allclose(Calibration(-1.0)(np.array([[0.0, 1.0, 0.0]])), [[0.5, 0.0, 0.5]], atol=1e-9)
    np.testing.assert_allclose(Calibration(-1.0)(np.array([[0.0], [1.0]])), [[1.0], [0.0]], atol=1e-9)


@pytest.mark.parametrize("slope", [-0.8, 0.5, 3.0])
def test_a_planted_slope_is_found(slope):
    rng = np.random.default_rng(0)
    shares = rng.dirichlet(np.ones(4), 20_000)
    chances = np.exp(log_softmax(slope * np.log(shares), axis=1))
    answers = (rng.random((len(shares), 1)) > chances.cumsum(axis=1)).sum(axis=1).clip(max=3)
    assert fit_calibration(shares, answers).slope == pytest.approx(slope, abs=0.05 * max(1, abs(slope)))


def test_a_planted_line_is_found_for_judgments():
    rng = np.random.default_rng(0)
    yes = rng.uniform(0.05, 0.95, (20_000, 1))
    answers = (rng.random(len(yes)) < expit(-0.7 * logit(yes[:, 0]) + 0.4)).astype(np.int64)
    found = fit_calibration(yes, answers)
    assert (found.slope, found.intercept) == pytest.approx((-0.7, 0.4), abs=0.05)


def test_a_planted_rival_is_found():
    rng = np.random.default_rng(0)
    yes, rivals = rng.uniform(0.05, 0.95, (20_000, 1)), rng.normal(-4, 1, 20_000)
    answers = (rng.random(len(yes)) < expit(0.9 * logit(yes[:, 0]) - 0.6 * rivals - 2)).astype(np.int64)
    found = fit_calibration(yes, answers, rivals)
    assert (found.slope, found.rival, found.intercept) == pytest.approx((0.9, -0.6, -2), abs=0.15)
    np.testing.assert_allclose(
        found(yes[:3], rivals[:3])[:, 0],
        expit(found.slope * logit(yes[:3, 0]) + found.rival * rivals[:3] + found.intercept),
    )


@pytest.mark.parametrize("answers", [[1, 1], []])
def test_nothing_is_learned_where_there_is_nothing_to_learn(answers):
    assert fit_calibration(np.full((len(answers), 1), 0.3), np.array(answers, np.int64)) == Calibration()


def test_probabilities_that_are_all_alike_leave_the_slope_alone():
    answers = (np.arange(100) % 4 == 0).astype(np.int64)
    for chance in (0.3, 0.9):
        found = fit_calibration(np.full((100, 1), chance), answers)
        assert found.slope == pytest.approx(1, abs=1e-3)
        np.testing.assert_allclose(found(np.array([[chance]])), 0.25, atol=1e-3)
    assert fit_calibration(np.full((100, 3), 1 / 3), np.arange(100) % 3).slope == pytest.approx(1, abs=1e-3)


def test_a_few_questions_move_it_little():
    assert abs(fit_calibration(np.array([[0.6, 0.4], [0.4, 0.6]]), np.array([1, 0])).slope) < 2
    assert 0 < fit_calibration(np.linspace(0.1, 0.9, 10)[:, None], np.repeat([0, 1], 5)).slope < 6


def test_what_is_hardly_probable_keeps_its_order():
    assert Calibration(-1.0)(np.array([[1, 1e-13, 1e-20]])).argmax() == 2


# In the us-agent


def wrong_way_round(world):
    """A model that likes what few people took."""
    popularity = {world.catalog.label(item): world.popularity[item] for item in range(1, world.n_items + 1)}

    def weigh(words, label):
        [line] = [line for line in words.splitlines() if line.startswith(f"{label}. ")]
        return 1.0 / (1 + popularity[line.split('"')[1]])

    return ScriptedModel(str, weigh=weigh)


def test_a_model_that_is_sure_of_the_wrong_answer_is_turned_round(tiny):
    """Popular films are taken more often, so that the least favourite of this model is the better choice."""
    made = vrsim.make_episodes(tiny, "uniform", "selection", 3)
    model = wrong_way_round(tiny)
    plain, calibrated = (
        vrsim.play(UserAgent(model, answer="probability", cot=False, calibrate=n), made) for n in (0, 200)
    )
    assert calibrated.correct.mean() > plain.correct.mean()
    assert (calibrated.decisions.action == plain.decisions.probability.argmin(axis=1)).all()
    assert calibrated.decisions.valid.all()
    np.testing.assert_allclose(calibrated.decisions.probability.sum(axis=1), 1)
    for row, text in enumerate(calibrated.decisions.text):  # the label that is said is the one that was chosen
        prompt, slate = calibrated.decisions.reading.prompt[row], made.slates[row]
        title = tiny.catalog.label(slate[calibrated.decisions.action[row]])
        assert f'{text.removeprefix("<answer>")[0]}. "{title}"' in prompt


def test_a_title_is_judged_beside_what_else_the_model_finds_probable(tiny):
    """A model that says of some users that everything is probable, of others that nothing is."""
    popularity = {tiny.catalog.label(item): tiny.popularity[item] for item in range(1, tiny.n_items + 1)}

    def weigh(words, option):
        return (1 + popularity[option.strip().strip('"')]) * 10.0 ** -(6 + len(words) % 7)

    made, right = vrsim.make_episodes(tiny, "uniform", "judgment"), {}
    for completes in ("", "titles"):
        model = ScriptedModel(str, weigh=weigh)
        model.completes = completes
        played = vrsim.play(UserAgent(model, prompt="titles", calibrate=200), made)
        right[completes] = played.correct.mean()
        assert set(played.decisions.text) <= {"Yes", "No"}
    assert right["titles"] > right[""] + 0.03


TITLES = [f" title {number}" for number in range(20)]
BY_RANK = tuple(-float(rank) for rank in range(1, 21))  # of those titles: the first is the most probable one


class Plain(Writer):
    """Items are called by their number, and two of them alike."""

    def __init__(self):
        pass

    def item(self, item):
        return f"title {item % 20}"

    def seen(self, observations):
        return observations


@pytest.mark.parametrize(
    ("history", "judged", "own", "rival"),
    [
        ((0, 0), 15, -16.0, -10.0),  # it comes after ten others
        ((0, 0), 3, -4.0, -10.0),  # ... or is one of the ten
        ((0, 1), 15, -16.0, -11.0),  # what is known is left out
        ((1, 21), 15, -16.0, -11.0),  # ... once, where two items have one title
        ((0, 22), 15, -16.0, -11.0),  # ... under either
        (tuple(range(15)), 15, -16.0, -20.0),  # fewer than ten are left: the last of them
        (tuple(range(20)), 15, -16.0, -16.0),  # or itself
    ],
)
def test_the_rival_is_the_tenth_of_what_is_not_known(history, judged, own, rival):
    agent = UserAgent(ScriptedModel(str))
    agent._writer, agent._offered = Plain(), {title: place for place, title in enumerate(TITLES)}
    seen = {"history": np.array([history] * 2), "slate": np.array([[judged]] * 2)}
    told = [Completion("", logprobs=(own, *BY_RANK)), Completion("", logprobs=None)]
    assert agent._rivals(told, seen)[0] == rival
    assert np.isfinite(agent._rivals(told, seen)).all()


def test_only_training_users_are_asked_for_it_and_no_more_than_said(tiny):
    script = ScriptedModel(str)
    made = vrsim.make_episodes(tiny, "uniform", "judgment")
    agent = UserAgent(script, answer="probability", cot=False, calibrate=7)
    agent.fit(tiny, made.training())
    assert len(script.asked) == 7
    before = agent._calibration
    agent.reset(5)
    agent.fit(tiny, made.training())
    assert (agent._calibration, agent._seed) == (before, 5)


def test_words_have_no_probabilities_to_calibrate(tiny):
    with pytest.raises(OptionError, match="set answer=probability"):
        UserAgent(ScriptedModel(str), calibrate=5).fit(
            tiny, vrsim.make_episodes(tiny, "uniform", "judgment").training()
        )
    with pytest.raises(OptionError, match="calibrate must be an integer from 0"):
        UserAgent(ScriptedModel(str), calibrate=-1)
