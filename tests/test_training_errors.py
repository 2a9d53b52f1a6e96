"""What training refuses, each with one clear error, and what is left when it stops."""

import errno
import importlib.util
import json
import sys

import pytest

from tests.trained import grpo, sft
from vrsim.errors import DependencyError, EpisodeError, ModelError, OptionError, TrainingError, UnknownNameError
from vrsim.training.config import GrpoConfig, SftConfig
from vrsim.training.grpo import train_grpo
from vrsim.training.presets import PRESETS, make_training
from vrsim.training.reward import Rewarder
from vrsim.training.sft import train_sft


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"protocol": "vragent"}, UnknownNameError, "unknown protocol 'vragent'"),
        ({"tasks": ("judge",)}, UnknownNameError, "Did you mean 'judgment'"),
        ({"tasks": ()}, OptionError, "at least one"),
        ({"m": (0,)}, OptionError, "m must be integers from 1"),
        ({"prompt": "titles"}, OptionError, "asks for probabilities, not for words"),
        ({"steps": 0}, OptionError, "steps must be an integer from 1"),
        ({"batch": 20, "rollouts": 8}, OptionError, "multiple of rollouts=8, found 20"),
        ({"rollouts": 1}, OptionError, "rollouts must be an integer from 2"),
        ({"temperature": 0.0}, OptionError, "must differ"),
        ({"learning_rate": "fast"}, OptionError, "learning_rate must be a number from 0 to 1"),
        ({"validation": 0.9}, OptionError, "validation must be a number from 0 to 0.5"),
        ({"curriculum": "selection-first"}, UnknownNameError, "unknown curriculum"),
        ({"loss": "ppo"}, UnknownNameError, "unknown loss"),
        ({"reward": "vragent"}, UnknownNameError, "unknown reward"),
        ({"reward": "no_such_module:f"}, OptionError, "cannot be imported"),
        ({"log": ("tensorbord",)}, UnknownNameError, "Did you mean 'tensorboard'"),
        ({"precision": "int4"}, UnknownNameError, "unknown precision"),
        ({"cot": 1}, OptionError, "cot must be True or False"),
    ],
)
def test_settings_are_refused_before_anything_is_loaded(options, error, message):
    with pytest.raises(error, match=message):
        GrpoConfig(**options)


def test_presets_are_named_and_their_settings_are_known():
    with pytest.raises(UnknownNameError, match="Did you mean 'vragent-paper'"):
        make_training(GrpoConfig, "vragentpaper", {})
    with pytest.raises(UnknownNameError, match="Did you mean 'rollouts'"):
        make_training(GrpoConfig, "pocket", {"rollout": 4})
    assert make_training(SftConfig, "pocket", {"tasks": "judgment", "log": ""}).tasks == ("judgment",)
    for kind, presets in PRESETS.items():
        for name in presets:
            assert make_training(kind, name, {"seed": 3}).seed == 3


def test_a_protocol_without_training_users_is_refused(tmp_path, small_pocket):
    with pytest.raises(EpisodeError, match="asks no selection"):
        train_grpo(grpo(small_pocket, protocol="agent4rec-1to1", tasks=("selection",)), tmp_path / "run")
    with pytest.raises(EpisodeError, match="agent4rec-1to1"):
        train_grpo(grpo(small_pocket, protocol="agent4rec-1to1"), tmp_path / "run2")


def test_a_preset_that_wants_a_gpu_says_so(tmp_path, monkeypatch, small_pocket):
    import torch

    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(TrainingError, match="wants a GPU and there is none"):
        train_grpo(grpo(small_pocket, gpu=True), tmp_path / "run")


def test_missing_libraries_are_named(tmp_path, monkeypatch, small_pocket):
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name, *rest: None if name == "trl" else find(name, *rest))
    with pytest.raises(DependencyError, match=r"training needs trl: pip install 'vrsim\[train\]'"):
        train_grpo(grpo(small_pocket), tmp_path / "run")
    monkeypatch.setattr(importlib.util, "find_spec", lambda name, *rest: None if name == "wandb" else find(name, *rest))
    with pytest.raises(DependencyError, match="log=wandb needs the package wandb"):
        train_grpo(grpo(small_pocket, log=("wandb",)), tmp_path / "run")


def test_a_model_of_another_world_or_protocol_is_refused(tmp_path, warm_pocket, small_pocket, town):
    with pytest.raises(ModelError, match="trained on world 'tiny'"):
        train_grpo(grpo(warm_pocket, world=str(town)), tmp_path / "run")
    with pytest.raises(ModelError, match="trained for protocol 'uniform'"):
        train_grpo(grpo(warm_pocket, protocol="rank-matched"), tmp_path / "run2")
    with pytest.raises(TrainingError, match="was made for world 'tiny'"):
        train_sft(sft(small_pocket, world=str(town)), tmp_path / "run3")
    with pytest.raises(UnknownNameError, match="unknown kind of model to train 'openai'"):
        train_sft(sft("openai:gpt-4o"), tmp_path / "run4")


def test_prompts_longer_than_the_context_are_refused_or_cut(tmp_path, saved):
    model = f"hf:{saved('qwen2')}"  # a context of 256 tokens, and prompts in words
    with pytest.raises(ModelError, match="the question alone has"):
        train_grpo(grpo(model, prompt="us-agent"), tmp_path / "run")
    with pytest.raises(TrainingError, match="max_tokens=300 leaves no room"):
        train_grpo(grpo(model, max_tokens=300), tmp_path / "run2")


def test_a_batch_that_cannot_be_shared_is_refused(tmp_path, warm_pocket):
    with pytest.raises(TrainingError, match="no multiple of per_device=5"):
        train_grpo(grpo(warm_pocket, per_device=5), tmp_path / "run")


# Rewards

COLUMNS = {"task": ["judgment"], "labels": [["No", "Yes"]], "right": [1], "user": [7], "t": [3], "lead": [""]}


def raises(completions, questions):
    raise ZeroDivisionError("by nothing")


def nan(completions, questions):
    return [float("nan")] * len(completions)


def words(completions, questions):
    return ["good"] * len(completions)


def too_few(completions, questions):
    return [1.0] * (len(completions) - 1)


def by_length(completions, questions):
    return [float(len(text)) for text in completions]


@pytest.mark.parametrize(
    ("function", "message"),
    [
        ("raises", r"raised ZeroDivisionError\('by nothing'\) for user 7"),
        ("nan", "returned nan, expected a finite number"),
        ("words", "returned 'good', expected a finite number"),
        ("too_few", "returned 0 numbers for 1 completions"),
    ],
)
def test_a_reward_function_that_fails_is_never_a_silent_zero(function, message):
    rewarder = Rewarder(f"{__name__}:{function}", False, ("judgment",))
    with pytest.raises(TrainingError, match=message) as caught:
        rewarder(completions=["<answer>Yes</answer>"], prompts=["Take it?"], **COLUMNS)
    assert "<answer>Yes</answer>" in str(caught.value)
    assert "right answer Yes" in str(caught.value)


def test_training_stops_with_the_sample_of_a_failing_reward(tmp_path, warm_pocket):
    with pytest.raises(TrainingError, match=r"raised ZeroDivisionError.*completion"):
        train_grpo(grpo(warm_pocket, reward=f"{__name__}:raises"), tmp_path / "run")
    assert not (tmp_path / "run" / "model").exists()


def test_ones_own_reward_function_trains(tmp_path, warm_pocket):
    card = train_grpo(grpo(warm_pocket, reward=f"{__name__}:by_length", steps=4), tmp_path / "run")
    assert card["config"]["reward"].endswith("by_length")


# Collapse and full disks


def test_a_collapse_stops_the_run_and_keeps_the_last_good_checkpoint(tmp_path, monkeypatch, warm_pocket):
    from vrsim.training import collapse

    def see(self, step, row):
        return "replies turned into gibberish" if step == 18 else ""

    monkeypatch.setattr(collapse.Collapse, "see", see)
    with pytest.raises(TrainingError, match="turned into gibberish; step 5 was the last good checkpoint") as caught:
        train_grpo(grpo(warm_pocket), tmp_path / "run")
    manifest = json.loads((tmp_path / "run" / "training.json").read_text())
    assert (manifest["finished"], manifest["stopped"]) == (True, str(caught.value))
    card = json.loads((tmp_path / "run" / "model" / "vrsim.json").read_text())
    assert card["step"] == 5
    assert not list((tmp_path / "run" / "model").glob("*.pt"))
    with pytest.raises(TrainingError, match="turned into gibberish"):  # and is not tried again
        train_grpo(grpo(warm_pocket), tmp_path / "run")


def test_a_full_disk_in_a_checkpoint_loses_only_what_came_after_the_last_one(tmp_path, monkeypatch, warm_pocket):
    from transformers import Trainer

    whole = train_grpo(grpo(warm_pocket, steps=12), tmp_path / "whole")
    save, calls = Trainer._save_checkpoint, []

    def full(trainer, *args):
        calls.append(1)
        if len(calls) == 2:
            raise OSError(errno.ENOSPC, "No space left on device")
        return save(trainer, *args)

    monkeypatch.setattr(Trainer, "_save_checkpoint", full)
    with pytest.raises(TrainingError, match="the disk is full; the last whole checkpoint is step 5"):
        train_grpo(grpo(warm_pocket, steps=12), tmp_path / "run")
    assert train_grpo(grpo(warm_pocket, steps=12), tmp_path / "run")["hash"] == whole["hash"]


def test_the_module_that_holds_the_rewards_can_be_found():
    assert sys.modules[__name__].by_length(["ab"], [{}]) == [2.0]
