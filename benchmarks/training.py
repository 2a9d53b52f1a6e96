"""What a training step costs beside TRL alone.

Run: python benchmarks/training.py step           (the tiny world; a minute)
     python benchmarks/training.py step --world ml-100k:holdout=10 --model checkpoint:FOLDER

Every other setting is that of the preset pocket, or --option NAME=VALUE as in vrsim train. FOLDER comes from vrsim
train sft. A step lasts from one log to the next: reading data, replies, rewards, learning, metrics and callbacks; the
first one of a block does not count. Both ways get the same weights, prompts, seed and TRL settings, which is checked.
"""

import contextlib
import gc
import json
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer

from vrsim.models.loading import quiet
from vrsim.models.pocket import build_pocket
from vrsim.models.pocket_training import PocketConfig
from vrsim.models.trained import read_trained
from vrsim.naming import parse_value
from vrsim.text.replies import read_reply
from vrsim.text.rewards import REPLY_REWARDS
from vrsim.threads import import_torch
from vrsim.training.config import GrpoConfig, SftConfig
from vrsim.training.grpo import prompts, train_grpo
from vrsim.training.presets import make_training
from vrsim.training.run import carry_out, common_settings
from vrsim.training.sft import train_sft
from vrsim.world import World

SHARED = {"protocol": "uniform", "validation": 0.2, "checked": 8, "batch": 16, "log": ""}
TINY = {  # settings of the tiny world: to see within a minute that the script works
    "sft": SHARED | {"earlier": 0, "learning_rate": 1e-2},
    "grpo": SHARED | {"rollouts": 4, "max_tokens": 6, "learning_rate": 1e-3},
}
NEVER = 10**6  # steps between what is switched off
LOGGED = 399  # most steps of which each one is logged
EVERY = 5  # steps between the checks and the saves whose cost is taken
OWN = {"output_dir", "save_strategy", "logging_dir", "run_name", "report_to"}  # settings of TRL that may differ

app = typer.Typer(add_completion=False, help=__doc__, pretty_exceptions_enable=False)
Name = Annotated[str, typer.Option("--world", help="Name or folder of the world.")]
Learner = Annotated[str, typer.Option("--model", help="checkpoint:FOLDER, pocket:FOLDER or hf:NAME.")]
Changes = Annotated[list[str], typer.Option("--option", help="Any other setting, NAME=VALUE; repeat.")]


# Settings


def changes(method: str, world: str, model: str, option: list[str], own: dict[str, Any]) -> dict[str, Any]:
    """What is set beside the preset pocket; what the user asks for goes before everything."""
    found = {**(TINY[method] if world == "tiny" else {}), "world": world, "model": model, **own}
    found |= {"sft": ""} if method == "grpo" else {}
    kind, _, target = model.partition(":")
    if kind == "checkpoint":
        found["protocol"] = read_trained(Path(target)).card["protocol"]
    return found | asked(option)


def asked(option: list[str]) -> dict[str, Any]:
    """The settings that the user gives by name."""
    if wrong := [text for text in option if "=" not in text]:
        raise typer.BadParameter(f"expected --option NAME=VALUE, found {wrong[0]!r}")
    return {name: parse_value(value) for name, _, value in (text.partition("=") for text in option)}


def small_model(world: str, work: Path) -> str:
    """A model of a few thousand parameters that answers in the right form, made in seconds; of the tiny world alone."""
    if world != "tiny":
        raise typer.BadParameter(f"name the model that is trained on world {world!r}: --model checkpoint:FOLDER")
    build_pocket(World.load(world), PocketConfig(hidden=32, layers=1, steps=10), work / "pocket")
    own = {"steps": 60, "check_every": 0, "save_every": NEVER}
    train_sft(
        make_training(SftConfig, "pocket", changes("sft", world, f"pocket:{work / 'pocket'}", [], own)), work / "warm"
    )
    return f"checkpoint:{work / 'warm'}"


# A step beside TRL alone


@app.command()
def step(
    world: Name = "tiny",
    model: Learner = "",
    option: Changes = [],  # noqa: B006
    steps: Annotated[int, typer.Option(min=3, max=LOGGED, help="Steps of a block.")] = 20,
    pairs: Annotated[int, typer.Option(min=1, help="Blocks of each way, taken in turn.")] = 5,
    log: Annotated[str, typer.Option(help="Tracker of our way alone, for example tensorboard.")] = "",
) -> None:
    """Seconds a step and peak memory of our GRPO over those of a bare TRL GRPOTrainer."""
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        own = {"steps": steps, "check_every": 0, "save_every": NEVER, "log": log}
        config = make_training(
            GrpoConfig, "pocket", changes("grpo", world, model or small_model(world, work), option, own)
        )
        if config.lora_rank:
            raise typer.BadParameter("the bare trainer learns all weights; leave out lora_rank")
        prepare(config, work)
        ways = {"bare": lambda out: bare(config, work, out), "ours": lambda out: ours(config, out)}
        seconds: dict[str, list[np.ndarray]] = {"ours": [], "bare": []}
        said = {}
        for pair in range(pairs):
            for way in list(ways)[:: -1 if pair % 2 else 1]:
                seconds[way].append(ways[way](work / "block"))
                said[way] = history(work / "block" / "checkpoints") if way == "ours" else history(work / "block")
                if way == "ours":
                    check_same(work / "block" / "checkpoints", work)
                shutil.rmtree(work / "block")
                gc.collect()
        middle = {way: float(np.median(np.concatenate(found))) for way, found in seconds.items()}
        each = [float(np.median(a) / np.median(b)) for a, b in zip(seconds["ours"], seconds["bare"], strict=True)]
        print(f"{config.world}, {config.model}: {pairs} x {steps} steps of {config.batch} replies, each way")
        for way in ways:
            length, reward = (np.mean([row[n] for row in said[way]]) for n in ("completions/mean_length", "reward"))
            print(f"{way}: {1000 * middle[way]:.1f} ms a step, {length:.2f} tokens a reply, mean reward {reward:.3f}")
        ratio = middle["ours"] / middle["bare"]
        print(f"ours over bare: {ratio:.3f} (bar: 1.05); pair by pair {min(each):.3f} to {max(each):.3f}", flush=True)
        memory = {way: in_child(way, config, work, work / f"child-{way}") for way in ways}
        print("peak memory: " + ", ".join(f"{way} {facts['memory'] / 2**20:,.0f} MiB" for way, facts in memory.items())
              + f"; ratio {memory['ours']['memory'] / memory['bare']['memory']:.3f} (bar: 1.1)")  # fmt: skip
        if memory["bare"]["gpu"]:
            print("peak memory of the GPU: "
                  + ", ".join(f"{way} {facts['gpu'] / 2**20:,.0f} MiB" for way, facts in memory.items()))  # fmt: skip
        costs(config, work / "costs", middle["ours"])


def costs(config: GrpoConfig, out: Path, plain: float) -> None:
    """Print what one check and one save cost, and their share of a run at the usual distances."""
    often = {"check_every": EVERY, "save_every": EVERY, "steps": 4 * EVERY + 2}
    seconds = ours(GrpoConfig(**(asdict(config) | often)), out)
    checks, saves, others = [], [], []
    for step, taken in enumerate(seconds, 2):  # a check comes before its step is logged, a save after it
        last = step == often["steps"]
        (checks if step % EVERY == 0 or last else saves if step % EVERY == 1 else others).append(taken)
    for what, found, every in (("check", checks, "check_every"), ("save", saves, "save_every")):
        cost, usual = statistics.median(found) - statistics.median(others), getattr(GrpoConfig(), every)
        print(f"one {what}: {cost:.3f} s; every {usual} steps that is {cost / usual / plain:.1%} of a step")


def prepare(config: GrpoConfig, work: Path) -> None:
    """Write weights, prompts and TRL settings of a run into ``work``, for a trainer that knows nothing of vrsim."""

    class Prepared(Exception):
        """All is written."""

    def write(session: Any, callbacks: list[Any]) -> Any:
        session.learner.model.save_pretrained(work / "weights")
        session.learner.tokenizer.save_pretrained(work / "weights")
        (work / "rows.json").write_text(json.dumps(prompts(session).to_list()))
        (work / "settings.json").write_text(json.dumps(common_settings(session)))
        (work / "reasoning.json").write_text(json.dumps(session.template.reasoning))
        raise Prepared

    with contextlib.suppress(Prepared):
        carry_out("grpo", config, work / "prepared", write, config.max_tokens)


def ours(config: GrpoConfig, out: Path) -> np.ndarray:
    """Seconds of every step but the first, as ``vrsim train grpo`` takes them."""
    stamps: list[float] = []

    def progress(done: float, total: float, what: str) -> None:
        if what.startswith("grpo"):
            stamps.append(time.perf_counter())

    train_grpo(config, out, progress)
    return np.diff(stamps)


@quiet()
def bare(config: GrpoConfig, work: Path, out: Path) -> np.ndarray:
    """The same of TRL alone, with a reward function of three lines."""
    torch = import_torch()
    from datasets import Dataset
    from transformers import AutoModelForCausalLM, AutoTokenizer, PrinterCallback, TrainerCallback
    from trl import GRPOConfig, GRPOTrainer

    class Clock(TrainerCallback):
        def on_log(self, args: Any, state: Any, control: Any, logs: dict[str, Any], **kwargs: Any) -> None:
            if "train_runtime" not in logs:
                stamps.append(time.perf_counter())

    def reward(completions: list[str], task: list, labels: list, right: list, lead: list, **rest: Any) -> list[float]:
        replies = [read_reply(a + b, known, reasoning) for a, b, known in zip(lead, completions, labels, strict=True)]
        return [rule(reply, place, asked) for reply, place, asked in zip(replies, right, task, strict=True)]

    stamps: list[float] = []
    rule, reasoning = REPLY_REWARDS[config.reward], json.loads((work / "reasoning.json").read_text())
    trainer = GRPOTrainer(
        AutoModelForCausalLM.from_pretrained(work / "weights", dtype=torch.float32),
        reward,
        GRPOConfig(
            **json.loads((work / "settings.json").read_text())
            | {"output_dir": str(out), "save_strategy": "no", "report_to": "none"},
            num_generations=config.rollouts,
            max_completion_length=config.max_tokens,
            temperature=config.temperature,
            beta=config.beta,
            loss_type=config.loss,
            scale_rewards=config.scale,
            shuffle_dataset=False,
            disable_dropout=True,
        ),
        Dataset.from_list(json.loads((work / "rows.json").read_text())),
        processing_class=AutoTokenizer.from_pretrained(work / "weights"),
        callbacks=[Clock()],
    )
    trainer.remove_callback(PrinterCallback)
    trainer.train()
    trainer.state.save_to_json(str(out / "trainer_state.json"))
    torch.save(trainer.args, work / "training_args.bin")
    return np.diff(stamps)


def check_same(checkpoints: Path, work: Path) -> None:
    """Refuse to compare runs of different TRL settings."""
    torch = import_torch()
    [mine] = checkpoints.glob("*/training_args.bin")
    found = [torch.load(file, weights_only=False).to_dict() for file in (mine, work / "training_args.bin")]
    names = found[0].keys() | found[1].keys()
    differ = sorted(n for n in names - OWN if found[0].get(n) != found[1].get(n))
    if differ:
        raise SystemExit(f"the settings of TRL differ in {', '.join(differ)}; bare() must follow vrsim.training.grpo")


def history(folder: Path) -> list[dict[str, Any]]:
    """What TRL logged, one dict per step."""
    [file] = folder.rglob("trainer_state.json")
    return [row for row in json.loads(file.read_text())["log_history"] if "reward" in row]


# One way in a process of its own


def in_child(way: str, config: GrpoConfig, work: Path, out: Path) -> dict[str, Any]:
    """Seconds a step and peak memory in bytes, ``gpu`` 0 = without one."""
    (work / "config.json").write_text(json.dumps(asdict(config)))
    command = [sys.executable, __file__, "child", way, str(work), str(out)]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"the child failed:\n{done.stderr[-3000:]}")
    return json.loads(done.stdout.splitlines()[-1])


@app.command(hidden=True)
def child(way: str, work: Path, out: Path) -> None:
    torch = import_torch()
    held = json.loads((work / "config.json").read_text())
    config = GrpoConfig(**{name: tuple(value) if isinstance(value, list) else value for name, value in held.items()})
    seconds = ours(config, out) if way == "ours" else bare(config, work, out)
    gpu = torch.cuda.max_memory_allocated() if torch.cuda.is_available() else 0
    print(json.dumps({"seconds": seconds.tolist(), "memory": peak(), "gpu": gpu}))


def peak() -> int:
    """Most bytes that this process held. Linux hands ru_maxrss down from the parent, so its own mark goes first."""
    status = Path("/proc/self/status")
    lines = status.read_text().splitlines() if status.exists() else []
    marks = [1024 * int(line.split()[1]) for line in lines if line.startswith("VmHWM")]
    return marks[0] if marks else resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


if __name__ == "__main__":
    app()
