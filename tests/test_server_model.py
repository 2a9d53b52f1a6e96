"""Models behind a server: named, heard, ended at any moment, and nobody ever reads the key."""

import asyncio
import logging
import math
import os
import signal
import threading
import traceback

import pytest

from tests.chat_server import ChatServer, Reply, prompt_of
from tests.served import KEY, QUICK, always, chat, model_at
from vrsim.errors import ModelError, OptionError
from vrsim.models.model import Prompt
from vrsim.models.server import ServerConfig, ServerModel

pytest.importorskip("openai")


@pytest.fixture(autouse=True)
def environment(monkeypatch):
    """No key and no address from outside."""
    for name in ("OPENAI_API_KEY", "OPENAI_BASE_URL"):
        monkeypatch.delenv(name, raising=False)


# Listening


def test_a_single_completion_is_heard_while_it_is_written():
    pieces = []
    reply = {"text": "<answer>A</answer>", "message": {"reasoning_content": "let me see"}}
    with ChatServer(always(**reply)) as server:
        found = model_at(server).generate(chat("a"), QUICK, listen=pieces.append)[0]
        text = model_at(server).generate([Prompt((), "b")], QUICK, listen=pieces.append)[0].text
        many = model_at(server).generate(chat("c", "d"), QUICK, listen=lambda piece: pytest.fail("two prompts"))
    assert found.text == "<think>let me see</think><answer>A</answer>"
    assert (found.prompt_tokens, found.completion_tokens) == (7, 5)
    assert text == "<answer>A</answer>"
    assert "".join(pieces) == found.text + text
    assert len(pieces) > 8
    assert len(many) == 2


# Ending


class Full(Exception):
    pass


def in_a_notebook(work):
    """Do something while an event loop is running in this thread, one that leaves signals alone."""

    async def cell():
        return work()

    loop = asyncio.new_event_loop()
    try:
        return loop.run_until_complete(cell())
    finally:
        loop.close()


@pytest.mark.parametrize("inside_a_loop", [False, True])
def test_an_error_of_done_ends_the_work_after_what_is_under_way(inside_a_loop):
    def answer(request, before):
        return Reply(prompt_of(request), delay=0.0 if prompt_of(request) == "0" else 0.1)

    heard, threads = [], set()

    def done(place, completion):
        heard.append(place)
        threads.add(threading.current_thread())
        raise Full(f"no place for {place}")

    with ChatServer(answer) as server:
        generate = lambda: model_at(server, concurrency=3).generate(chat(*map(str, range(20))), QUICK, done)  # noqa: E731
        with pytest.raises(Full, match="no place for 0"):
            in_a_notebook(generate) if inside_a_loop else generate()
    assert sorted(heard) == [0, 1, 2]
    assert sum(server.counts.values()) == 3
    assert threads == {threading.current_thread()}


@pytest.fixture
def interruptible():
    """A background job of a shell would ignore interrupts."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.parametrize("inside_a_loop", [False, True])
@pytest.mark.usefixtures("interruptible")
def test_an_interrupt_cancels_what_is_under_way(inside_a_loop):
    def answer(request, before):
        if len(server.requests) == 3:
            os.kill(os.getpid(), signal.SIGINT)
        return Reply(fault="stall")

    with ChatServer(answer) as server:
        model = model_at(server, timeout=60)
        generate = lambda: model.generate(chat("a", "b", "c"), QUICK)  # noqa: E731
        with pytest.raises(KeyboardInterrupt):
            in_a_notebook(generate) if inside_a_loop else generate()
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("vrsim")]


# The key


def test_the_key_is_sent_and_stands_nowhere(monkeypatch, caplog):
    monkeypatch.setenv("MY_KEY", f"{KEY}\n")
    monkeypatch.setenv("OPENAI_API_KEY", "another")
    with caplog.at_level(logging.DEBUG), ChatServer(key=KEY) as server:
        model = model_at(server, key="MY_KEY")
        found = model.generate(chat("a"), QUICK)
    assert server.keys == {f"Bearer {KEY}"}
    for text in (model.name, repr(model), repr(vars(model)), repr(model.config), repr(found), caplog.text):
        assert KEY not in text


def test_a_wrong_key_is_not_shown_although_the_server_repeats_it(monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    error = pytest.raises(ModelError, match=r"does not accept the key in OPENAI_API_KEY \(status 401\)")
    with ChatServer(key="right") as server, error as caught:
        model_at(server).generate(chat("a", "b"), QUICK)
    assert KEY not in "".join(traceback.format_exception(caught.value))


def test_a_server_may_need_no_key_but_openai_does():
    with ChatServer() as server:
        assert model_at(server).generate(chat("a"), QUICK)[0].finish == "stop"
    with ChatServer(key="right") as server, pytest.raises(ModelError, match=r"asks for a key.*OPENAI_API_KEY"):
        model_at(server).generate(chat("a"), QUICK)
    with pytest.raises(ModelError, match=r"no key; set the environment variable OPENAI_API_KEY.*base_url"):
        ServerModel(ServerConfig("gpt-4o-mini")).generate(chat("a"), QUICK)


def test_a_key_with_hidden_letters_is_an_error_that_does_not_show_it(monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", f"{KEY}\u200b")
    with pytest.raises(ModelError, match="holds something else than a key") as caught:
        ServerModel(ServerConfig("m")).generate(chat("a"), QUICK)
    assert KEY not in str(caught.value)


# Names and options


def test_a_name_holds_what_can_change_an_answer(monkeypatch):
    name = lambda **options: ServerModel(ServerConfig("gpt-4o-mini", **options)).name  # noqa: E731
    assert name() == name(concurrency=2, timeout=3, retries=0) == "openai:gpt-4o-mini"
    assert name(base_url="https://h:8000/v1/") == "openai:gpt-4o-mini@h:8000/v1"
    effort = [name(extra=extra) for extra in ({"a": 1, "b": 2}, {"b": 2, "a": 1}, {"a": 2})]
    assert effort[0] == effort[1] != effort[2]
    assert effort[0].startswith("openai:gpt-4o-mini#")
    monkeypatch.setenv("OPENAI_BASE_URL", "http://elsewhere/v1")
    assert name() == "openai:gpt-4o-mini@elsewhere/v1"


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"model": ""}, "model must be the name"),
        ({"key": KEY}, "holds no key itself"),
        ({"base_url": f"https://user:{KEY}@host/v1"}, "must hold no user"),
        ({"base_url": f"https://host/v1?key={KEY}"}, "must hold no user"),
        ({"base_url": f"host/{KEY}"}, "must be an address"),
        ({"base_url": f"http://host:{KEY}/v1"}, "must be an address"),
        ({"concurrency": 0}, "concurrency must be an integer from 1 to 1000"),
        ({"concurrency": True}, "concurrency must be"),
        ({"retries": -1}, "retries must be an integer from 0"),
        ({"timeout": 0}, "timeout must be a number of seconds"),
        ({"backoff": math.inf}, "backoff must be a number of seconds"),
        ({"context": 0}, "context must be an integer from 1"),
        ({"extra": "effort"}, "extra must be a dict of plain data"),
        ({"extra": {"a": math.nan}}, "extra must be a dict of plain data"),
        ({"extra": {"messages": []}}, "extra cannot hold 'messages'"),
    ],
)
def test_options_that_cannot_be_used(options, says):
    with pytest.raises(OptionError, match=says) as caught:
        ServerConfig(**{"model": "m"} | options)
    assert KEY not in str(caught.value)


def test_nothing_to_ask_is_no_call():
    assert ServerModel(ServerConfig("m")).generate([], QUICK) == []


# The test server


def test_the_server_counts_its_requests_also_for_other_processes():
    from openai import OpenAI

    with ChatServer() as server:
        model_at(server).generate(chat("a", "b"), QUICK)
        found = OpenAI(api_key="x", base_url=server.url).get("/../counts", cast_to=object)
    assert found == {"a": 1, "b": 1}


def test_what_is_no_image_is_refused_before_anything_is_asked():
    with ChatServer() as server:
        with pytest.raises(OptionError, match="image"):
            model_at(server).generate([*chat("a"), *chat("b", images=(b"GIF89a",))], QUICK)
        assert server.requests == []
