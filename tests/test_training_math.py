"""GRPO against numpy: equation 3's advantages, the loss of every step, and a recorded trajectory of 20 steps."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.trained import grpo, sft, small_pocket
from vrsim.training.grpo import train_grpo
from vrsim.training.run_folder import read_metrics
from vrsim.training.sft import train_sft
from vrsim.training.trainers import GroupTrainer

GOLDEN = Path(__file__).parent / "golden_training.json"
BETA, STEPS, GROUP = 0.04, 20, 4


class Recorder:
    """Keeps what goes into the loss of each step and what comes out."""

    def __init__(self, monkeypatch):
        self.rewards, self.scored, self.steps = [], [], []
        calculate, generate = GroupTrainer._calculate_rewards, GroupTrainer._generate_and_score_completions
        per_token, loss = GroupTrainer._get_per_token_logps_and_entropies, GroupTrainer._compute_loss
        last = {}

        def calculated(trainer, *args):
            found = calculate(trainer, *args)
            self.rewards.append(found.sum(dim=1).numpy().copy())
            return found

        def generated(trainer, inputs):
            batch = generate(trainer, inputs)
            self.scored.append({name: batch[name].numpy().copy() for name in ("advantages", "completion_mask")})
            return batch

        def weighed(trainer, *args, **options):
            found = per_token(trainer, *args, **options)
            last["logps"] = found[0].detach().numpy().copy()
            return found

        def computed(trainer, model, inputs):
            value = loss(trainer, model, inputs)
            kept = {
                name: inputs[name].numpy().copy() for name in ("advantages", "completion_mask", "ref_per_token_logps")
            }
            self.steps.append(kept | {"logps": last["logps"], "loss": float(value.detach())})
            return value

        monkeypatch.setattr(GroupTrainer, "_calculate_rewards", calculated)
        monkeypatch.setattr(GroupTrainer, "_generate_and_score_completions", generated)
        monkeypatch.setattr(GroupTrainer, "_get_per_token_logps_and_entropies", weighed)
        monkeypatch.setattr(GroupTrainer, "_compute_loss", computed)


@pytest.fixture(scope="module")
def recorded(tmp_path_factory):
    """A run of 20 steps: what was recorded of it, and its metrics.

    Its model has hardly been trained by Muon, which counts in bfloat16: other processors round that otherwise.
    """
    folder = tmp_path_factory.mktemp("golden")
    train_sft(sft(small_pocket(folder / "pocket", steps=1)), folder / "sft")
    out = folder / "run"
    with pytest.MonkeyPatch.context() as patch:
        recorder = Recorder(patch)
        train_grpo(grpo(f"checkpoint:{folder / 'sft'}", steps=STEPS, beta=BETA, switch=0.4, check_every=0), out)
    return recorder, [row for row in read_metrics(out) if "reward" in row]


def advantages(rewards):
    """Equation 3 of VRAgent-R1: (r - mean r) / std r within a group; the 1e-4 is TRL's."""
    groups = rewards.reshape(-1, GROUP)
    centred = groups - groups.mean(axis=1, keepdims=True)
    return (centred / (groups.std(axis=1, ddof=1, keepdims=True) + 1e-4)).ravel()


def test_the_advantages_are_those_of_equation_3(recorded):
    recorder, _ = recorded
    assert len(recorder.rewards) == STEPS
    for rewards, scored in zip(recorder.rewards, recorder.scored, strict=True):
        np.testing.assert_allclose(scored["advantages"], advantages(rewards), rtol=1e-4, atol=1e-5)
    spoken = [np.ptp(rewards.reshape(-1, GROUP), axis=1) > 0 for rewards in recorder.rewards]
    assert 0 < np.mean(spoken) < 1, "both kinds of group must occur, or the next test is empty"


def test_groups_without_signal_are_out_of_the_loss_and_counted(recorded):
    recorder, metrics = recorded
    for rewards, scored, row in zip(recorder.rewards, recorder.scored, metrics, strict=True):
        silent = np.ptp(rewards.reshape(-1, GROUP), axis=1) == 0
        masked = scored["completion_mask"].reshape(len(silent), GROUP, -1).sum(axis=(1, 2)) == 0
        np.testing.assert_array_equal(masked, silent)
        assert row["silent"] == pytest.approx(silent.mean())


def test_the_loss_is_the_clipped_policy_gradient_with_kl_over_the_tokens_that_count(recorded):
    recorder, _ = recorded
    for step in recorder.steps:
        mask, own, reference = step["completion_mask"], step["logps"], step["ref_per_token_logps"]
        # One update per batch: the ratio to the old policy is 1, and clipping changes nothing.
        gain = np.broadcast_to(step["advantages"][:, None], mask.shape)
        kl = np.exp(reference - own) - (reference - own) - 1
        expected = ((-gain + BETA * kl) * mask).sum() / max(1, mask.sum())
        assert step["loss"] == pytest.approx(expected, rel=1e-4, abs=1e-6)


def test_the_curriculum_and_the_rewards_reach_the_log(recorded):
    recorder, metrics = recorded
    for rewards, row in zip(recorder.rewards, metrics, strict=True):
        assert row["reward"] == pytest.approx(rewards.mean(), abs=1e-5)
    asked = [("reward_judgment" in row, "reward_selection" in row) for row in metrics]
    assert asked[:8] == [(True, False)] * 8
    assert all(selection for _, selection in asked[8:])


def test_the_trajectory_is_the_recorded_one(recorded):
    recorder, _ = recorded
    golden = json.loads(GOLDEN.read_text())
    if golden["torch"] != torch.__version__.partition("+")[0]:
        pytest.skip(f"recorded with torch {golden['torch']}; another version may draw other replies")
    rewards = [round(float(rewards.mean()), 4) for rewards in recorder.rewards]
    losses = [round(step["loss"], 6) for step in recorder.steps]
    assert rewards == golden["reward"], f"numbers changed; if they had to, say so and record {rewards} and {losses}"
    np.testing.assert_allclose([step["loss"] for step in recorder.steps], golden["loss"], rtol=1e-3, atol=1e-4)
