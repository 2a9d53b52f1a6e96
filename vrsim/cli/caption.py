"""``vrsim caption``: from videos and titles to captions."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape

from vrsim.cli.app import Json, app, out_console, read_settings
from vrsim.cli.suites import going_on
from vrsim.errors import OptionError
from vrsim.whole_files import write_whole

if TYPE_CHECKING:
    from vrsim.perception.captioning import Captioned

__all__ = ["caption"]

SHOWN = 100  # items on a contact sheet


@app.command()
def caption(
    videos: Annotated[Path, typer.Argument(help="Folder with the files: ITEM.mp4, or as --titles names them.")],
    titles: Annotated[Path, typer.Option(help="Table of the items: item_id, title[, video, cover]; CSV or parquet.")],
    out: Annotated[Path, typer.Option(help="The table of captions; its stages are kept beside it.")] = Path(
        "captions.parquet"
    ),
    model: Annotated[
        str, typer.Option(help="Multimodal model: hf:NAME, or openai:NAME with --option base_url=...")
    ] = "hf:Qwen/Qwen2.5-VL-7B-Instruct",
    clip: Annotated[
        str, typer.Option(help="Model of open_clip that chooses frames: NAME, NAME:WEIGHTS, hf-hub:NAME or a folder.")
    ] = "",
    choose: Annotated[
        str, typer.Option(help="Frames by clip (key frame retrieval), uniform, random (adjacent ones) or cover.")
    ] = "clip",
    frames: Annotated[int, typer.Option(help="Frames sampled from each video.")] = 16,
    keep: Annotated[int, typer.Option(help="Frames that the model sees at most.")] = 5,
    limit: Annotated[int, typer.Option(help="Words of a caption at most.")] = 35,
    no_cmp: Annotated[bool, typer.Option("--no-cmp", help="Ask about frames and title apart.")] = False,
    no_rra: Annotated[
        bool, typer.Option("--no-rra", help="Keep the long text; no rewriting for recommending.")
    ] = False,
    option: Annotated[list[str], typer.Option(help="Setting of the model, NAME=VALUE; repeat.")] = [],  # noqa: B006
    until: Annotated[str, typer.Option(help="Stop after frames, choice or perception.")] = "caption",
    redo: Annotated[
        str, typer.Option(help="Do this stage and those behind it again, with the answers that are stored.")
    ] = "",
    vectors: Annotated[
        Path | None, typer.Option(help="Write open_clip's vectors of covers and key frames, for recommenders.")
    ] = None,
    report: Annotated[Path | None, typer.Option(help="Draw a contact sheet as one HTML page.")] = None,
    shown: Annotated[int, typer.Option(help="Items on the contact sheet at most.")] = SHOWN,
    decoders: Annotated[int, typer.Option(help="Processes that decode videos.")] = 2,
    limit_s: Annotated[float, typer.Option(help="Seconds for one video, after which it counts as broken.")] = 60.0,
    ray: Annotated[str | None, typer.Option(help="Address of a Ray cluster to work on; local = one of here.")] = None,
    budget: Annotated[float | None, typer.Option(help="Dollars that the model may cost.")] = None,
    token_budget: Annotated[int | None, typer.Option(help="Tokens that the model may read and write.")] = None,
    as_json: Json = False,
) -> None:
    """Describe videos for recommending: key frames, what they and the title tell, and a short caption.

    What was done is kept after every step: the same command goes on after a kill, and another one with other settings
    repeats only what they change.

    Examples:

      vrsim caption videos --titles items.csv --out captions.parquet --report sheet.html

      vrsim caption videos --titles items.csv --model hf:HuggingFaceTB/SmolVLM-256M-Instruct

      vrsim caption videos --titles items.csv --model openai:qwen --option base_url=http://localhost:8000/v1

      vrsim world build microlens-50k --captions captions.parquet
    """
    from vrsim.perception.captioning import STAGES_FILE, CaptionRun, caption_folder
    from vrsim.perception.clip import ClipConfig
    from vrsim.perception.config import CaptionConfig
    from vrsim.perception.describe import DescribeConfig
    from vrsim.progress import progress_bar

    _check(clip, choose, until, report, shown, vectors)
    describe = DescribeConfig(cmp=not no_cmp, rra=not no_rra, limit=limit)
    config = CaptionConfig(frames=frames, keep=keep, choose=choose, limit_s=limit_s, describe=describe)
    settings = read_settings(option)
    cluster = "" if ray == "local" else ray
    scorer = ClipConfig(**_clip(clip))
    run = CaptionRun(videos, titles, out, config, model, settings, scorer, decoders, cluster, budget, token_budget)
    with going_on(run.folder, STAGES_FILE, False), progress_bar("caption") as progress:
        done = caption_folder(run, until, redo, progress)
    if vectors is not None:
        from vrsim.perception.clip import OpenClip
        from vrsim.perception.vector_table import write_vectors

        with progress_bar("vectors") as progress:
            write_vectors(vectors, done, OpenClip(scorer), progress)
    if report is not None:
        from vrsim.report.contact_sheet import contact_sheet

        write_whole(report, contact_sheet(done, shown).encode("utf-8"))
    if as_json:
        audit = None if done.audit is None else asdict(done.audit)
        print(json.dumps({"out": str(out), "until": until, "audit": audit, "usage": asdict(done.usage)}, indent=1))
        return
    for line in _told(done, until):
        out_console.print(escape(line), soft_wrap=True, highlight=False)
    for name, path in (
        ("captions", out if done.audit else None), ("vectors", vectors), ("contact sheet", report),
        ("stages", done.stages),
    ):  # fmt: skip
        if path is not None:
            out_console.print(f"{name}: {escape(str(path))}", soft_wrap=True, highlight=False)


def _check(clip: str, choose: str, until: str, report: Path | None, shown: int, vectors: Path | None) -> None:
    """Refuse options that contradict each other, or could not be followed in the end."""
    if clip and choose in ("uniform", "random", "cover") and vectors is None:
        raise OptionError(f"--clip chooses frames, and --choose {choose} leaves it out; give one of them")
    if vectors is not None and (vectors.suffix != ".parquet" or until == "frames"):
        raise OptionError("--vectors expects the name of a parquet file, and key frames: --until choice or later")
    if shown < 1:
        raise OptionError(f"--shown must be a number of items from 1, found {shown}")
    if report is None:
        return
    if until != "caption":
        raise OptionError("--report shows captions, and --until stops before them")
    if report.is_dir():
        raise OptionError(f"--report expects the name of a file, and {report} is a folder")


def _clip(text: str) -> dict[str, str]:
    """The fields of a ClipConfig that are given."""
    if not text:
        return {}
    name, colon, weights = text.partition(":")
    if name == "hf-hub" or not colon:
        return {"name": text}
    if not (name and weights):
        raise OptionError(f"expected --clip NAME, NAME:WEIGHTS, hf-hub:NAME or a folder, found {text!r}")
    return {"name": name, "pretrained": weights}


def _told(done: "Captioned", until: str) -> list[str]:
    """What a person wants to know of a run."""
    failed = sum("error" in output for output in done.outputs["frames"].values())
    lines = [f"{len(done.items):,} items, {failed:,} of them without frames, up to {until}"]
    if done.audit is not None:
        audit = done.audit
        lines.append(
            f"{audit.captions:,} captions of {audit.words:.1f} words, {audit.longest} at most; {audit.unsupported:.1%} "
            f"of the words are neither in title nor perception; {audit.repeated:,} captions are like another one"
        )
        for name, counts in (("remarks", audit.flags), ("frames", audit.ways), ("without frames", audit.no_frames)):
            if counts:
                lines.append(f"{name}: " + ", ".join(f"{what} {number:,}" for what, number in counts.items()))
        if failed := audit.flags.get("failed"):
            lines.append(f"{failed:,} items got no answer: --redo perception asks about them again")
    used = done.usage
    if used.calls:
        dollars = "" if not used.dollars else f", {used.dollars:.4f} dollars"
        lines.append(
            f"{used.calls:,} calls, {used.prompt_tokens:,} tokens read, {used.completion_tokens:,} written{dollars}"
        )
    return lines
