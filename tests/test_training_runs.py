"""Training runs: going on after a kill, one folder for one run, and a model that is an agent afterwards."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file

from tests.trained import grpo, sft
from vrsim import World, make_agent, make_episodes, play
from vrsim.errors import ModelError, TrainingError
from vrsim.models.trained import read_trained
from vrsim.protocols import get_protocol
from vrsim.training.grpo import train_grpo
from vrsim.training.run_folder import read_metrics
from vrsim.training.sft import train_sft


class Killed(BaseException):
    """Nothing catches it, as nothing catches a kill."""


def kill_at(step):
    def progress(done, total, what):
        if done == step and not what.startswith("pocket"):
            raise Killed

    return progress


def weights(folder: Path) -> bytes:
    return (folder / "model" / "model.safetensors").read_bytes()


@pytest.mark.parametrize("method", ["sft", "led", "grpo"])
def test_a_killed_run_goes_on_to_the_same_weights(method, tmp_path, small_pocket, warm_pocket):
    train, config = {
        "sft": (train_sft, sft(small_pocket, steps=16)),
        "led": (train_sft, sft(small_pocket, steps=16, lead="uniform", protocol="vragent-paper")),
        "grpo": (train_grpo, grpo(warm_pocket, steps=16)),
    }[method]
    whole = train(config, tmp_path / "whole")
    for step in (3, 9, 13):  # before the first checkpoint, and between others
        with pytest.raises(Killed):
            train(config, tmp_path / "killed", kill_at(step))
        assert not (tmp_path / "killed" / "model").exists()
    again = train(config, tmp_path / "killed")
    assert weights(tmp_path / "killed") == weights(tmp_path / "whole")
    assert again["hash"] == whole["hash"]
    rows = {name: read_metrics(tmp_path / name) for name in ("whole", "killed")}
    kept = {
        name: [{k: v for k, v in row.items() if k not in ("seconds", "step_time")} for row in found]
        for name, found in rows.items()
    }
    assert kept["killed"] == kept["whole"]


def test_half_a_checkpoint_is_not_gone_on_from(tmp_path, warm_pocket):
    config = grpo(warm_pocket, steps=12)
    with pytest.raises(Killed):
        train_grpo(config, tmp_path / "run", kill_at(11))
    newest = tmp_path / "run" / "checkpoints" / "checkpoint-10"
    (newest / "vrsim.json").unlink()  # it is written last
    (newest / "model.safetensors").write_bytes(b"half")
    train_grpo(config, tmp_path / "run")
    train_grpo(config, tmp_path / "whole")
    assert weights(tmp_path / "run") == weights(tmp_path / "whole")


def test_a_finished_run_is_not_trained_again(tmp_path, small_pocket):
    config = sft(small_pocket, steps=5)
    first = train_sft(config, tmp_path / "run")
    assert train_sft(config, tmp_path / "run", kill_at(1)) == first


def test_a_folder_of_another_run_is_refused(tmp_path, small_pocket):
    train_sft(sft(small_pocket, steps=5), tmp_path / "run")
    with pytest.raises(TrainingError, match=r"holds another run: learning_rate is 0.01 there and 0.02 now"):
        train_sft(sft(small_pocket, steps=5, learning_rate=0.02), tmp_path / "run")
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "thesis.tex").write_text("years of work")
    with pytest.raises(TrainingError, match="something else than a training run"):
        train_sft(sft(small_pocket, steps=5), tmp_path / "full")


def test_another_seed_gives_other_weights(tmp_path, small_pocket):
    hashes = {train_sft(sft(small_pocket, steps=5, seed=seed), tmp_path / str(seed))["hash"] for seed in (0, 1)}
    assert len(hashes) == 2


def test_fine_tuning_teaches_the_form_and_lowers_the_loss(warm_pocket):
    folder = Path(warm_pocket.removeprefix("checkpoint:"))
    losses = [row["loss"] for row in read_metrics(folder) if "loss" in row]
    assert np.mean(losses[-5:]) < 0.5 * losses[0]
    checks = [row["held_out/format"] for row in read_metrics(folder) if "held_out/format" in row]
    assert (checks[0], checks[-1]) == (0.0, 1.0)


def test_scoring_the_replies_alone_changes_no_loss(tmp_path, small_pocket, monkeypatch):
    """TRL scores every token of a prompt where there is no GPU, and leaves it out of the loss."""
    import trl.trainer.utils

    losses, scored = [], []
    head = trl.trainer.utils._ChunkedLogProbFunction.apply

    def counted(hidden, *rest):
        scored.append(len(hidden))
        return head(hidden, *rest)

    monkeypatch.setattr(trl.trainer.utils._ChunkedLogProbFunction, "apply", counted)
    for run in ("replies", "everything"):
        train_sft(sft(small_pocket, steps=5), tmp_path / run)
        losses.append([row["loss"] for row in read_metrics(tmp_path / run) if "loss" in row])
        monkeypatch.setattr(trl.trainer.utils, "_use_triton", lambda device: False)
    assert len(losses[0]) == 5
    assert losses[0] == pytest.approx(losses[1], rel=1e-4)
    assert len(scored) == 10
    assert sum(scored[:5]) < sum(scored[5:]) / 5


def test_the_questions_of_an_easier_protocol_can_come_first(tmp_path, small_pocket, tiny):
    card = train_sft(sft(small_pocket, steps=4, lead="uniform", protocol="vragent-paper"), tmp_path / "run")
    alone = train_sft(sft(small_pocket, steps=4, protocol="vragent-paper"), tmp_path / "alone")
    assert card["hash"] != alone["hash"]
    assert card["users"] == alone["users"]
    tested = make_episodes(tiny, "vragent-paper", "selection").positions[:, 0]
    assert not set(card["users"]) & set(tested.tolist())


def test_the_learning_rate_begins_anew_behind_the_easier_protocol(tmp_path, small_pocket):
    config = sft(small_pocket, steps=20, lead="uniform", lead_share=0.6, protocol="vragent-paper", warmup=0.25)
    train_sft(config, tmp_path / "run")
    found = [row["learning_rate"] for row in read_metrics(tmp_path / "run") if "learning_rate" in row]

    def part(steps: int) -> list[float]:  # a rise over a quarter, then half a cosine
        rise = round(0.25 * steps)
        fall = [(1 + np.cos(np.pi * step / (steps - rise))) / 2 for step in range(steps - rise)]
        return [step / rise for step in range(rise)] + fall

    np.testing.assert_allclose(found, config.learning_rate * np.array(part(12) + part(8)), atol=1e-12)


def test_a_checkpoint_is_an_agent_that_answers_test_users(tiny, warm_pocket):
    for task in ("judgment", "selection"):
        episodes = make_episodes(tiny, "uniform", task)
        played = play(make_agent(warm_pocket), episodes)
        assert played.decisions.reading.well_formed.mean() > 0.9
        assert played.decisions.valid.mean() > 0.9


def test_training_and_test_users_never_meet(tiny, warm_pocket):
    trained = read_trained(Path(warm_pocket.removeprefix("checkpoint:")))
    asked = make_episodes(tiny, "uniform", "selection").positions[:, 0]
    assert len(trained.users) > 50
    assert not set(trained.users.tolist()) & set(asked.tolist())


def test_a_checkpoint_refuses_its_own_training_users_another_protocol_and_another_world(tiny, warm_pocket, town):
    with pytest.raises(ModelError, match=r"trained for protocol 'uniform'.*elsewhere=True"):
        play(make_agent(warm_pocket), make_episodes(tiny, "rank-matched", "selection"))
    played = play(make_agent(f"{warm_pocket},elsewhere=True"), make_episodes(tiny, "rank-matched", "selection"))
    assert len(played.correct)
    moved = replace(get_protocol("uniform"), name="moved", split_seed=5)
    with pytest.raises(ModelError, match=r"was trained on .* of the test users of 'moved'"):
        play(make_agent(f"{warm_pocket},elsewhere=True"), make_episodes(tiny, moved, "judgment"))
    with pytest.raises(ModelError, match="was trained on world 'tiny'"):
        play(make_agent(warm_pocket), make_episodes(World.load(town), "uniform", "selection"))


def test_what_is_no_checkpoint_is_refused_with_a_reason(tmp_path, warm_pocket):
    with pytest.raises(ModelError, match="name the folder that vrsim train wrote"):
        make_agent(f"checkpoint:{tmp_path}")
    (tmp_path / "training.json").write_text("{}")
    with pytest.raises(ModelError, match="not finished"):
        make_agent(f"checkpoint:{tmp_path}")
    copy = tmp_path / "copy"
    shutil.copytree(Path(warm_pocket.removeprefix("checkpoint:")) / "model", copy)
    (copy / "vrsim.json").write_text('{"kind": "trained"')
    with pytest.raises(ModelError, match="is damaged"):
        make_agent(f"checkpoint:{copy}")


def test_a_checkpoint_is_not_fine_tuned_again(tmp_path, warm_pocket):
    card = train_grpo(grpo(warm_pocket, steps=2, sft="pocket"), tmp_path / "run")
    assert not (tmp_path / "run" / "sft").exists()
    assert [step["method"] for step in card["lineage"]] == ["sft"]


def test_the_card_says_where_the_model_comes_from(tmp_path, warm_pocket, tiny):
    card = train_grpo(grpo(warm_pocket, steps=4), tmp_path / "run")
    assert (card["world_hash"], card["protocol"], card["step"]) == (tiny.hash, "uniform", 4)
    assert [step["method"] for step in card["lineage"]] == ["sft"]
    assert set(card["scores"]) == {"judgment", "selection", "format"}
    page = (tmp_path / "run" / "model" / "README.md").read_text()
    assert f"`{card['hash'][:16]}`" in page
    assert page.startswith("---\nlibrary_name: transformers")
    stored = load_file(tmp_path / "run" / "model" / "model.safetensors")
    assert all(np.isfinite(array).all() for array in stored.values())
    assert json.loads((tmp_path / "run" / "training.json").read_text())["finished"] is True
