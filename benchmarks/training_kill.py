"""Training runs that are killed at random steps and go on, beside unbroken ones.

Run: python benchmarks/training_kill.py            (the tiny world; a minute)
     python benchmarks/training_kill.py --world ml-100k:holdout=10 --model checkpoint:FOLDER
"""

import contextlib
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import numpy as np
import typer
from training import Changes, Learner, Name, changes, small_model

from vrsim.training.run_folder import METRICS, TrainingFolder, read_metrics

app = typer.Typer(add_completion=False, help=__doc__, pretty_exceptions_enable=False)


@app.command()
def kill(
    world: Name = "tiny",
    model: Learner = "",
    option: Changes = [],  # noqa: B006
    method: Annotated[str, typer.Option(help="sft, grpo or both.")] = "both",
    steps: Annotated[int, typer.Option(min=5, help="Steps of a run; a tenth of them lies between checkpoints.")] = 40,
    kills: Annotated[int, typer.Option(min=1, help="At most so many for each method.")] = 5,
    seed: Annotated[int, typer.Option(help="Of the moments of the kills.")] = 0,
) -> None:
    """SIGKILL at random moments: the weights in the end beside those of a run that nobody killed."""
    same = True
    with tempfile.TemporaryDirectory() as folder:
        model = model or small_model(world, Path(folder))
        for place, name in enumerate(("sft", "grpo") if method == "both" else (method,)):
            every = {"steps": steps, "save_every": max(1, steps // 10), "check_every": max(1, steps // 4), "log": ""}
            given = changes(name, world, model, option, every)
            words = [word for key, value in given.items() for word in ("--option", f"{key}={value}")]
            command = [sys.executable, "-m", "vrsim", "train", name, *words, "--out"]
            rng = np.random.default_rng([seed, place])
            same &= killed(name, command, Path(folder) / name, steps, kills, rng)
    raise typer.Exit(0 if same else 1)


def killed(name: str, command: list[str], work: Path, steps: int, kills: int, rng: np.random.Generator) -> bool:
    """Whether both runs end with the same bytes; prints what happened."""
    with started([*command, str(work / "whole")]) as process:
        finish(process)
    rows = read_metrics(work / "whole")
    each = max(row.get("seconds", 0.0) for row in rows) / steps
    out, moments = work / "killed", []
    for _ in range(kills):
        begin = max(TrainingFolder(out, {}).checkpoints(), default=0)
        if begin == steps:  # the last kill hit a run that had only the model left to write
            break
        with started([*command, str(out)]) as process:
            before = identity(out / METRICS)
            wanted, late = int(rng.integers(begin, steps)) + 1, 2 * each * rng.random()
            while process.poll() is None and (identity(out / METRICS) in (None, before) or newest(out) < wanted):
                time.sleep(0.005)
            time.sleep(late)
            if process.poll() is not None:
                finish(process)
                break
            process.kill()
            process.wait()
        moments.append(f"step {newest(out)} (from {begin})")
    with started([*command, str(out)]) as process:
        finish(process)
    difference = distance(work / "whole" / "model", out / "model")
    kept = [
        [{k: v for k, v in row.items() if k not in ("seconds", "step_time")} for row in read_metrics(work / folder)]
        for folder in ("whole", "killed")
    ]
    print(f"{name}: {steps} steps of {each:.3f} s, killed {len(moments)} times, after {', '.join(moments)}")
    equal = "yes" if difference is None else f"no, weights differ by up to {difference:.3g}"
    print(f"  same bytes of weights: {equal}; same metrics: {'yes' if kept[0] == kept[1] else 'no'}", flush=True)
    return difference is None


@contextlib.contextmanager
def started(command: list[str]) -> Iterator[subprocess.Popen]:
    """A process that does not outlive its block; what it says goes into a file, which never fills up."""
    with tempfile.TemporaryFile("w+") as said:
        process = subprocess.Popen(command, stdout=said, stderr=said, text=True)
        process.said = said
        try:
            yield process
        finally:
            process.kill()
            process.wait()


def finish(process: subprocess.Popen) -> None:
    """Wait for a process, and end the benchmark with its last words if it failed."""
    if process.wait():
        process.said.seek(0)
        raise SystemExit(f"{' '.join(process.args)} failed:\n{process.said.read()[-3000:]}")


def identity(file: Path) -> int | None:
    """Which file it is: a run that goes on begins with a new one."""
    return file.stat().st_ino if file.exists() else None


def newest(out: Path) -> int:
    """The last step that was logged."""
    return max((row["step"] for row in read_metrics(out)), default=0)


def distance(one: Path, other: Path) -> float | None:
    """The largest difference between weights, None = not a byte differs."""
    from safetensors.numpy import load_file

    files = sorted(file.name for file in one.glob("*.safetensors"))
    if files != sorted(file.name for file in other.glob("*.safetensors")) or not files:
        raise SystemExit(f"{one} and {other} hold different files of weights")
    if all((one / file).read_bytes() == (other / file).read_bytes() for file in files):
        return None
    pairs = [(load_file(one / file), load_file(other / file)) for file in files]
    return max(float(np.abs(a[name] - b[name]).max()) for a, b in pairs for name in a)


if __name__ == "__main__":
    app()
