"""The pocket model is made from a world alone, knows its titles, and has not seen what is asked."""

import json

import numpy as np
import pytest

import vrsim
from vrsim.errors import ModelError, OptionError
from vrsim.models.model import Prompt, Sampling
from vrsim.models.pocket import CARD, build_pocket, load_pocket, pocket_folder, read_card
from vrsim.models.pocket_tokenizer import make_tokenizer, title_token
from vrsim.models.pocket_training import PocketConfig, _optimizers, train
from vrsim.progress import silent
from vrsim.testing import without_future
from vrsim.text.templates import US_AGENT
from vrsim.text.writer import Writer

pytest.importorskip("transformers", reason="the pocket model needs transformers")

TOY = PocketConfig(hidden=16, layers=1, steps=10)
SMALL = PocketConfig(hidden=32, layers=1, steps=120)


@pytest.fixture(scope="module")
def built(tmp_path_factory, tiny):
    folder = tmp_path_factory.mktemp("models") / "pocket"
    build_pocket(tiny, SMALL, folder)
    return folder


# Its tokenizer


def test_each_title_is_one_token_and_any_text_works(tiny):
    tokenizer = make_tokenizer(tiny)
    for item in range(1, tiny.n_items + 1):
        text = title_token(tiny, item)
        assert len(tokenizer(text)["input_ids"]) == 1
        assert len(tokenizer(f"A.{text}, ")["input_ids"]) == 1 + len(tokenizer("A.")["input_ids"]) + len(
            tokenizer(", ")["input_ids"]
        )
    for text in ("", " ", 'naïve "quotes"\n\n\ttabs', "千と千尋 \U0001f600 <think>a</think>", "The Quiet Alibi (1999)"):
        assert tokenizer.decode(tokenizer(text)["input_ids"]) == text


def test_its_chat_template_marks_who_speaks(tiny):
    words = [{"role": "system", "content": "s"}, {"role": "user", "content": "u"}]
    text = make_tokenizer(tiny).apply_chat_template(words, tokenize=False, add_generation_prompt=True)
    assert text == "<|im_start|>system\ns<|im_end|>\n<|im_start|>user\nu<|im_end|>\n<|im_start|>assistant\n"


# Its training


def test_it_learns_what_comes_next(tiny, built):
    card = read_card(built)
    assert card["validation_loss"] < np.log(card["vocabulary"]) - 1.5  # of a model that knows nothing
    episodes = vrsim.make_episodes(tiny, "uniform", "selection", 3)
    played = vrsim.play(vrsim.make_agent(f"us-agent:model=pocket:{built}"), episodes)
    assert played.correct.mean() > 0.35  # chance .25
    assert played.decisions.valid.all()


def test_muon_has_the_matrices_inside_and_adamw_all_else(tiny):
    model, _, _ = train(tiny, PocketConfig(hidden=16, layers=2, steps=1), silent)
    muon, adamw = _optimizers(model)
    owned = [weight for one in (muon, adamw) for group in one.param_groups for weight in group["params"]]
    assert len({id(weight) for weight in owned}) == len(owned) == len(list(model.parameters()))
    assert len(muon.param_groups[0]["params"]) == 7 * 2  # of each layer: attention four, the network behind it three
    tables, vectors = (group["params"] for group in adamw.param_groups)
    assert {len(weight) for weight in tables} == {len(model.get_input_embeddings().weight)}
    assert {weight.ndim for weight in vectors} == {1}
    assert [group["weight_decay"] for group in (*muon.param_groups, *adamw.param_groups)] == [0.1, 0.1, 0.0]


def test_it_never_sees_what_is_held_out(tiny):
    positions = np.stack(tiny.held_out, axis=1)
    other = without_future(tiny, positions)
    assert (other.targets != tiny.targets).all()
    one, _, _ = train(tiny, TOY, silent)
    two, _, _ = train(other, TOY, silent)
    for name, weight in one.state_dict().items():
        np.testing.assert_array_equal(weight.numpy(), two.state_dict()[name].numpy(), err_msg=name)


def test_equal_seeds_give_equal_models_and_the_generators_of_others_are_left_alone(tiny):
    import torch

    torch.manual_seed(5)
    expected = torch.rand(1)
    torch.manual_seed(5)
    one, _, _ = train(tiny, TOY, silent)
    assert torch.equal(torch.rand(1), expected)
    same, _, _ = train(tiny, TOY, silent)
    other, _, _ = train(tiny, PocketConfig(hidden=16, layers=1, steps=10, seed=1), silent)
    weights = [model.get_input_embeddings().weight.detach().numpy() for model in (one, same, other)]
    np.testing.assert_array_equal(weights[0], weights[1])
    assert not np.array_equal(weights[0], weights[2])


# Its folder


def test_the_folder_is_an_ordinary_model_with_a_card(tiny, built):
    from transformers import AutoModelForCausalLM, AutoTokenizer  # loads Qwen2's own tokenizer for any Qwen2

    card = json.loads((built / CARD).read_text())
    assert (card["world_hash"], card["completes"]) == (tiny.hash, "titles")
    assert card["config"] == {"hidden": 32, "layers": 1, "steps": 120, "seed": 0}
    model, tokenizer = AutoModelForCausalLM.from_pretrained(built), AutoTokenizer.from_pretrained(built)
    own = make_tokenizer(tiny)
    episodes = vrsim.make_episodes(tiny, "uniform", "selection", 3)
    for prompt in Writer(tiny, US_AGENT).write(episodes.observe(np.arange(20))).prompts:
        for _, text in prompt.messages:
            assert tokenizer(text)["input_ids"] == own(text)["input_ids"]
    assert model.config.model_type == "qwen2"
    assert sum(weight.numel() for weight in model.parameters()) == card["parameters"]
    assert len(tokenizer) == card["vocabulary"]


def test_it_writes_text_as_well(tiny, built):
    model = load_pocket(tiny, SMALL, built)
    [completion] = model.generate([Prompt((("user", "hello"),))], Sampling(max_tokens=5))
    assert 1 <= completion.completion_tokens <= 5
    assert model.name == f"pocket:{read_card(built)['hash'][:16]}"


def test_a_killed_build_leaves_nothing_that_looks_whole(tiny, tmp_path):
    def stop(done, total, what):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        build_pocket(tiny, TOY, tmp_path / "m", stop)
    assert not (tmp_path / "m").exists()
    assert build_pocket(tiny, TOY, tmp_path / "m")["steps"] == 10
    assert [path.name for path in tmp_path.iterdir() if not path.name.endswith(".lock")] == ["m"]


def test_the_cache_has_one_model_per_world_and_configuration(tiny, tmp_path, monkeypatch):
    monkeypatch.setenv("VRSIM_HOME", str(tmp_path))
    looks = []
    build_pocket(tiny, TOY, progress=lambda *step: looks.append(step))
    assert looks[-1][:2] == (10, 10)
    build_pocket(tiny, TOY, progress=lambda *step: pytest.fail("built again"))
    other = vrsim.World.load("tiny:holdout=2")
    folders = {pocket_folder(tiny, TOY), pocket_folder(tiny, SMALL), pocket_folder(other, TOY)}
    assert len(folders) == 3


def test_wrong_use_is_refused(tiny, built, tmp_path):
    other = vrsim.World.load("tiny:holdout=2")
    with pytest.raises(ModelError, match=r"was made for world 'tiny' .* make its own with vrsim pocket build"):
        load_pocket(other, SMALL, built)
    with pytest.raises(ModelError, match="exists already"):
        build_pocket(tiny, TOY, built)
    (tmp_path / "mine").mkdir()
    with pytest.raises(ModelError, match="something else than a model"):
        build_pocket(tiny, TOY, tmp_path / "mine", force=True)
    with pytest.raises(ModelError, match="no pocket model"):
        load_pocket(tiny, TOY, tmp_path / "mine")
    (tmp_path / "mine" / CARD).write_text("{")
    with pytest.raises(ModelError, match="is damaged"):
        read_card(tmp_path / "mine")
    for wrong in ({"hidden": 12}, {"layers": 0}, {"steps": -1}, {"seed": "1"}):
        with pytest.raises(OptionError, match=next(iter(wrong))):
            PocketConfig(**wrong)


# The command


def test_the_command_builds_it_and_says_what_it_is(vrsim_command, tmp_path):
    toy = ["--option", "hidden=16", "--option", "layers=1", "--option", "steps=5"]
    code, out, _ = vrsim_command("pocket", "build", "--world", "tiny", *toy, "--out", tmp_path / "m", "--json")
    assert code == 0
    assert json.loads(out)["folder"] == str(tmp_path / "m")
    code, _, err = vrsim_command("pocket", "build", "--world", "tiny", *toy, "--out", tmp_path / "m")
    assert (code, "exists already" in err) == (1, True)
    code, out, _ = vrsim_command("pocket", "build", "--world", "tiny", *toy, "--out", tmp_path / "m", "--force")
    assert (code, "parameters" in out) == (0, True)
    code, _, err = vrsim_command("pocket", "build", "--world", "tiny", "--option", "hiden=16")
    assert (code, "Did you mean 'hidden'" in err) == (1, True)
    code, _, err = vrsim_command("pocket", "build", "--world", "tiny", "--option", "hidden")
    assert (code, "NAME=VALUE" in err) == (1, True)
