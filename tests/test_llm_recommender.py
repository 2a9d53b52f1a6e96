"""The recommender that is a language model, on a scripted one, and what language user agents say who leave."""

import numpy as np
import pytest

from tests.scripted_model import ScriptedModel, digest, fitted, read
from vrsim.agents.language import WISH, WORDS
from vrsim.agents.recommender import RECOMMEND, LanguageRecommender, read_slate
from vrsim.agents.zero_shot import ZeroShot
from vrsim.baselines.recommending.exploration import EpsilonGreedy
from vrsim.episodes import make_episodes
from vrsim.errors import OptionError
from vrsim.models.ledger import Ledger
from vrsim.registry import make_policy
from vrsim.session import FEATURES, SessionConfig
from vrsim.session.loop import play_sessions
from vrsim.session.policy import SessionSetting
from vrsim.simulated_user import SimulatedUser
from vrsim.testing_policies import PolicyContract
from vrsim.text.replies import labels_of
from vrsim.world import World

LABELS = labels_of("selection", 6)
TINY = World.load("tiny")


def chosen(words: str) -> str:
    """Labels that were offered, in an order that depends on every character of the prompt."""
    offered = [line[0] for line in words.splitlines() if line[1:2] == "." and line[:1].isupper()]
    return f"Hm. <answer>{', '.join(sorted(offered, key=lambda label: digest(label + words)))}</answer>"


@pytest.fixture(scope="module")
def setting() -> SessionSetting:
    return SessionSetting(SimulatedUser("content", TINY))


class TestLanguageRecommender(PolicyContract):
    configs = (SessionConfig(), SessionConfig(candidates=6, slate=1))  # 20 of 20 would not depend on the reply

    def make(self):
        return LanguageRecommender(ScriptedModel(chosen))


# Reading replies


@pytest.mark.parametrize(
    "text",
    [
        "<answer>C, A, F</answer>",
        "<think>A, B, D</think> <answer>C; A; F</answer>",
        "<answer>A, B, D</answer> No: <answer>C, A, F, B</answer>",
        '<answer>\n(C). "Heat"\n**A**\nF\n</answer>',
        "<answer>C, C, A, Z, F</answer>",
        '<answer>C. "Good, the Bad and the Ugly", A, F',
        "I show\nC, A, F",
    ],
)
def test_labels_are_read_in_order(text):
    assert read_slate(text, LABELS, 3) == [2, 0, 5]


@pytest.mark.parametrize(
    "text",
    ["", "<answer></answer>", "<answer>A, B</answer>", "<answer>A, A, A</answer>", "<think>A, B, C", "A film, B, C d"],
)
def test_fewer_labels_are_no_slate(text):
    assert read_slate(text, LABELS, 3) == []


def test_what_cannot_be_read_is_greedy_and_counted(setting):
    policy = LanguageRecommender(ScriptedModel(lambda words: "I do not know."))
    log = play_sessions(policy, setting, users=10)
    greedy = play_sessions(make_policy("greedy:fresh=False"), setting, users=10)
    np.testing.assert_array_equal(log.slate, greedy.slate)
    assert log.unread.all()
    assert not greedy.unread.any()
    half = LanguageRecommender(ScriptedModel(lambda words: chosen(words) if digest(words) % 2 else ""))
    log = play_sessions(half, setting, users=10)
    assert 0 < log.unread.sum() < len(log)


# What it is told


def test_it_reads_history_candidates_response_and_wish(setting):
    model = ScriptedModel(chosen)
    policy = LanguageRecommender(model)
    policy.fit(setting)
    env = setting.make_vec(1, split="test")
    seen, _ = env.reset(seed=0)
    policy.act(seen, [""])
    first = read(model.asked[-1])
    title = TINY.catalog.label
    assert first.count("\n- ") == (seen["history"] > 0).sum()
    assert "Of your last slate" not in first
    assert "shown" not in first.partition("Choose")[0]
    for label, item in zip(labels_of("selection", 20), seen["candidates"][0].tolist(), strict=True):
        assert f'\n{label}. "{title(item)}"' in first
    while not seen["response"][0, 2]:  # until the user comes back
        seen, *_ = env.step(np.array([[0, 1, 2, 3, 4]]))
    seen["features"][0, 3, FEATURES.index("shown")] = 0.2
    policy.act(seen, ['More "calm" films.</answer>'])
    second = read(model.asked[-1])
    assert f'the user did not even take "{title(int(seen["response"][0, 0]))}"' in second
    assert "The user had left and has just come back." in second
    assert "On leaving the user said: \"More 'calm' films.\u2039/answer\u203a\"" in second
    assert second.count("(shown 2 times in this visit)") == 1
    assert "Choose the 5 that" in second


def test_empty_places_are_not_offered(setting):
    model = ScriptedModel(chosen)
    policy = LanguageRecommender(model)
    policy.fit(setting)
    seen, _ = setting.make_vec(1, split="test").reset(seed=0)
    seen["candidates"][0, 5:15] = 0
    places = policy.act(seen, [""])
    assert not set(places[0]) & set(range(5, 15))
    assert "\nF. " not in read(model.asked[0])


def test_it_names_its_prompt_and_books_what_it_asks(setting):
    policy, ledger = LanguageRecommender(ScriptedModel(chosen)), Ledger()
    policy.account("llm", ledger)
    turns = len(play_sessions(policy, setting, users=3))
    assert policy.about() == {"prompts": {RECOMMEND.id: RECOMMEND.hash}}
    assert ledger.usage["llm", "scripted"].calls + ledger.usage["llm", "scripted"].reused <= turns
    assert ledger.total.calls > 0


def test_a_model_must_be_named():
    with pytest.raises(OptionError, match="model"):
        make_policy("llm")


# What users say who leave


def wishes(model: ScriptedModel, **options) -> list[str] | None:
    agent = fitted(ZeroShot(model, **options), make_episodes(TINY, "uniform", "selection"))
    episodes = make_episodes(TINY, "uniform", "selection")
    return agent.wish(episodes.observe(np.arange(4)))


def test_who_leaves_says_one_sentence_of_few_words():
    model = ScriptedModel(lambda words: f"<think>long</think> Something {digest(words) % 97} " + "calm\n " * 99)
    said = wishes(model)
    assert len(said) == len(set(said)) == 4
    assert all(words.startswith("Something ") and len(words.split()) == WORDS for words in said)
    assert all("\n" not in words for words in said)
    episodes = make_episodes(TINY, "uniform", "selection")
    for prompt, slate in zip(model.asked, episodes.slates[:4].tolist(), strict=True):
        words = read(prompt)
        assert words.startswith(WISH.system)
        assert "You are about to leave." in words
        assert all(f'- "{TINY.catalog.label(item)}"' in words for item in slate)


def test_agents_that_answer_by_probability_find_words_too():
    model = ScriptedModel(lambda words: "More songs.")
    assert wishes(model, answer="probability") == ["More songs."] * 4
    assert model.sampled[-1].max_tokens > 0


def test_models_made_for_one_prompt_have_no_words():
    model = ScriptedModel()
    model.completes = "titles"
    assert wishes(model) is None
    assert model.asked == []


def test_the_wish_reaches_the_recommender():
    genre = TINY.catalog.genres[1][0]
    model = ScriptedModel(
        lambda words: (
            f"Only {genre}." if "about to leave" in words else f"<answer>{'No' if 'Yes or No' in words else 'A'}"
        )
    )
    user = SimulatedUser("content", TINY)
    agent = fitted(ZeroShot(model), make_episodes(TINY, "uniform", "judgment"))
    user.__dict__ |= {"judge_agent": agent, "choice_agent": agent}
    log = play_sessions(make_policy("greedy"), SessionSetting(user), users=5)
    assert set(log.instruction[log.left]) == {f"Only {genre}."}
    assert not log.consumed.any()


def test_random_places_do_not_hide_what_it_said_and_cost(setting):
    policy, ledger = EpsilonGreedy(), Ledger()
    policy._of = LanguageRecommender(ScriptedModel(lambda words: "I do not know."))
    policy.account("both", ledger)
    assert play_sessions(policy, setting, users=3).unread.all()
    assert {name for name, _ in ledger.usage} == {"both"}
