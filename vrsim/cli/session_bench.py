"""``vrsim bench --env session``: what goes with it, and how its result is printed."""

import json
from collections.abc import Mapping
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.markup import escape

import vrsim
from vrsim.cli.app import out_console
from vrsim.cli.suites import going_on, print_tables
from vrsim.errors import OptionError, UnknownNameError
from vrsim.ranking_folder import ASKED

if TYPE_CHECKING:
    from vrsim.bench import Budget
    from vrsim.session.bench import SessionBenchConfig

__all__ = ["ENVS", "refuse_for_session", "session_bench"]

ENVS = ("decision", "session")


def refuse_for_session(env: str, given: Mapping[str, Any], of_sessions: Mapping[str, Any]) -> bool:
    """Whether sessions are asked for. Raises for options that do not go with ``env``: those ``given`` with sessions,
    those ``of_sessions`` without."""
    if env not in ENVS:
        raise UnknownNameError("env", env, ENVS)
    wrong = given if env == "session" else of_sessions
    for name, value in wrong.items():
        if value:
            raise OptionError(f"--{name} does not go with --env {env}")
    return env == "session"


def session_bench(
    config: "SessionBenchConfig", folder: Path, budget: "Budget", ray: str | None, unnamed: bool, as_json: bool
) -> None:
    """Play policies in sessions and print them."""
    from vrsim.progress import progress_bar, silent
    from vrsim.registry import make_agent
    from vrsim.session.bench import run_session_bench, session_json
    from vrsim.session.tables import session_tables

    asks = make_agent(config.user).interactive  # a bar would write over the questions
    with going_on(folder, ASKED, unnamed):
        vrsim.World.load(config.world)  # building it has a bar of its own
        with nullcontext(silent) if asks else progress_bar("sessions") as progress:
            result = run_session_bench(config, folder, progress, budget, ray)
    if as_json:
        print(json.dumps({"out": str(folder), **session_json(result)}, indent=1))
        return
    print_tables(session_tables(result))
    out_console.print(f"records: {escape(str(folder))}", soft_wrap=True)
