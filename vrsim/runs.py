"""Read a recorded run: its questions, what every agent decided, and what it was run on."""

import json
from collections.abc import Sequence
from dataclasses import astuple, dataclass
from pathlib import Path
from typing import Any

from vrsim.episode_files import read_episodes
from vrsim.episodes import Episodes
from vrsim.errors import ResultsError
from vrsim.loop import Played
from vrsim.ranking_folder import ASKED
from vrsim.records import MANIFEST, Cell, Question, episodes_file
from vrsim.rows import read_rows, to_played
from vrsim.world import World

__all__ = ["Question", "Run", "read_run", "together"]


@dataclass(frozen=True, eq=False)
class Run:
    """A recorded run. ``played`` has one Played per seed, in order of the seeds."""

    path: Path
    manifest: dict[str, Any]
    world: World
    played: dict[Question, dict[str, list[Played]]]  # by question, then by agent

    @property
    def agents(self) -> list[str]:
        return list(dict.fromkeys(agent for by_agent in self.played.values() for agent in by_agent))


def read_run(path: Path, world: World | None = None) -> Run:
    """Read a finished run. ``world`` saves loading it. Raises ResultsError, EpisodeError, WorldError."""
    path = Path(path)
    file = path / MANIFEST
    try:
        manifest = json.loads(file.read_text(encoding="utf-8"))
        config, finished, world_hash = manifest["config"], manifest["finished"], manifest["world_hash"]
        agents, seeds = config["agents"], config["seeds"]
        questions = [(*Question.from_key(key), found) for key, found in manifest["episodes"].items()]
    except FileNotFoundError:
        other = "holds the table of another command, which prints it again" if (path / ASKED).exists() else ""
        raise ResultsError(
            f"{path} is not a run: it {other or f'has no {MANIFEST}'}. Make one with `vrsim bench --out`"
        ) from None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ResultsError(f"{file} is damaged ({error!r})") from error
    if not finished:
        raise ResultsError(f"{path} is not finished; the command that made it goes on with --out {path}")
    if world is None:
        world = World.load(config["world"])
    if world.hash != world_hash:
        raise ResultsError(f"{path} was run on world {world_hash}, the world {world.name!r} here is {world.hash}")
    played: dict[Question, dict[str, list[Played]]] = {}
    for question in dict.fromkeys(question for question, _, _ in questions):
        known = [seed for other, seed, _ in questions if other == question]
        if not config.get("episodes") and known != list(range(seeds)):
            raise ResultsError(f"{file} is damaged: {question} lacks one of {seeds} seeds")
    for question, seed, expected in questions:
        cells = {agent: Cell(agent, *astuple(question), seed) for agent in agents}
        episodes = _read_questions(path, episodes_file(Cell("", *astuple(question), seed)), world, expected)
        for agent, cell in cells.items():
            played.setdefault(question, {}).setdefault(agent, []).append(_read_cell(path, cell, episodes))
    return Run(path, manifest, world, played)


def _read_questions(path: Path, name: str, world: World, expected: str) -> Episodes:
    file = path / name
    if not file.exists():
        raise ResultsError(f"{path} lacks {name}; the command that made the run makes it again")
    episodes = read_episodes(file, world)
    if episodes.hash != expected:
        raise ResultsError(f"{file} holds episodes {episodes.hash}, the run had {expected}")
    return episodes


def _read_cell(path: Path, cell: Cell, episodes: Episodes) -> Played:
    file = path / "cells" / cell.file
    if not file.exists():
        raise ResultsError(f"{path} lacks {file.name}; play it again with the command that made the run")
    rows, _ = read_rows(file, episodes)
    if len(rows) < len(episodes):
        raise ResultsError(f"{file}: expected {len(episodes)} decisions, found {len(rows)}")
    return to_played(rows, episodes, 0)


def together(runs: Sequence[Run]) -> dict[Question, dict[str, list[Played]]]:
    """Several runs as one table: by question, then by agent. An agent of several runs is named with its run.

    Raises ResultsError for runs of different worlds, or of different episodes under one name.
    """
    first = runs[0]
    merged: dict[Question, dict[str, list[Played]]] = {}
    names = [agent for run in runs for agent in run.agents]
    folders = [run.path.resolve() for run in runs]
    if len(set(folders)) < len(folders):
        raise ResultsError(f"a run is named twice: {', '.join(str(run.path) for run in runs)}")
    short = len({folder.name for folder in folders}) == len(folders)
    for run, folder in zip(runs, folders, strict=True):
        if run.world.hash != first.world.hash:
            raise ResultsError(
                f"{first.path} and {run.path} are runs of different worlds, {first.world.hash} and {run.world.hash}: "
                "their numbers do not belong into one table"
            )
        for question, by_agent in run.played.items():
            known = merged.setdefault(question, {})
            for agent, played in by_agent.items():
                for other in list(known.values())[:1]:
                    _refuse_other_episodes(question, run, played, other)
                known[agent if names.count(agent) == 1 else f"{agent} ({folder.name if short else folder})"] = played
    return merged


def _refuse_other_episodes(question: Question, run: Run, played: list[Played], before: list[Played]) -> None:
    if len(played) != len(before):
        raise ResultsError(
            f"{question}: {run.path} has {len(played)} seeds, the run before {len(before)}: "
            "their numbers do not belong into one table"
        )
    for one, other in zip(played, before, strict=True):
        if one.episodes.hash != other.episodes.hash:
            raise ResultsError(
                f"{question}: {run.path} asked other episodes than the run before, "
                f"{one.episodes.hash} and {other.episodes.hash}: their numbers do not belong into one table"
            )
