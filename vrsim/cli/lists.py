"""``vrsim agents``, ``vrsim policies``, ``vrsim envs`` and ``vrsim doctor``: what there is."""

import importlib.util
import inspect
import json
import platform
from collections.abc import Callable, Mapping
from typing import Any

from rich.markup import escape

from vrsim.cli.app import Json, app, out_console, print_rows
from vrsim.errors import VrsimError

__all__ = ["agents", "doctor", "envs", "policies"]


@app.command()
def agents(as_json: Json = False) -> None:
    """List the agents that --agent knows. Example: vrsim agents"""
    from vrsim.registry import agent_class, list_agents

    _print_classes(list_agents(), agent_class, as_json)


@app.command()
def policies(as_json: Json = False) -> None:
    """List the recommender agents that --env session knows. Example: vrsim policies"""
    from vrsim.registry import list_policies, policy_class

    _print_classes(list_policies(), policy_class, as_json)


def _print_classes(known: Mapping[str, str], load: Callable[[str], type], as_json: bool) -> None:
    rows = []
    for name, target in sorted(known.items()):
        try:
            cls = load(name)
        except VrsimError as error:  # a broken plug-in is named, the others are listed all the same
            rows.append({"name": name, "about": str(error), "options": [], "class": target})
            continue
        options = [str(p) for p in inspect.signature(cls).parameters.values()]
        about = (cls.__doc__ or "").strip().split("\n")[0]
        rows.append({"name": name, "about": about, "options": options, "class": target})
    print_rows(rows, ("name", "about", "options"), as_json)


@app.command()
def envs(as_json: Json = False) -> None:
    """List the environments that gym.make knows. Example: vrsim envs"""
    import gymnasium as gym

    rows = []
    for spec in gym.registry.values():
        if spec.id.startswith("vrsim/"):
            cls = gym.envs.registration.load_env_creator(spec.entry_point)
            options = [str(p) for p in inspect.signature(cls).parameters.values()]
            about = (cls.__doc__ or "").strip().split("\n")[0]
            rows.append({"name": spec.id, "about": about, "options": options, "class": spec.entry_point})
    print_rows(rows, ("name", "about", "options"), as_json)


@app.command()
def doctor(as_json: Json = False) -> None:
    """Say what is installed, what is missing, and what that switches off. Example: vrsim doctor"""
    from vrsim.building import versions
    from vrsim.worlds import home

    needs = {
        "llm": (("torch", "transformers", "accelerate", "peft", "openai"),
                "agents that ask a language model: pocket, Hugging Face models, servers"),
        "recbole": (("torch", "recbole", "kmeans_pytorch", "pandas", "safetensors"),
                    "worlds ml-100k, ml-1m, steam, microlens; trained recommenders, agent recommender:model=..."),
        "report": (("matplotlib",), "vrsim report"),
        "minari": (("minari",), "sessions as a Minari data set: vrsim sessions export"),
        "sb3": (("stable_baselines3",), "agent sb3, and the policy of that name"),
        "train": (("torch", "transformers", "accelerate", "peft", "datasets", "tensorboard", "trl"),
                  "vrsim train"),
    }  # fmt: skip
    extras = []
    for extra, (modules, use) in needs.items():
        missing = [name for name in modules if importlib.util.find_spec(name) is None]
        state = "installed" if not missing else f"missing {', '.join(missing)}"
        extras.append(
            {"extra": extra, "state": state, "for": use, "install": f"pip install -e '.[{extra}]' in a checkout"}
        )
    facts: dict[str, Any] = {
        "python": platform.python_version(),
        "system": platform.platform(),
        "cache": str(home()),
        "versions": versions(),
        "extras": extras,
    }
    if importlib.util.find_spec("torch"):
        try:
            import torch
        except (ImportError, OSError, RuntimeError) as error:
            facts["gpu"] = f"unknown: torch is installed and cannot be imported: {error}"
        else:
            facts["gpu"] = torch.cuda.get_device_name() if torch.cuda.is_available() else "none, the CPU is used"
    if as_json:
        print(json.dumps(facts, indent=1))
        return
    for key in ("python", "system", "gpu", "cache"):
        if key in facts:
            out_console.print(f"{key:8} {escape(facts[key])}", soft_wrap=True)
    out_console.print("versions " + ", ".join(f"{n} {v}" for n, v in facts["versions"].items()), soft_wrap=True)
    for row in extras:
        good = row["state"] == "installed"
        out_console.print(f"\\[{row['extra']}] {row['state']}: {row['for']}", soft_wrap=True)
        if not good:
            out_console.print(f"          switched off until: {escape(row['install'])}", soft_wrap=True)
