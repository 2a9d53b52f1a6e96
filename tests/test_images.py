"""Images in prompts: what a server is sent, what a store remembers, and who says that it cannot see."""

import base64
import hashlib
import json
from dataclasses import replace

import pytest

from tests.chat_server import ChatServer, Reply
from tests.served import QUICK, chat, model_at
from tests.stored import SAMPLING
from tests.tiny_vision import picture
from vrsim.errors import ModelError, OptionError
from vrsim.models.images import data_url, open_image, refuse_images
from vrsim.models.model import Prompt
from vrsim.models.recorded import Recorded
from vrsim.models.sampling import prompt_key
from vrsim.models.store import completion_keys

RED, BLUE = picture("red"), picture("blue", kind="JPEG")


def about(text, *images):
    return replace(chat(text)[0], images=images)


# Servers


def test_a_server_gets_the_images_in_order_before_the_last_words_of_the_user():
    pytest.importorskip("openai")
    past = (("system", "Be brief."), ("user", "Hi"), ("assistant", "Well"), ("user", "What is this?"))
    with ChatServer() as server:
        [found] = model_at(server).generate([Prompt(past, images=(RED, BLUE))], QUICK)
    *before, last = server.requests[0]["messages"]
    assert [message["content"] for message in before] == ["Be brief.", "Hi", "Well"]
    assert [part["type"] for part in last["content"]] == ["image_url", "image_url", "text"]
    urls = [part["image_url"]["url"] for part in last["content"][:2]]
    assert [url.split(",")[0] for url in urls] == ["data:image/png;base64", "data:image/jpeg;base64"]
    assert [base64.b64decode(url.split(",")[1]) for url in urls] == [RED, BLUE]
    assert last["content"][2]["text"] == "What is this?"
    assert (found.prompt_tokens, found.completion_tokens) == (7, 5)


def test_what_a_server_draws_by_depends_on_the_images_and_their_order():
    pytest.importorskip("openai")
    prompts = [about("a", RED, BLUE), about("a", BLUE, RED), about("a", RED), about("a")]
    with ChatServer() as server:
        model_at(server, concurrency=1).generate(prompts, QUICK)
    assert len({request["seed"] for request in server.requests}) == 4
    assert len({prompt_key(prompt) for prompt in prompts}) == 4


def test_a_server_that_takes_no_images_fails_prompt_by_prompt():
    pytest.importorskip("openai")

    def blind(request, before):
        seen = isinstance(request["messages"][-1]["content"], list)
        return Reply(status=400, error={"message": "image input is not supported"}) if seen else Reply()

    with ChatServer(blind) as server:
        found = model_at(server).generate([about("a", RED), about("b")], QUICK)
    assert [answer.finish for answer in found] == ["failed", "stop"]


# Stores


def test_the_key_of_a_prompt_changes_with_each_image_and_their_order():
    images = [(), (RED,), (BLUE,), (RED, BLUE), (BLUE, RED), (RED, RED)]
    keys = completion_keys("m", [about("a", *each) for each in images], SAMPLING)
    assert len(set(keys)) == len(images)


def test_an_image_is_in_a_key_by_its_hash():
    [key] = completion_keys("hf:a/b", [about("a", RED, BLUE)], SAMPLING)
    told = {"cue": "", "images": [hashlib.sha256(image).hexdigest() for image in (RED, BLUE)]}
    told |= {"messages": [["user", "a"]], "options": [], "text": ""}
    text = json.dumps(["hf:a/b", vars(SAMPLING), told], sort_keys=True, separators=(",", ":"))
    assert key == hashlib.sha256(text.encode()).digest()


def test_a_store_gives_back_the_answer_about_the_same_images_and_keeps_none_of_them(store):
    pytest.importorskip("openai")
    with ChatServer(lambda request, before: Reply(f"answer {len(server.requests)}")) as server:
        recorded = Recorded(lambda: model_at(server, concurrency=1), "openai:m", store, facts=(None, ""))
        [first] = recorded.generate([about("a", RED)], QUICK)
        [again, other] = recorded.generate([about("a", RED), about("a", BLUE)], QUICK)
    assert (first.text, again.text, other.text) == ("answer 1", "answer 1", "answer 2")
    assert again.reused
    assert not other.reused
    store.close()
    assert RED[:32] not in store.path.read_bytes()


# Images and models that cannot be used


def test_a_model_of_words_alone_refuses_images(model):
    with pytest.raises(ModelError, match=r"reads words only, and 1 of 2 prompts have images; choose a model that sees"):
        model().generate([about("a"), about("b", RED)], SAMPLING)
    refuse_images([about("a")], "m")


@pytest.mark.parametrize("prompt", [Prompt((), "a", images=(RED,)), Prompt((("system", "a"),), images=(RED,))])
def test_images_need_the_words_of_a_user(prompt):
    pytest.importorskip("openai")
    with ChatServer() as server, pytest.raises(OptionError, match="the prompt has no such message"):
        model_at(server).generate([prompt], QUICK)
    assert server.requests == []


def test_only_whole_jpeg_and_png_files_are_images():
    with pytest.raises(OptionError, match=r"must be a JPEG or PNG file, found bytes that begin with b'GIF89a"):
        data_url(b"GIF89a...")
    with pytest.raises(OptionError, match="cannot be read"):
        open_image(RED[:60])
    with pytest.raises(OptionError, match="cannot be read"):
        open_image(b"\xff\xd8\xff" + bytes(100))
    image = open_image(BLUE)
    assert (image.mode, image.size) == ("RGB", (56, 56))
