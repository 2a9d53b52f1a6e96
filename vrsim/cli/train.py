"""``vrsim train``: make simulated users."""

import json
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.markup import escape

import vrsim
from vrsim.cli.app import Json, app, err_console, out_console, read_settings

__all__ = ["grpo", "launcher", "presets", "sft"]

LAUNCHERS = Path(vrsim.__file__).parent / "training" / "launchers"

train_app = typer.Typer(help="Train simulated users on a world's training users.", no_args_is_help=True)
app.add_typer(train_app, name="train")

Preset = Annotated[str, typer.Option(help="Settings to start from; see `vrsim train presets`.")]
World = Annotated[str | None, typer.Option(help="Name or folder of the world.")]
Protocol = Annotated[str | None, typer.Option(help="Protocol whose training users are asked.")]
Model = Annotated[str | None, typer.Option(help="pocket, hf:NAME or checkpoint:FOLDER.")]
Steps = Annotated[int | None, typer.Option(help="Optimizer steps.")]
Seed = Annotated[int | None, typer.Option(help="Of the questions, their order and the weights.")]
Option = Annotated[list[str], typer.Option(help="Any other setting, NAME=VALUE; repeat.")]
Out = Annotated[Path | None, typer.Option(help="Folder of the run; an unfinished one goes on. Default: runs/TIME.")]


@train_app.callback()
def _group() -> None:
    """Train simulated users on a world's training users."""


@train_app.command()
def sft(
    preset: Preset = "pocket",
    world: World = None,
    protocol: Protocol = None,
    model: Model = None,
    steps: Steps = None,
    seed: Seed = None,
    option: Option = [],  # noqa: B006
    out: Out = None,
    as_json: Json = False,
) -> None:
    """Supervised fine-tuning: the model learns to write the right reply.

    Examples:

      vrsim train sft --protocol uniform --out runs/sft

      vrsim train sft --preset tallrec-64 --model hf:Qwen/Qwen2.5-0.5B-Instruct --option gpu=False
    """
    from vrsim.training.config import SftConfig
    from vrsim.training.sft import train_sft

    own = {"world": world, "protocol": protocol, "model": model, "steps": steps, "seed": seed}
    _train("sft", train_sft, SftConfig, preset, own, option, out, as_json)


@train_app.command()
def grpo(
    preset: Preset = "pocket",
    world: World = None,
    protocol: Protocol = None,
    model: Model = None,
    steps: Steps = None,
    seed: Seed = None,
    option: Option = [],  # noqa: B006
    out: Out = None,
    as_json: Json = False,
) -> None:
    """GRPO: the model is rewarded for answering as the user did. The preset pocket begins with its fine-tuning.

    Examples:

      vrsim train grpo --protocol uniform --out runs/user

      vrsim bench --world ml-100k:holdout=10 --protocol uniform --agent checkpoint:runs/user

      vrsim train grpo --model checkpoint:runs/sft --option curriculum=mixed --option rollouts=16
    """
    from vrsim.training.config import GrpoConfig
    from vrsim.training.grpo import train_grpo

    own = {"world": world, "protocol": protocol, "model": model, "steps": steps, "seed": seed}
    _train("grpo", train_grpo, GrpoConfig, preset, own, option, out, as_json)


@train_app.command()
def presets(as_json: Json = False) -> None:
    """List the presets with what they set. Example: vrsim train presets"""
    from dataclasses import asdict

    from vrsim.cli.app import print_rows
    from vrsim.training.presets import PRESETS

    rows = []
    for kind, known in PRESETS.items():
        method = kind.__name__.removesuffix("Config").lower()
        for name, values in known.items():
            plain = asdict(kind(**values)) if as_json else {}
            said = ", ".join(f"{key}={value}" for key, value in values.items())
            rows.append({"method": method, "preset": name, "settings": plain or said})
    print_rows(rows, ("method", "preset", "settings"), as_json)


@train_app.command()
def launcher(
    name: Annotated[str, typer.Argument(help="fsdp, deepspeed, deepspeed3 or cpu.")],
) -> None:
    """Print the path of a configuration for accelerate, to train with several processes.

    Example:

      accelerate launch --config_file $(vrsim train launcher fsdp) -m vrsim train grpo --preset vragent-paper
    """
    from vrsim.errors import UnknownNameError

    known = {file.stem: file for file in LAUNCHERS.glob("*.yaml")}
    if name not in known:
        raise UnknownNameError("launcher", name, known)
    print(known[name])


def _train(
    method: str,
    train: Any,
    kind: Any,
    preset: str,
    own: dict[str, Any],
    option: list[str],
    out: Path | None,
    as_json: bool,
) -> None:
    from vrsim.progress import progress_bar
    from vrsim.training.presets import make_training

    config = make_training(kind, preset, read_settings(option, **own))
    folder = out or Path("runs") / datetime.now().strftime(f"%Y-%m-%d-%H%M%S-{method}")
    try:
        with progress_bar(method) as progress:
            card = train(config, folder, progress)
    except KeyboardInterrupt:
        if (folder / "training.json").exists():
            again = "" if out else f" with --out {folder}"
            err_console.print(f"\nstopped; the same command{again} goes on from the last checkpoint")
        raise
    if as_json:
        print(json.dumps({"out": str(folder), **card}, indent=1))
        return
    scores = ", ".join(f"{name} {value:.3f}" for name, value in card["scores"].items())
    out_console.print(
        f"{escape(str(folder))}\n{card['step']} steps on {len(card['users'])} users of {card['world']}, protocol "
        f"{card['protocol']}\nvalidation users: {scores or 'not checked'}\n\n"
        f"vrsim bench --world {card['world']} --protocol {card['protocol']} --agent checkpoint:{folder}",
        soft_wrap=True,
        highlight=False,
    )
