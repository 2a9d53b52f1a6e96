"""Protocol cards: frozen, named, described in full, and known by a hash of the recipe."""

import hashlib
import re
from dataclasses import FrozenInstanceError, fields, replace
from typing import get_args

import pytest

from vrsim.errors import UnknownNameError
from vrsim.protocols import PROTOCOLS, TASKS, Protocol, Wrong, get_protocol, list_protocols

WORDS = ("measures", "cannot", "source", "differs")
OTHER = {  # a value of every field of the recipe that no protocol has
    "name": "another",
    "judgment": "another",
    "selection": "another",
    "pool": (3, 33),
    "top_up": None,
    "per_positive": 33,
    "per_user": 33,
    "history": 33,
    "shows": "another",
    "least_interactions": 33,
    "least_liked": 33,
    "least_item": 33,
    "popular_target": None,
    "test_share": 0.33,
    "test_users": 33,
    "split_seed": 33,
    "cold_share": 0.33,
    "cold_length": 33,
    "average": "another",
    "metric": "another",
    "version": 33,
}

every_protocol = pytest.mark.parametrize("protocol", list_protocols(), ids=lambda protocol: protocol.name)


def test_protocols_are_found_by_their_name():
    assert [protocol.name for protocol in list_protocols()] == list(PROTOCOLS)
    assert all(get_protocol(name) is protocol for name, protocol in PROTOCOLS.items())
    assert {"vragent-paper", "vragent-code", "tallrec", "mllm-msr", "uniform"} <= PROTOCOLS.keys()
    assert {f"agent4rec-1to{k}" for k in (1, 2, 3, 9)} <= PROTOCOLS.keys()
    assert {"rank-matched", "popularity-matched"} <= PROTOCOLS.keys()


def test_an_unknown_protocol_is_refused_with_the_nearest():
    with pytest.raises(UnknownNameError, match="Did you mean 'tallrec'"):
        get_protocol("talrec")


@every_protocol
def test_a_card_says_what_a_score_means_and_what_it_does_not(protocol):
    for words in (protocol.measures, protocol.cannot, protocol.source, *protocol.differs):
        assert words.strip() == words
        assert len(words) >= 20
        assert re.search(r"  |\n", words) is None
    published = not protocol.source.startswith(("vrsim", "the usual"))
    assert published == bool(protocol.differs), "what was published is never played in every detail"


@every_protocol
def test_a_card_asks_at_least_one_task_by_a_rule_that_exists(protocol):
    assert protocol.tasks
    assert set(protocol.tasks) <= set(TASKS)
    for task in TASKS:
        assert getattr(protocol, task) in get_args(Wrong)
        assert (getattr(protocol, task) != "") == (task in protocol.tasks)
    assert protocol.selection != "rated"
    assert (protocol.per_positive == 0) == (protocol.judgment == "rated")


@every_protocol
def test_the_size_of_a_judgment_is_the_protocols_and_that_of_a_selection_the_one_asked_for(protocol):
    assert protocol.sizes("judgment", (1, 3, 4)) == (protocol.per_positive,)
    assert protocol.sizes("selection", (1, 3, 4)) == (1, 3, 4)


@every_protocol
def test_a_protocol_cannot_be_changed(protocol):
    for field in fields(Protocol):
        with pytest.raises(FrozenInstanceError):
            setattr(protocol, field.name, getattr(protocol, field.name))


# Hash


def test_every_field_is_either_words_or_recipe():
    assert {field.name for field in fields(Protocol)} == {*WORDS, *OTHER}


@every_protocol
def test_the_hash_does_not_depend_on_the_words(protocol):
    for name in WORDS:
        assert replace(protocol, **{name: ("other words",)}).hash == protocol.hash


@every_protocol
@pytest.mark.parametrize("name", OTHER)
def test_the_hash_depends_on_every_field_of_the_recipe(protocol, name):
    assert getattr(protocol, name) != OTHER[name]
    assert replace(protocol, **{name: OTHER[name]}).hash != protocol.hash


def test_a_default_that_is_written_out_is_the_same_recipe():
    bare = {"name": "mine", "measures": "", "cannot": "", "source": ""}
    defaults = {field.name: field.default for field in fields(Protocol) if field.name not in bare}
    assert Protocol(**bare, **defaults).hash == Protocol(**bare).hash


def test_no_two_protocols_have_one_hash():
    assert len({protocol.hash for protocol in list_protocols()}) == len(PROTOCOLS)
    unnamed = {replace(protocol, name="").hash for protocol in list_protocols()}
    assert len(unnamed) == len(PROTOCOLS), "two cards with one recipe"


def test_the_hash_is_that_of_the_fields_that_differ_from_their_defaults_in_json():
    recipe = Protocol(name="mine", measures="", cannot="", source="", judgment="uniform", per_positive=2)
    written = '{"judgment": "uniform", "name": "mine", "per_positive": 2, "version": 1}'
    assert recipe.hash == hashlib.sha256(written.encode()).hexdigest()
