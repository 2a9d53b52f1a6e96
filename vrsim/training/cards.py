"""The card of a trained model: what it is, what it was trained on, and how well it did."""

import hashlib
import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

from vrsim.building import versions
from vrsim.errors import TrainingError
from vrsim.models.pocket import CARD
from vrsim.models.trained import KIND, read_trained
from vrsim.protocols import get_protocol
from vrsim.text.templates import Template
from vrsim.training.config import TrainConfig
from vrsim.training.examples import Questions
from vrsim.training.learner import Learner
from vrsim.world import World

__all__ = ["model_page", "read_card", "start_card", "write_card"]


def start_card(
    world: World,
    config: TrainConfig,
    learner: Learner,
    questions: Questions,
    template: Template,
    method: str,
    max_tokens: int,
) -> dict[str, Any]:
    """What is known of the model before it is trained; plain data."""
    agent = getattr(config, "agent", "us-agent")
    switches: dict[str, Any] = {"max_tokens": max_tokens}
    if agent == "us-agent":
        own = {} if template.name == learner.completes else {"prompt": template.name}
        switches |= {name: getattr(config, name) for name in ("cot", "comments", "captions", "history")} | own
    return {
        "kind": KIND,
        "method": method,
        "world": world.name,
        "world_hash": world.hash,
        "protocol": config.protocol,
        "protocol_hash": get_protocol(config.protocol).hash,
        "agent": agent,
        "switches": switches,
        "completes": template.name,
        "prompt": {template.id: template.hash},
        "base": learner.base,
        "origin": learner.origin,
        "lineage": list(learner.lineage),
        "config": asdict(config),
        "users": sorted({*questions.users.tolist(), *questions.validation_users.tolist()}),
        "positions": questions.positions,
        "versions": versions(),
    }


def write_card(folder: Path, card: dict[str, Any]) -> dict[str, Any]:
    """Put the card into a folder with weights; it names their SHA-256. Raises TrainingError."""
    weights = sorted(folder.glob("*.safetensors"))
    if not weights:
        raise TrainingError(f"{folder} has no weights: the model could not be written")
    total = hashlib.sha256()
    for file in weights:
        with file.open("rb") as content:
            total.update(hashlib.file_digest(content, "sha256").digest())
    whole = card | {"hash": total.hexdigest()}
    (folder / f".{CARD}").write_text(json.dumps(whole, indent=1) + "\n", encoding="utf-8")
    (folder / f".{CARD}").replace(folder / CARD)
    return whole


def read_card(folder: Path) -> dict[str, Any]:
    """The card of a trained model. Raises ModelError."""
    return read_trained(folder).card


def model_page(card: dict[str, Any]) -> str:
    """The page that the Hugging Face hub shows of the model, in Markdown."""
    config = card["config"]
    scores = "\n".join(f"| {name} | {value:.3f} |" for name, value in card["scores"].items()) or "| none | |"
    steps = [*card["lineage"], {"method": card["method"], "step": card["step"], "origin": card["origin"]}]
    history = "\n".join(
        f"{place}. {step['method']}, {step['step']} steps, from {step['origin']}" for place, step in enumerate(steps, 1)
    )
    base = f"base_model: {card['base']}\nlibrary_name: peft\n" if card["base"] else "library_name: transformers\n"
    return f"""---
{base}tags: [vrsim, recommender-systems, user-simulation]
---
# A simulated user, trained by vrsim

It answers as a user of a recommender system would, asked with the prompt {", ".join(card["prompt"])}.

| | |
|---|---|
| world | {card["world"]} (`{card["world_hash"][:16]}`) |
| protocol | {card["protocol"]} (`{card["protocol_hash"][:16]}`) |
| training users | {len(card["users"])}, {card["positions"]} positions; test users were not among them |
| weights | `{card["hash"][:16]}` |
| seed | {config["seed"]} |

## How it came about

{history}

## Scores on validation users

| accuracy of | |
|---|---|
{scores}

These users are not the test users of the protocol. A benchmark asks those, with intervals and shortcuts beside:

    vrsim bench --world {card["world"]} --protocol {card["protocol"]} --agent checkpoint:FOLDER

It was trained on published behaviour of people under one protocol. Its answers say what such users tend to do there; a
score means little until it stands beside the shortcuts of `vrsim audit`.
"""
