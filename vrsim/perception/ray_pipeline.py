"""The same stages on many machines, by Ray Data: decoding on their processors, models on their GPUs.

Every machine must see the videos under the same path, as on a shared disk. What comes back is kept here, so a run can
be killed and go on, with Ray or without.
"""

import logging
import pickle
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from functools import cached_property
from itertools import count
from typing import Any, final

from vrsim.cluster.connect import connect
from vrsim.errors import DependencyError, VrsimError
from vrsim.models.model import Model
from vrsim.models.names import ModelSpec, make_model
from vrsim.perception.clip import ClipConfig, OpenClip
from vrsim.perception.config import CaptionConfig
from vrsim.perception.describe import Hear
from vrsim.perception.items import Item
from vrsim.perception.pace import Pace
from vrsim.perception.pipeline import DESCRIBING, PART, Arrivals, Captioning
from vrsim.perception.steps import Row, add_choices, add_frames, describe
from vrsim.progress import Progress, silent

__all__ = ["caption_on_ray"]

SENT = 10_000  # items of one data set: their frames pass through Ray's memory
ASKED = 256  # items of a batch for the language model
SCORER = 0.25  # of a GPU; a language model of this kind gets the rest
CELL = "row"  # rows travel pickled: Ray's tables would change empty lists and missing values

Batch = dict[str, Any]


def _sample(cell: Batch, config: CaptionConfig) -> Batch:
    """Frames; on processors."""
    row = pickle.loads(cell[CELL])
    add_frames(config, [row])
    return {CELL: pickle.dumps(row)}


class _Worker(ABC):
    """Works on batches of rows; its models are loaded with the first."""

    @abstractmethod
    def add(self, rows: list[Row]) -> None:
        """Add to the rows."""

    def __call__(self, cells: Batch) -> Batch:
        """The rows of a batch with what was added. An error of ours takes their place: Ray would hide its words."""
        rows = [pickle.loads(cell) for cell in cells[CELL]]
        if any(isinstance(row, VrsimError) for row in rows):
            return cells
        try:
            self.add(rows)
        except VrsimError as error:
            rows = [error] * len(rows)
        return {CELL: [pickle.dumps(row) for row in rows]}


@final
class _Choosing(_Worker):
    """Key frames; where frames are chosen by CLIP, on GPUs if there are any."""

    def __init__(self, config: CaptionConfig, clip: ClipConfig) -> None:
        self._config, self._clip = config, clip

    @cached_property
    def _scorer(self) -> OpenClip | None:
        return OpenClip(self._clip) if self._config.choose == "clip" else None

    def add(self, rows: list[Row]) -> None:
        add_choices(self._config, self._scorer, rows)


@final
class _Describing(_Worker):
    """Perceptions and captions; a model that runs here takes a GPU if there is one, a server none."""

    def __init__(self, config: CaptionConfig, spec: ModelSpec, stages: Sequence[str]) -> None:
        self._config, self._spec, self._stages = config, spec, stages

    @cached_property
    def _model(self) -> Model:
        return make_model(self._spec, None)

    def add(self, rows: list[Row]) -> None:
        self._model.converse(describe(self._config, row, self._stages, _unheard) for row in rows)


def caption_on_ray(
    items: Sequence[Item],
    config: CaptionConfig,
    run: Captioning,
    spec: ModelSpec,
    clip: ClipConfig,
    *,
    address: str = "",
    progress: Progress = silent,
    hear: Hear = lambda completion: None,
) -> None:
    """What ``caption_items`` does, on a Ray cluster: that at ``address``, "" = one of this machine.

    Raises DependencyError without Ray, OptionError for a cluster that cannot be reached, and what the stages raise.
    """
    ray = _connect(address)
    missing = run.missing(items, run.until)
    pace = Pace(progress, len(items) - len(missing), len(items))
    numbers = count()
    arrivals = Arrivals(run, f"{spec.kind}:{spec.target}", pace)
    for at in range(0, len(missing), SENT):
        for row in _stream(ray, run.load(missing[at : at + SENT]), config, spec, clip, run.wanted):
            for stage in row.new:
                if stage in DESCRIBING:
                    run.keep_one(stage, row)
                else:
                    run.keep(stage, [row])
            for completion in row.heard:
                hear(completion)
            arrivals.take(row, next(numbers))
    arrivals.end(len(items))


def _stream(
    ray: Any, rows: list[Row], config: CaptionConfig, spec: ModelSpec, clip: ClipConfig, wanted: Sequence[str]
) -> Iterator[Row]:
    """The rows as they are finished, in any order; each kind of work has workers of its own. Raises their errors."""
    gpus = int(ray.cluster_resources().get("GPU", 0))
    pool = ray.data.ActorPoolStrategy(min_size=1, max_size=max(1, gpus))

    def on(share: float, batch: int, **given: Any) -> Batch:
        return given | {"batch_size": batch, "compute": pool} | ({"num_gpus": share} if gpus else {"num_cpus": 0})

    cells = [{CELL: pickle.dumps(row)} for row in rows]
    data = ray.data.from_items(cells).map(_sample, fn_kwargs={"config": config}, num_cpus=1)
    if "choice" in wanted:
        share = SCORER if config.choose == "clip" else 0.0
        data = data.map_batches(_Choosing, **on(share, PART, fn_constructor_args=(config, clip)))
    if set(DESCRIBING) & set(wanted):
        share = 1 - SCORER if spec.kind == "hf" else 0.0
        data = data.map_batches(_Describing, **on(share, ASKED, fn_constructor_args=(config, spec, wanted)))
    for cell in data.iter_rows():
        row = pickle.loads(cell[CELL])
        if isinstance(row, VrsimError):
            raise row
        yield row


def _connect(address: str) -> Any:
    """Ray with Ray Data, which keeps its progress bars to itself. Raises what ``connect`` raises."""
    ray = connect(address)
    try:
        import ray.data
    except ImportError as error:
        raise DependencyError(f"--ray needs Ray Data ({error}); install it with pip install 'vrsim[ray]'") from None
    logging.getLogger("ray.data").setLevel(logging.ERROR)
    ray.data.DataContext.get_current().enable_progress_bars = False  # there is one
    return ray


def _unheard(completion: Any) -> None:
    """Answers are booked where the run is kept."""
