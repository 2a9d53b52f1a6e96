"""Conversations: the same by batches, over HTTP and behind a store; each goes on as soon as its answer is there."""

import contextlib
import threading
import time

import pytest

from tests.chat_server import ChatServer, Reply, prompt_of
from tests.scripted_model import ScriptedModel, read
from tests.served import QUICK, chat, model_at
from tests.stored import no_model
from vrsim.errors import ModelError, VideoError
from vrsim.models.model import TOGETHER, Completion, Sampling
from vrsim.models.recorded import Recorded
from vrsim.models.store import Store

SHORT = Sampling(max_tokens=8)


@contextlib.contextmanager
def served(reply, **options):
    pytest.importorskip("openai")
    with ChatServer(lambda request, before: Reply(reply(prompt_of(request)))) as server:
        yield model_at(server, **options)


@contextlib.contextmanager
def scripted(reply, **options):
    yield ScriptedModel(reply)


every_model = pytest.mark.parametrize("made", [scripted, served])


def talk(name, times):
    """Asks so many times, each time with what was answered before, and returns all."""
    heard = [name]
    for turn in range(times):
        completion = yield chat(heard[-1])[0], (QUICK, SHORT)[turn % 2]
        heard.append(completion.text)
    return heard


@every_model
def test_each_conversation_hears_its_own_answers_and_results_come_in_order(made):
    with made(lambda words: f"{words}!", concurrency=3) as model:
        found = model.converse(talk(str(number), number % 4) for number in range(20))
        assert found == [[f"{number}{'!' * turn}" for turn in range(number % 4 + 1)] for number in range(20)]
        assert model.converse([]) == []


@every_model
def test_one_that_is_not_ready_is_waited_for_while_others_go_on(made):
    heard = []

    def coming():
        yield talk("a", 2)
        yield from [None] * 3
        while len(heard) < 2:  # nothing comes before the first conversation is over
            yield None
        yield talk("b", 1)

    def reply(words):
        heard.append(words)
        return f"{words}!"

    with made(reply) as model:
        assert model.converse(coming()) == [["a", "a!", "a!!"], ["b", "b!"]]
    assert heard == ["a", "a!", "b"]


@every_model
def test_conversations_begin_when_there_is_room_for_them(made):
    begun, over, most = [], [], []

    def counted(number):
        begun.append(number)
        most.append(len(begun) - len(over))
        yield chat(str(number))[0], QUICK
        over.append(number)

    with made(lambda words: "fine", concurrency=4) as model:
        model.converse(map(counted, range(2 * TOGETHER)))
    assert max(most) <= (TOGETHER if made is scripted else 4)
    assert sorted(over) == list(range(2 * TOGETHER))


@every_model
def test_what_a_conversation_or_the_next_one_raises_ends_the_work(made):
    def bad():
        yield chat("x")[0], QUICK
        raise VideoError("no")

    def broken():
        yield talk("a", 1)
        raise VideoError("none left")

    heard = []
    with made(lambda words: heard.append(words) or words, concurrency=2) as model:
        with pytest.raises(VideoError, match=r"^no$"):
            model.converse([talk("a", 1), bad(), *(talk(str(number), 5) for number in range(50))])
        assert len(heard) < 60  # of 252
        with pytest.raises(VideoError, match=r"^none left$"):
            model.converse(broken())


def test_batches_have_one_sampling_each_and_a_model_may_tell_nobody_before_the_end():
    class Quiet(ScriptedModel):
        def generate(self, prompts, sampling, done=None, listen=None):
            return [Completion(f"{read(prompt)}{sampling.max_tokens}") for prompt in prompts]

    found = Quiet().converse(talk(name, 3) for name in "abc")
    assert found == [[name, f"{name}64", f"{name}648", f"{name}64864"] for name in "abc"]


@every_model
def test_an_error_ends_the_work_although_more_may_come(made):
    def coming():
        yield bad()
        while True:  # never ready, never over
            yield None

    def bad():
        yield chat("x")[0], QUICK
        raise VideoError("no")

    with made(lambda words: words) as model, pytest.raises(VideoError, match="no"):
        model.converse(coming())


def test_a_server_is_asked_on_at_once_and_never_more_than_allowed():
    pytest.importorskip("openai")

    asked = {}

    def answer(request, before):
        asked[prompt_of(request)] = time.monotonic()
        return Reply(prompt_of(request) + "!", delay=1.5 if prompt_of(request) == "slow" else 0.02)

    with ChatServer(answer) as server:
        found = model_at(server, concurrency=3, timeout=5).converse([talk("slow", 1), *(talk(c, 3) for c in "abcd")])
    assert found[0] == ["slow", "slow!"]
    assert len(asked) == 13
    assert max(asked.values()) - asked["slow"] < 1.5  # nobody waits for it
    assert server.most == 3


def test_a_server_that_nobody_reaches_any_more_ends_the_work_however_much_it_answered_before():
    pytest.importorskip("openai")
    with ChatServer() as server:

        def closing():
            server.end()
            yield chat("nobody")[0], QUICK

        talks = [talk(str(number), 1) for number in range(20)]
        with pytest.raises(ModelError, match="cannot be reached"):
            model_at(server, concurrency=2, retries=2).converse([*talks, closing(), closing(), closing()])


def test_a_server_goes_on_with_conversations_in_the_callers_thread():
    threads = set()

    def counted():
        threads.add(threading.current_thread())
        yield chat("a")[0], QUICK
        threads.add(threading.current_thread())

    with served(lambda words: words) as model:
        model.converse([counted()])
    assert threads == {threading.current_thread()}


@every_model
def test_a_store_answers_what_it_knows_and_keeps_what_is_new(made, tmp_path):
    with made(lambda words: f"{words}!") as model:
        store = Store(tmp_path / "answers.sqlite")
        first = Recorded(lambda: model, "m", store).converse([talk("a", 2), None, talk("b", 1)])
        model.asked = []
        again = Recorded(lambda: model, "m", store).converse([talk("a", 3), talk("b", 1)])
        assert first == [["a", "a!", "a!!"], ["b", "b!"]]
        assert again == [["a", "a!", "a!!", "a!!!"], ["b", "b!"]]
        if made is scripted:
            assert [read(prompt) for prompt in model.asked] == ["a!!"]
    replay = Recorded(no_model, "m", store, replay=True)
    assert replay.converse([talk("a", 3)]) == again[:1]
    with pytest.raises(ModelError, match="1 of 2 completions of m are not in"):
        replay.converse([talk("a", 3), talk("c", 1)])
    store.close()


def test_what_is_stored_needs_no_model_and_no_key(tmp_path):
    store = Store(tmp_path / "answers.sqlite")
    first = Recorded(ScriptedModel, "m", store).converse([talk("a", 2)])
    assert Recorded(no_model, "m", store).converse([None, talk("a", 2), talk("b", 0)]) == [*first, ["b"]]
    store.close()


def test_only_what_costs_nothing_to_make_is_warmed_up_before_it_is_known_to_be_needed(tmp_path):
    class Warm(ScriptedModel):
        def warm_up(self):
            warm.append(self)

    warm, store = [], Store(tmp_path / "answers.sqlite")
    Recorded(Warm, "m", store).warm_up()
    Recorded(Warm, "m", store, replay=True, facts=(None, "")).warm_up()
    assert warm == []
    model = Recorded(Warm, "m", store, facts=(None, ""))
    model.warm_up()
    model.generate(chat("a"), QUICK)
    assert len(warm) == 1
    store.close()
