"""Episodes as a folder that the Hugging Face library ``datasets`` reads, and its hub shows: parquet files and a card.

Each task is a configuration, each split a file: ``load_dataset(FOLDER, "selection")``. The files are those of
vrsim.episode_files, with titles beside the ids, so that they can be used without vrsim and asked with it.
"""

import json
from collections.abc import Sequence
from itertools import groupby
from pathlib import Path

import pyarrow.parquet as pq

import vrsim
from vrsim.episode_files import save_episodes
from vrsim.episodes import Episodes
from vrsim.errors import OptionError
from vrsim.sources import terms_of
from vrsim.world_files import locked, staged

__all__ = ["file_of", "save_folder"]

CARD = "README.md"


def save_folder(parts: Sequence[Episodes], folder: Path) -> None:
    """Write episodes of one world and one protocol into a new folder, each of another task or split, task by task.

    Raises OptionError for a folder that exists, WorldError if it cannot be written; then nothing is kept.
    """
    folder = Path(folder)
    with locked(folder):
        if folder.exists():
            raise OptionError(f"{folder} exists already; choose another folder")
        with staged(folder) as private:
            for part in parts:
                save_episodes(part, private / file_of(part), titles=True)
            (private / CARD).write_text(_card(parts, private), encoding="utf-8")


def file_of(part: Episodes) -> str:
    """Where the questions of one task and split lie in the folder."""
    return f"{part.task}/{part.split}.parquet"


def _configurations(parts: Sequence[Episodes], folder: Path) -> str:
    """The part of the card that ``datasets`` reads, YAML; a file with another number of rows is refused by it."""
    files, sizes = [], []
    for task, same in groupby(parts, lambda part: part.task):
        files += [f"- config_name: {task}", "  data_files:"]
        sizes += [f"- config_name: {task}", "  splits:"]
        for part in same:
            held = pq.read_metadata(folder / file_of(part))
            size = sum(held.row_group(i).total_byte_size for i in range(held.num_row_groups))
            files.append(f"  - {{split: {part.split}, path: {file_of(part)}}}")
            sizes.append(f"  - {{name: {part.split}, num_bytes: {size}, num_examples: {len(part)}}}")
    return "\n".join(["configs:", *files, "dataset_info:", *sizes])


def _card(parts: Sequence[Episodes], folder: Path) -> str:
    first = parts[0]
    world, protocol = first.world, first.protocol
    rows = "\n".join(
        f"| {part.task} | {part.split} | {len(part):,} | {part.left_out:,} | {part.slates.shape[1]} | `{part.hash}` |"
        for part in parts
    )
    differs = "".join(f"\n- It differs from what was published: {text}" for text in protocol.differs)
    return f"""---
pretty_name: {json.dumps(f"{protocol.name} on {world.name}")}
tags: [vrsim, recommender-systems, user-simulation]
{_configurations(parts, folder)}
---
# {protocol.name} on {world.name}

Questions about what real users of a recommender system did next, for simulated users to answer. Made by vrsim
{vrsim.__version__}.

| task | split | questions | positions left out | items shown | hash of the questions |
|---|---|---|---|---|---|
{rows}

Users of the two splits are different people. {first.cohort.capitalize()} users, seed {first.seed}.

| column | |
|---|---|
| `user`, `t` | the publisher's id of the user, and how many interactions came before |
| `history`, `history_titles` | up to {protocol.history} of these, oldest first |
| `slate`, `slate_titles` | the items shown |
| `answer` | judgment: 1 = the user took the item, 0 = not; selection: place of the item taken, from 0 |

## Where it comes from

- World {world.name}, hash `{world.hash}`.
- Protocol {protocol.name}, hash `{protocol.hash}`. Source: {protocol.source}
- What a score says: {protocol.measures}
- What it does not say: {protocol.cannot}{differs}

## May it be passed on?

{_passing(world.name)}

## Use it

    from datasets import load_dataset
    questions = load_dataset("FOLDER", "{first.task}")
{_asking(parts)}"""


def _asking(parts: Sequence[Episodes]) -> str:
    files = " ".join(f"--episodes FOLDER/{file_of(part)}" for part in parts if part.split == "test")
    if not files:
        return ""
    return f"""
or, against the agents of vrsim, with the world of this hash,

    vrsim bench --world {parts[0].world.name} {files}
"""


def _passing(world: str) -> str:
    if terms := terms_of(world):
        return f"**No.** These rows hold data of {world}: {terms}. Pass on the command that made them, and its hash."
    return "These rows hold the data of the world: under the terms of whoever owns them."
