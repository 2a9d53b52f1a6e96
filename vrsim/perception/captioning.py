"""A captioning run in a folder: items in, a table of captions out, everything in between kept beside it."""

from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from vrsim.errors import OptionError, ResultsError, UnknownNameError
from vrsim.models.ledger import Ledger, Usage
from vrsim.models.model import Completion
from vrsim.models.names import ModelSpec, make_model
from vrsim.perception.caption_audit import CaptionAudit, audit_captions
from vrsim.perception.caption_table import write_captions
from vrsim.perception.clip import ClipConfig, OpenClip
from vrsim.perception.config import CaptionConfig, keys_of
from vrsim.perception.items import Item, find_items
from vrsim.perception.pipeline import Captioning, caption_items
from vrsim.perception.stages import STAGES, Output, Stages
from vrsim.progress import Progress, silent

__all__ = ["CaptionRun", "Captioned", "caption_folder"]

BOOK = "caption"  # who pays, in the ledger


@dataclass(frozen=True)
class CaptionRun:
    """What is captioned, and by what."""

    videos: Path  # the folder with the files
    titles: Path  # table of the items, see vrsim.perception.items
    out: Path  # the table of captions
    config: CaptionConfig
    model: str  # as in vrsim.models.names
    options: Mapping[str, Any]  # of the model
    clip: ClipConfig = field(default_factory=ClipConfig)  # used where frames are chosen by it
    threads: int = 2  # videos that are decoded at once
    ray: str | None = None  # address of a Ray cluster, "" = one of this machine, None = no Ray
    budget: float | None = None  # dollars
    token_budget: int | None = None


@dataclass(frozen=True)
class Captioned:
    """What a run made."""

    items: list[Item]
    stages: Path  # the file with what each stage made
    keys: dict[str, str]  # under which it is kept there, by stage
    outputs: dict[str, dict[str, Output]]  # by stage, as far as was wanted, and item
    audit: CaptionAudit | None  # None = there are no captions yet
    usage: Usage  # of the model, in this run and those before that used the same folder


def caption_folder(run: CaptionRun, until: str = STAGES[-1], redo: str = "", progress: Progress = silent) -> Captioned:
    """Caption a folder of videos; the same call goes on with one that was killed.

    ``until`` is the last stage that is wanted, ``redo`` one to be done again with all behind it: the model is asked
    again where its answers are not stored. The table is written once every item has its caption. Raises OptionError,
    DataError, ModelError, ResultsError, BudgetError.
    """
    for stage in filter(None, (until, redo)):
        if stage not in STAGES:
            raise UnknownNameError("stage", stage, STAGES)
    if type(run.threads) is not int or run.threads < 1:
        raise OptionError(f"threads must be an integer from 1, found {run.threads!r}")
    items = find_items(run.videos, run.titles)
    spec = ModelSpec.parse(run.model, run.options)
    if spec.kind in ("pocket", "checkpoint"):
        raise OptionError(f"a model {spec.kind!r} belongs to a world and sees no images; take hf:NAME or openai:NAME")
    folder = run.out.with_name(f"{run.out.name}.stages")
    with ExitStack() as kept:
        kept.enter_context(_locked(folder))
        stages = Stages(folder / "stages.sqlite")
        kept.callback(stages.close)
        ledger = Ledger(folder / "costs.jsonl", run.budget, run.token_budget)
        ledger.accept(run.model, spec.price)
        ledger.check()
        model = make_model(spec, None)

        def book(completion: Completion) -> None:
            ledger.book(BOOK, model.name, completion, spec.price)

        name = str(run.clip) if run.config.choose == "clip" else ""
        this = Captioning(stages, keys_of(run.config, name, model.name), until)
        ids = [item.item_id for item in items]
        if redo:
            for stage in STAGES[STAGES.index(redo) :]:
                stages.forget(stage, this.keys[stage], ids)
        if run.ray is not None:
            from vrsim.perception.ray_pipeline import caption_on_ray

            caption_on_ray(items, run.config, this, spec, run.clip, address=run.ray, progress=progress, hear=book)
        else:
            scorer = OpenClip(run.clip) if name and _unchosen(this, ids) else None
            caption_items(items, run.config, this, model, scorer, progress=progress, hear=book, threads=run.threads)
        wanted = STAGES[: STAGES.index(until) + 1]
        outputs = {stage: stages.get(stage, this.keys[stage], ids) for stage in wanted}
        audit = None
        if until == STAGES[-1]:
            audit = audit_captions(items, outputs, run.config.describe.limit)
            write_captions(run.out, items, outputs, run.config, {"model": model.name, "clip": name})
        return Captioned(items, stages.path, this.keys, outputs, audit, ledger.total)


def _unchosen(this: Captioning, ids: list[str]) -> bool:
    """Whether any item still needs its key frames: loading CLIP takes seconds."""
    return "choice" in STAGES[: STAGES.index(this.until) + 1] and len(
        this.stages.has("choice", this.keys["choice"], ids)
    ) < len(ids)


def _locked(folder: Path) -> FileLock:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = FileLock(folder / ".lock", timeout=0)
        lock.acquire()
        return lock
    except Timeout:
        raise ResultsError(f"{folder} is in use by another run; wait for it, or choose another --out") from None
    except OSError as error:
        raise ResultsError(f"{folder} could not be written: {error}") from None
