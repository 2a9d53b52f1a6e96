"""Two processes that train together on the CPU (gloo), started by accelerate with the configuration that is shipped."""

import json
import subprocess
import sys

from tests.trained import SMALL
from vrsim.training.run_folder import read_metrics


def test_two_processes_train_one_model(tmp_path, warm_pocket):
    launcher = subprocess.run(
        [sys.executable, "-m", "vrsim", "train", "launcher", "cpu"], capture_output=True, text=True, check=True
    ).stdout.strip()
    changed = {**SMALL, "batch": 16, "rollouts": 4, "max_tokens": 6, "model": warm_pocket, "log": "", "steps": 6}
    options = [word for name, value in changed.items() for word in ("--option", f"{name}={value}")]
    command = ["-m", "accelerate.commands.launch", "--config_file", launcher, "-m", "vrsim", "train", "grpo", *options]
    done = subprocess.run(
        [sys.executable, *command, "--out", str(tmp_path / "run")], capture_output=True, text=True, timeout=280
    )
    assert done.returncode == 0, done.stderr[-2000:]
    manifest = json.loads((tmp_path / "run" / "training.json").read_text())
    assert (manifest["finished"], manifest["steps"]) == (True, 6)
    rewards = [row["step"] for row in read_metrics(tmp_path / "run") if "reward" in row]
    assert rewards == [1, 2, 3, 4, 5, 6], "each step is logged once, by one of the processes"
    assert (tmp_path / "run" / "model" / "model.safetensors").exists()
