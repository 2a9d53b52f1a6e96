"""Agents are found by name, from this package and from others, and refused with a helpful word."""

import sys

import numpy as np
import pytest

from vrsim import registry
from vrsim.agent import Agent, Decisions
from vrsim.baselines import AGENTS
from vrsim.baselines.constant import Constant
from vrsim.baselines.uniform import Uniform
from vrsim.episodes import make_episodes
from vrsim.errors import OptionError, UnknownNameError, VrsimError
from vrsim.loop import play
from vrsim.naming import check_options, parse_name, write_name
from vrsim.registry import agent_class, baselines, list_agents, make_agent, register_agent
from vrsim.world import World

GUEST = '''
"""An agent from another distribution."""

import numpy as np

from vrsim.agent import Agent, Decisions


class Guest(Agent):
    """Answer what it was told."""

    def __init__(self, answer: int = 0):
        self.answer = answer

    def act(self, observations):
        return Decisions(np.full(len(observations["slate"]), self.answer))


def guest():
    return Guest()
'''


class Impostor:
    """Has everything an agent has, and is none."""

    def act(self, observations):
        return Decisions(np.zeros(len(observations["slate"]), np.int64))


class Demanding(Agent):
    """Cannot be made without an option."""

    def __init__(self, model: str):
        self.model = model

    def act(self, observations):
        return Decisions(np.zeros(len(observations["slate"]), np.int64))


@pytest.fixture(autouse=True)
def clean(monkeypatch):
    monkeypatch.setattr(registry, "_registered", {})


@pytest.fixture
def guest(tmp_path, monkeypatch):
    """A distribution with an agent of its own, as pip would have left it."""
    info = tmp_path / "guest_agents-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: guest-agents\nVersion: 1.0\n", encoding="utf-8")
    points = "[vrsim.agents]\nguest = guest_agents:Guest\nuniform = guest_agents:Guest\nfactory = guest_agents:guest\n"
    (info / "entry_points.txt").write_text(points, encoding="utf-8")
    (tmp_path / "guest_agents.py").write_text(GUEST, encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    yield
    sys.modules.pop("guest_agents", None)


def test_a_name_makes_an_agent():
    assert isinstance(make_agent("uniform"), Uniform)
    assert isinstance(make_agent("constant"), Constant)


def test_options_reach_the_agent():
    slate = {"slate": np.ones((2, 1), np.int64)}
    assert make_agent("constant:answer=no").act(slate).action.tolist() == [0, 0]
    assert make_agent("constant:answer=yes").act(slate).action.tolist() == [1, 1]
    many = {"slate": np.ones((2, 3), np.int64)}
    assert make_agent("constant:answer=no,place=2").act(many).action.tolist() == [2, 2]
    assert make_agent(" constant : place = 2 ").act(many).action.tolist() == [2, 2]


@pytest.mark.parametrize(
    ("text", "nearest"),
    [
        ("unifrom", "uniform"),
        ("Popularity", "popularity"),
        ("popularity:ordr=least", "order"),
        ("popularity:order=leest", "least"),
        ("content:order=mots", "most"),
        ("recommender:order=higest", "highest"),
        ("recommender:ordr=lowest", "order"),
        ("constant:answer=yess", "yes"),
        ("constant:plase=1", "place"),
    ],
)
def test_an_unknown_name_option_or_value_is_refused_with_the_nearest(text, nearest):
    with pytest.raises(UnknownNameError, match=f"Did you mean '{nearest}'"):
        make_agent(text)


def test_a_name_like_no_other_is_refused_with_all_that_are_known():
    with pytest.raises(UnknownNameError) as caught:
        make_agent("zzzzzzzz")
    assert f"Known: {', '.join(sorted(list_agents()))}." in str(caught.value)
    assert "Did you mean" not in str(caught.value)
    with pytest.raises(UnknownNameError):
        make_agent("")


@pytest.mark.parametrize(
    "text",
    [
        "constant:place=-1",
        "constant:place=x",
        "constant:place=1.5",
        "constant:place=True",
        "constant:place",
        "constant:=3",
        "popularity:order=3",
        "popularity:order=None",
        "constant:answer=None",
        "uniform:seed=1",
    ],
)
def test_a_bad_value_is_refused(text):
    with pytest.raises((OptionError, UnknownNameError)):
        make_agent(text)


def test_an_option_given_twice_is_refused():
    with pytest.raises(OptionError, match="'order' stands twice in 'popularity:order=most,order=least'"):
        make_agent("popularity:order=most,order=least")


def test_a_missing_option_is_refused_with_its_name():
    register_agent("demanding", f"{__name__}:Demanding")
    assert make_agent("demanding:model=x").model == "x"
    with pytest.raises(VrsimError, match="model"):
        make_agent("demanding")


@pytest.mark.parametrize(
    ("text", "options"),
    [
        ("a", {}),
        ("a:", {}),
        ("a:x=1", {"x": 1}),
        ("a:x=1.5,y=True,z=None", {"x": 1.5, "y": True, "z": None}),
        ("a:x=text,y=[1],z='q'", {"x": "text", "y": [1], "z": "'q'"}),
        ("a:x=[1,2],y=[],z=[0.5,None,True]", {"x": [1, 2], "y": [], "z": [0.5, None, True]}),
        ("a:x=['p','q'],y=3", {"x": ["p", "q"], "y": 3}),
        ("a:x=[1,y=2", {"x": "[1", "y": 2}),
        ("a:Qwen/Qwen2.5-7B", {"": "Qwen/Qwen2.5-7B"}),
        ("a:http://host:80/v1,x=1", {"": "http://host:80/v1", "x": 1}),
        ("a: 3 , x = 1", {"": 3, "x": 1}),
        ("a:x=", {"x": ""}),
        ("a:x=b=c", {"x": "b=c"}),
        ("a:x=http://host:80/v1", {"x": "http://host:80/v1"}),
    ],
)
def test_options_become_values(text, options):
    assert parse_name(text) == ("a", options)


@pytest.mark.parametrize("text", ["a:x=1,b", "a:x=1,=2", "a:=2", "a:b,c", "a:x=[1,2],b"])
def test_only_the_first_option_may_go_without_its_name(text):
    with pytest.raises(OptionError, match="expected name:option=value"):
        parse_name(text)


@pytest.mark.parametrize("text", ["a:x=1,x=1", "a:x=1, x=2"])
def test_an_option_stands_once(text):
    with pytest.raises(OptionError, match="'x' stands twice"):
        parse_name(text)


def test_names_are_written_as_they_are_read():
    text = "a:model=EASE,rate=0.5,seed=3"
    assert write_name(*parse_name(text)) == text
    lists = {"sizes": [128, 64], "x": None}
    assert parse_name(write_name("a", lists)) == ("a", lists)
    assert write_name("a", {}) == "a"


def test_a_value_without_a_name_is_the_first_option():
    observations = {"slate": np.ones((2, 1), np.int64)}
    assert make_agent("constant:no").act(observations).action.tolist() == [0, 0]
    assert make_agent("constant:no,place=1").act({"slate": np.ones((1, 3), np.int64)}).action.tolist() == [1]
    register_agent("demanding", f"{__name__}:Demanding")
    assert make_agent("demanding:Qwen/Qwen2.5-7B").model == "Qwen/Qwen2.5-7B"
    with pytest.raises(OptionError, match="option 'answer' stands twice in 'constant:no,answer=yes'"):
        make_agent("constant:no,answer=yes")
    with pytest.raises(UnknownNameError, match="unknown order 'order'"):
        make_agent("popularity:order")


def test_a_value_for_an_agent_without_options_is_refused():
    with pytest.raises(OptionError, match="agent 'uniform' has no options, found 'loud'"):
        make_agent("uniform:loud")


def test_whatever_takes_any_option_is_asked_itself():
    check_options("anything", lambda **options: None, {"x": 1})
    with pytest.raises(UnknownNameError, match="unknown option of thing 'x'"):
        check_options("thing", lambda y: None, {"x": 1})


def test_an_agent_registered_in_this_process_is_known():
    register_agent("demanding", f"{__name__}:Demanding")
    assert list_agents()["demanding"] == f"{__name__}:Demanding"
    assert agent_class("demanding") is Demanding


def test_an_agent_of_another_distribution_is_known(guest):
    assert list_agents()["guest"] == "guest_agents:Guest"
    episodes = make_episodes(World.load("tiny"), "uniform", "selection")
    assert set(play(make_agent("guest:answer=2"), episodes).decisions.action) == {2}
    with pytest.raises(UnknownNameError, match="Did you mean 'answer'"):
        make_agent("guest:anser=2")


def test_shipped_names_cannot_be_taken_over(guest):
    register_agent("constant", "guest_agents:Guest")
    assert isinstance(make_agent("uniform"), Uniform)
    assert isinstance(make_agent("constant"), Constant)


def test_what_is_no_agent_is_refused(guest):
    register_agent("impostor", f"{__name__}:Impostor")
    for name in ("impostor", "factory"):
        with pytest.raises(OptionError, match=r"not a subclass of vrsim\.Agent"):
            make_agent(name)


@pytest.mark.parametrize("target", ["no_such_module_at_all:Agent", f"{__name__}:NoSuchClass", __name__])
def test_what_cannot_be_found_is_refused_with_its_name(target):
    register_agent("ghost", target)
    with pytest.raises(VrsimError, match="ghost"):
        make_agent("ghost")


def test_every_baseline_can_be_made_and_none_stands_twice():
    names = baselines()
    assert len(set(names)) == len(names)
    for name in names:
        assert isinstance(make_agent(name), Agent)


def test_baselines_are_all_shipped_classical_agents_with_both_directions_of_every_shortcut():
    names = baselines()
    quick = (
        set(AGENTS) - {"bandit", "learned", "sb3"} - {"age", "title"}
    )  # training takes time; the audit plays the others
    assert {name.partition(":")[0] for name in names} == quick
    for name in ("popularity", "popularity:order=least", "recommender", "recommender:order=lowest"):
        assert name in names
