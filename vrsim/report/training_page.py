"""The page about training runs: how each ended, its numbers, the pictures, its settings, and how to go on with it."""

import json
import math
from collections.abc import Sequence
from typing import Any

from vrsim.numerals import number
from vrsim.report.page import static_page
from vrsim.report.parts import Html, facts, fold, isolated, plain, plural, table
from vrsim.report.plain_text import cut, shorten_folders, shorten_paths, signed
from vrsim.report.training_runs import TrainingRun
from vrsim.report.training_words import WINDOW, bench_command, defaults, digits, ending, find_gap, smoothed, warnings_of

__all__ = ["training_page"]

HASH = 10  # characters of a hash in a table
HEADS = (
    "run", "<method", "<how it ended", "<model it started from", "<world", "<protocol", "steps", "seconds", "seed",
    "<hash of the weights",
)  # fmt: skip
GAP_HEADS = (
    "run", "<task", "train", "*validation users", "gap", "at step", "validation users before", "reward at the end"
)  # fmt: skip


def training_page(runs: Sequence[TrainingRun], pictures: Html) -> Html:
    """The whole page; ``pictures`` are figures."""
    title = f"{', '.join(run.name for run in runs)}, vrsim training"
    content = _head(runs) + _numbers(runs) + _pictures(pictures) + _settings(runs) + _bench(runs) + _provenance(runs)
    return static_page(title, content)


def _head(runs: Sequence[TrainingRun]) -> Html:
    methods = [f"{sum(r.method == m for r in runs)} of {m}" for m in dict.fromkeys(r.method for r in runs)]
    told = (
        f"{plural(len(runs), 'training run')} ({', '.join(methods)})"
        if len(runs) > 1
        else f"One run of {methods[0][5:]}"
    )
    rows = [("", _row(run)) for run in runs]
    boxes = "".join(map(_box, runs)) + "".join(f'<p class="soft">{plain(said)}</p>\n' for said in warnings_of(runs))
    return (
        f"<header>\n<h1>Training on {_place(runs[0].config['world'])}</h1>\n<p>{plain(told)}. "
        '<a href="#bench">Benchmark the model</a> · <a href="#made">How this was made</a></p>\n</header>\n'
        f'<section aria-label="Runs">\n{boxes}{table("Runs", HEADS, rows)}</section>\n'
    )


def _row(run: TrainingRun) -> list[Html]:
    total = run.config["steps"]
    return [
        isolated(run.name),
        isolated(run.method),
        ending(run),
        _place(run.origin),
        _place(run.config["world"]),
        isolated(run.config["protocol"]),
        f"{run.step:,}" if run.step == total else f"{run.step:,} of {total:,}",
        f"{run.seconds:,.1f}" if math.isfinite(run.seconds) else "",
        str(run.config["seed"]),
        f"<code>{plain(run.hash[:HASH])}</code>" if run.hash else "",
    ]


def _box(run: TrainingRun) -> Html:
    """What a reader must not miss; nothing for a run that went well."""
    if run.stopped:
        title, said = "was stopped.", shorten_folders(run.stopped)
    elif not run.finished:
        title = "is not finished."
        said = f"Shown are {run.step:,} of {run.config['steps']:,} steps; the command that started it goes on."
    else:
        return ""
    return f'<p class="box" role="note"><strong>{isolated(run.name)} {title}</strong> {plain(said)}</p>\n'


def _numbers(runs: Sequence[TrainingRun]) -> Html:
    rows = []
    for run in runs:
        for task in run.tasks:
            gap, reward = find_gap(run, task), run.series(f"reward_{task}")
            train = smoothed(run.series(f"accuracy_{task}"))
            cells = [number(train[-1]) if len(train) else "", "", "", "", ""]
            if gap:
                cells = [number(gap.train), number(gap.held_out)]
                cells += [signed(gap.value), f"{gap.step:,}", number(gap.before) if gap.first < gap.step else ""]
            end = digits(smoothed(reward)[-1]) if len(reward) else ""
            rows.append(("", [isolated(run.name), isolated(task), *cells, end]))
    notes = [
        f"Train: the mean of the last {WINDOW} logged steps up to the last check. Validation users: never trained on, "
        "asked the same questions at every check; before: at the first check."
    ]
    if warm := list(dict.fromkeys(run.config["temperature"] for run in runs if "temperature" in run.config)):
        notes.append(
            f"Replies in training are sampled at temperature {', '.join(f'{t:g}' for t in warm)}, those of a check are "
            "the likeliest ones, which are usually right more often: a gap of 0 does not show that nothing was "
            "memorized."
        )
    if asked := [run.config["checked"] for run in runs if run.config.get("checked", 0) > 0]:
        spread = 1.96 * 0.5 / math.sqrt(min(asked))
        notes.append(
            f"A check asks at most {min(asked):,} questions of each task, so that an accuracy of .5 is uncertain by at "
            f"least {number(spread, 2)} either way."
        )
    if not rows:
        return ""
    return (
        f'<section aria-labelledby="numbers">\n<h2 id="numbers">Reward and accuracy</h2>\n'
        f'{table("Reward and accuracy", GAP_HEADS, rows)}<p class="soft">{plain(" ".join(notes))}</p>\n</section>\n'
    )


def _pictures(pictures: Html) -> Html:
    if not pictures:
        return '<section aria-label="Pictures"><p>There is nothing to draw yet.</p></section>\n'
    return (
        '<section aria-labelledby="steps">\n<h2 id="steps">Step by step</h2>\n'
        f'<div class="pictures">\n{pictures}</div>\n</section>\n'
    )


def _settings(runs: Sequence[TrainingRun]) -> Html:
    """A row per setting that is not the default somewhere."""
    usual = [defaults(run.method) for run in runs]
    rows = []
    for name in dict.fromkeys(name for run in runs for name in run.config):
        have = [(run.config.get(name), known.get(name)) for run, known in zip(runs, usual, strict=True)]
        if all(value == known for value, known in have):
            continue
        first = list(dict.fromkeys(_value(known[name]) if name in known else "" for known in usual))
        values = [_value(run.config[name]) if name in run.config else "" for run in runs]
        rows.append(("", [isolated(name), " / ".join(filter(None, first)) or "unknown", *values]))
    heads = ["setting", "<default", *(f"< {cut(run.name, 60)}" for run in runs)]
    shown = table("Settings", heads, rows) if rows else "<p>None: every setting is the default.</p>\n"
    return (
        '<section aria-labelledby="settings">\n<h2 id="settings">Settings that differ from the defaults</h2>\n'
        f"{shown}</section>\n"
    )


def _bench(runs: Sequence[TrainingRun]) -> Html:
    pairs, dots = [], False
    for run in runs:
        command = bench_command(run, short=True)
        dots = dots or "…" in command
        told = "" if run.kept else "No model was kept." if run.finished else "Once it is finished: "
        shown = f"<code>{plain(command)}</code>" if run.kept or not run.finished else ""
        pairs.append((cut(run.name, 60), plain(told) + (" " if told else "") + shown))
    dotted = '<p class="soft">… stands for folders of the machine that this was written on.</p>\n' if dots else ""
    return (
        '<section aria-labelledby="bench">\n<h2 id="bench">Benchmark the model</h2>\n<p>Validation users are not the '
        "test users of the protocol. A benchmark asks those, with intervals; <code>vrsim report</code> sets the model "
        f"beside shortcuts.</p>\n{facts(pairs)}{dotted}</section>\n"
    )


def _provenance(runs: Sequence[TrainingRun]) -> Html:
    parts = []
    for run in runs:
        held = run.manifest
        versions = ", ".join(f"{name} {version}" for name, version in held["versions"].items())
        before = [f"{step.get('method')}, {step.get('step')} steps, from {step.get('origin')}" for step in run.lineage]
        pairs = [
            ("Command", f"<code>{plain(shorten_paths(held['command']))}</code>"),
            ("Trained before", "<br>".join(plain(shorten_folders(step)) for step in before)),
            ("Versions", plain(versions)),
            ("Started", plain(str(held.get("started_at", "")))),
            ("Finished", plain(str(held.get("finished_at", "")))),
        ]
        hashes = {"World": held["world_hash"], "Protocol": held["protocol_hash"], "Weights": run.hash}
        kept = [(name, f"<code>{plain(value)}</code>") for name, value in hashes.items() if value]
        parts.append(f"<h3>Run {isolated(run.name)}</h3>\n{facts(pairs)}{fold('Hashes', facts(kept))}")
    return f'<section aria-labelledby="made">\n<h2 id="made">How this was made</h2>\n{"".join(parts)}</section>\n'


def _place(name: str) -> Html:
    """A name that may be a folder."""
    return isolated(shorten_folders(name))


def _value(value: Any) -> Html:
    """A setting as it would be written."""
    if isinstance(value, list):
        return ", ".join(map(_value, value)) or "none"
    if isinstance(value, str):
        return _place(value) if value else "none"
    return isolated(json.dumps(value))
