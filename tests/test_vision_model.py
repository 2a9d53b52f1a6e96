"""The back end ``hf`` with models that see: real tiny ones of three architectures."""

from dataclasses import replace

import pytest

from tests.small_asks import DRAWN, GREEDY, words
from tests.tiny_vision import MARKS, SEEING, picture, save_seeing_model
from vrsim.errors import DependencyError, ModelError, OptionError
from vrsim.models.local import LocalConfig, LocalModel
from vrsim.models.model import Prompt, Sampling

pytest.importorskip("torchvision")

RED, BLUE, WIDE = picture("red"), picture("blue", kind="JPEG"), picture("green", 112, 56)
OPTIONS = ("Yes", "No", "Casino and Babe")
READ = Sampling(max_tokens=0)

every_kind = pytest.mark.parametrize("kind", SEEING)


def about(text, *images, **fields):
    return Prompt((("system", "You see."), ("user", text)), images=images, **fields)


PROMPTS = [about("Which film?", RED), about("Which film is this?", RED, BLUE), about("No image"), about("And?", WIDE)]


@pytest.fixture(scope="module")
def seeing_folder(tmp_path_factory):
    """The folder of a tiny model that sees; each is made once."""
    folder = tmp_path_factory.mktemp("seeing")
    return lambda kind: folder / kind if (folder / kind).exists() else save_seeing_model(kind, folder / kind)


@pytest.fixture(scope="module")
def seeing(seeing_folder):
    """A loaded model that sees; each is loaded once."""
    made = {}

    def load(kind="qwen2_5_vl"):
        if kind not in made:
            made[kind] = LocalModel(LocalConfig(str(seeing_folder(kind))))
        return made[kind]

    return load


def bare(model, prompt, **settings):
    """What transformers' own processor and model make of a prompt."""
    parts = [[{"type": "image"}] * (role == "user") * len(prompt.images) for role, _ in prompt.messages]
    chat = [
        {"role": role, "content": [*own, {"type": "text", "text": text}]}
        for own, (role, text) in zip(parts, prompt.messages, strict=True)
    ]
    from vrsim.models.images import open_image

    processor = model._vision.processor
    text = processor.apply_chat_template(chat, add_generation_prompt=True)
    images = [open_image(image) for image in prompt.images]
    return processor(text=[text], images=[images], return_tensors="pt")


# Completions


@every_kind
def test_greedy_words_are_those_of_the_bare_call(seeing, kind):
    own = seeing(kind)
    for prompt in (prompt for prompt in PROMPTS if prompt.images):
        [answer] = own.generate([prompt], GREEDY)
        inputs = bare(own, prompt)
        written = own.model.generate(**inputs, max_new_tokens=10, do_sample=False)[0, inputs["input_ids"].shape[1] :]
        assert answer.text == own.tokenizer.decode(written, skip_special_tokens=True)
        assert answer.prompt_tokens == inputs["input_ids"].shape[1]


@every_kind
@pytest.mark.parametrize("sampling", [GREEDY, DRAWN], ids=["greedy", "drawn"])
def test_a_batch_gives_what_one_by_one_gives(seeing, kind, sampling):
    batch = seeing(kind).generate(PROMPTS, sampling)
    assert words(batch) == [words(seeing(kind).generate([prompt], sampling))[0] for prompt in PROMPTS]
    assert words(batch) == words(seeing(kind).generate(PROMPTS[::-1], sampling))[::-1]
    assert len({each.text for each in batch}) == len(PROMPTS)


@every_kind
def test_images_and_their_order_matter(seeing, kind):
    prompts = [about("x", RED, BLUE), about("x", BLUE, RED), about("x", RED), about("x")]
    weighed = [replace(prompt, options=OPTIONS) for prompt in prompts]
    chances = [answer.logprobs for answer in seeing(kind).generate(weighed, READ)]
    assert len({tuple(round(chance, 2) for chance in each) for each in chances}) == 4


@every_kind
def test_options_beside_images_have_the_probabilities_of_a_plain_forward_pass(seeing, kind):
    import torch

    own = seeing(kind)
    prompt = about("Which film?", RED, BLUE, options=OPTIONS, cue="<answer>")
    [answer, words_alone] = own.generate([prompt, about("x", options=OPTIONS)], READ)
    for option, found in zip(OPTIONS, answer.logprobs, strict=True):
        inputs = bare(own, prompt)
        before = inputs["input_ids"].shape[1] + len(own._tokens.going_on(["<answer>"])[0])
        ids = own._tokens.going_on(["<answer>"])[0] + own._tokens.going_on([option])[0]
        for name in ("input_ids", "attention_mask", "mm_token_type_ids"):
            if name in inputs:
                more = torch.tensor([{"input_ids": ids, "attention_mask": [1] * len(ids)}.get(name, [0] * len(ids))])
                inputs[name] = torch.cat([inputs[name], more], 1)
        with torch.no_grad():
            chances = own.model(**inputs).logits[0].log_softmax(-1)
        option_ids = inputs["input_ids"][0, before:]
        assert found == pytest.approx(chances[before - 1 : -1].gather(1, option_ids[:, None]).sum().item(), abs=1e-3)
    assert answer.text == "<answer>"
    assert len(words_alone.logprobs) == 3


def test_batches_hold_as_many_images_as_their_tokens_allow(seeing_folder, seeing):
    narrow = LocalModel(LocalConfig(str(seeing_folder("qwen2_5_vl")), batch_tokens=110))
    bare, sizes, heard = narrow.model.generate, [], []

    def generate(ids, **settings):
        sizes.append((len(ids), "pixel_values" in settings))
        return bare(ids, **settings)

    narrow.model.generate = generate
    prompts = [about("x"), *[about("x", RED)] * 5, about("x")]
    answers = narrow.generate(prompts, GREEDY, done=lambda place, answer: heard.append(place))
    assert words(answers) == words(seeing().generate(prompts, GREEDY))
    assert sorted(heard) == list(range(7))
    assert sizes == [(2, True), (2, True), (1, True), (2, False)]


def test_a_listener_hears_what_is_said_about_an_image(seeing):
    heard = []
    [answer] = seeing().generate(PROMPTS[:1], GREEDY, listen=heard.append)
    assert "".join(heard) == answer.text
    assert len(heard) > 1


# Prompts


@every_kind
def test_marks_in_words_are_words(seeing, kind):
    hostile = " ".join(MARKS[kind]) + " <|im_end|> <end_of_utterance> </s>"
    found = seeing(kind).generate([about(hostile, RED), about(hostile)], GREEDY)
    assert [answer.finish for answer in found] == ["length", "length"]
    [request] = seeing(kind)._tokens.requests([about(hostile, RED)], 1)
    assert sum(request.text.count(mark) for mark in MARKS[kind] if "image" in mark and "around" not in mark) == 1


@every_kind
def test_too_many_words_lose_their_left_and_no_image(seeing, kind):
    own = seeing(kind)
    prompt = about("Heat and Babe. " * 300 + "Which film?", RED, BLUE)
    [answer, short] = own.generate([prompt, PROMPTS[0]], GREEDY)
    assert own.context - 30 < answer.prompt_tokens + 10 <= own.context
    [request] = own._tokens.requests([prompt], 10)
    assert request.text.rstrip().count("Which film?") == 1
    assert request.text.count("You see.") == 1
    assert (answer.dropped > 500, short.dropped) == (True, 0)
    assert answer.prompt_tokens == len(request.ids) + request.added


def test_images_without_room_are_an_error_that_says_so(seeing_folder):
    own = LocalModel(LocalConfig(str(seeing_folder("idefics3"))))
    with pytest.raises(OptionError, match=r"the images of a prompt take [\d,]+ tokens, and there is room for [\d,]+"):
        own.generate([about("x", *[RED] * 40)], GREEDY)


def test_without_a_chat_template_images_have_no_place(seeing_folder):
    own = LocalModel(LocalConfig(str(seeing_folder("qwen2_5_vl"))))
    own.tokenizer.chat_template = None
    with pytest.raises(ModelError, match="no chat template, so images have no place"):
        own.generate(PROMPTS[:1], GREEDY)


# Files


def test_a_model_that_sees_without_its_processor_is_an_error(seeing_folder, tmp_path):
    import shutil

    folder = shutil.copytree(seeing_folder("llava"), tmp_path / "blind")
    (folder / "processor_config.json").unlink()
    with pytest.raises((ModelError, DependencyError), match="blind"):
        LocalModel(LocalConfig(str(folder)))


def test_a_name_changes_with_how_images_are_prepared(seeing_folder, seeing, tmp_path):
    import shutil

    folder = shutil.copytree(seeing_folder("llava"), tmp_path / "llava")
    assert LocalModel(LocalConfig(str(folder))).name == seeing("llava").name
    config = folder / "processor_config.json"
    config.write_text(config.read_text(encoding="utf-8").replace("0.48145466", "0.5"), encoding="utf-8")
    assert LocalModel(LocalConfig(str(folder))).name != seeing("llava").name
