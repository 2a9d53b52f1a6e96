"""A captioning run in a folder: items in, a table of captions out, everything in between kept beside it."""

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from vrsim.errors import DataError, OptionError, ResultsError, UnknownNameError
from vrsim.models.ledger import Ledger, Usage
from vrsim.models.model import Completion
from vrsim.models.names import ModelSpec, make_model
from vrsim.perception.caption_audit import CaptionAudit, audit_captions
from vrsim.perception.caption_table import refuse_other, write_captions
from vrsim.perception.clip import ClipConfig, OpenClip
from vrsim.perception.config import CaptionConfig, keys_of
from vrsim.perception.items import Item, find_items
from vrsim.perception.pipeline import Captioning, caption_items
from vrsim.perception.stages import STAGES, Output, Stages
from vrsim.perception.steps import file_of
from vrsim.progress import Progress, silent

__all__ = ["STAGES_FILE", "CaptionRun", "Captioned", "caption_folder"]

BOOK = "caption"  # who pays, in the ledger
STAGES_FILE = "stages.sqlite"


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
    decoders: int = 2  # processes that decode videos
    ray: str | None = None  # address of a Ray cluster, "" = one of this machine, None = no Ray
    budget: float | None = None  # dollars
    token_budget: int | None = None

    @property
    def folder(self) -> Path:
        """Where the stages and the costs are kept."""
        return self.out.with_name(f"{self.out.name}.stages")


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
    _check(run, until, redo)
    items = find_items(run.videos, run.titles)
    _refuse_blind(run, items)
    spec = ModelSpec.parse(run.model, run.options)
    if spec.kind in ("pocket", "checkpoint"):
        raise OptionError(f"a model {spec.kind!r} belongs to a world and sees no images; take hf:NAME or openai:NAME")
    with ExitStack() as kept:
        kept.enter_context(_locked(run.folder))
        stages = Stages(run.folder / STAGES_FILE)
        kept.callback(stages.close)
        ledger = Ledger(run.folder / "costs.jsonl", run.budget, run.token_budget)
        ledger.accept(run.model, spec.price)
        ledger.check()
        model = make_model(spec, None)

        def book(completion: Completion) -> None:
            ledger.book(BOOK, model.name, completion, spec.price)

        name = str(run.clip) if run.config.choose == "clip" else ""
        this = Captioning(stages, keys_of(run.config, name, model.name), until)
        if redo:
            for stage in STAGES[STAGES.index(redo) :]:
                stages.forget(stage, this.keys[stage], [item.key for item in items])
        if run.ray is not None:
            from vrsim.perception.ray_pipeline import caption_on_ray

            caption_on_ray(items, run.config, this, spec, run.clip, address=run.ray, progress=progress, hear=book)
        else:
            scorer = OpenClip(run.clip) if name and "choice" in this.wanted and this.missing(items, "choice") else None
            caption_items(items, run.config, this, model, scorer, progress=progress, hear=book, decoders=run.decoders)
        outputs = {stage: this.outputs(items, stage) for stage in this.wanted}
        audit = None
        if until == STAGES[-1]:
            audit = audit_captions(items, outputs, run.config.describe.limit)
            write_captions(run.out, items, outputs, run.config, {"model": model.name, "clip": name})
        return Captioned(items, stages.path, this.keys, outputs, audit, ledger.total)


def _check(run: CaptionRun, until: str, redo: str) -> None:
    """Refuse what can be known to be wrong before anything is read."""
    for stage in filter(None, (until, redo)):
        if stage not in STAGES:
            raise UnknownNameError("stage", stage, STAGES)
    if redo and STAGES.index(redo) > STAGES.index(until):
        raise OptionError(f"{redo} cannot be done again in a run that stops after {until}; expected a later until")
    if type(run.decoders) is not int or run.decoders < 1:
        raise OptionError(f"decoders must be an integer from 1, found {run.decoders!r}")
    refuse_other(run.out)


def _refuse_blind(run: CaptionRun, items: Sequence[Item]) -> None:
    """Raise DataError where no item has a file: that is another folder than the one that was meant."""
    if not any(file_of(run.config, item) for item in items):
        kind, suffix = ("cover", ".jpg") if run.config.choose == "cover" else ("video", ".mp4")
        raise DataError(
            f"{run.videos} has no {kind} of any of the {len(items):,} items of {run.titles}; expected names like "
            f"{items[0].item_id}{suffix}, or those in a column {kind} of the table"
        )


def _locked(folder: Path) -> AbstractContextManager[object]:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        return FileLock(folder / ".lock", timeout=0).acquire()
    except Timeout:
        raise ResultsError(f"{folder} is in use by another run; wait for it, or choose another --out") from None
    except OSError as error:
        raise ResultsError(f"{folder} could not be written: {error}") from None
