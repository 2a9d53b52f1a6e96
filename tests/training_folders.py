"""Folders of training runs whose every number is known: for the tests of the report about them."""

import json

import pytest

from vrsim.report.training_words import defaults

__all__ = ["grpo_rows", "sft_rows", "training"]

CHANGED = {"world": "tiny", "protocol": "uniform", "steps": 40, "seed": 7}


def grpo_rows(steps=40):
    """Metrics whose every number is known: train accuracy is .80, validation users have .70 at the end."""
    yield {"step": 0, "held_out/judgment": 0.5, "held_out/selection": 0.25, "held_out/format": 0.5}
    for step in range(1, steps + 1):
        row = {
            "step": step,
            "seconds": step / 4,
            "loss": 0.1,
            "reward": 1.0,
            "kl": 0.01,
            "entropy": 2.0,
            "silent": 0.25,
        }
        row |= {"format": 0.9, "length": 5.5, "cut": 0.0, "yes": 0.6, "top_answer": 0.6, "learning_rate": 1e-4}
        yield row | {"reward_judgment": 1.5, "accuracy_judgment": 0.9 if step % 2 else 0.7}
        if step % 20 == 0:
            yield {
                "step": step,
                "held_out/judgment": 0.5 + step / 200,
                "held_out/selection": 0.25,
                "held_out/format": 0.9,
            }


def sft_rows(steps=40):
    for step in range(1, steps + 1):
        yield {"step": step, "seconds": step / 2, "loss": 8 / step, "token_accuracy": 0.5, "entropy": 3.0}
    yield {"step": steps, "held_out/judgment": 0.5, "held_out/selection": 0.3}


@pytest.fixture
def training(tmp_path, monkeypatch):
    """Write the folder of a training run, and stand beside it."""
    monkeypatch.chdir(tmp_path)

    def write(name="run", method="grpo", rows=None, card=(), finished=True, config=(), **facts):
        folder = tmp_path / name
        (folder / "model").mkdir(parents=True)
        manifest = {"config": defaults(method) | CHANGED | dict(config), "method": method, "world_hash": "a" * 64}
        manifest |= {"protocol_hash": "b" * 64, "command": "/opt/bin/vrsim train", "versions": {"vrsim": "0.3.0"}}
        (folder / "training.json").write_text(json.dumps(manifest | {"finished": finished} | facts))
        rows = {"grpo": grpo_rows, "sft": sft_rows}[method]() if rows is None else rows
        (folder / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
        if card is not None:
            whole = {"origin": "pocket:0123", "hash": "c" * 64, "lineage": []} | dict(card)
            (folder / "model" / "vrsim.json").write_text(json.dumps(whole))
        return type(folder)(name)

    return write
