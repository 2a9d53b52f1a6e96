"""The suites recommenders and ip-ablation: every row is trained, ranks the last item of each user, and is compared."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from vrsim.audit import Lift
from vrsim.bench import plain
from vrsim.comparisons import compare_users, holm
from vrsim.errors import OptionError, UnknownNameError
from vrsim.estimates import Estimate, mean_of_users
from vrsim.item_tables import table_key
from vrsim.last_items import METRICS, gains, last_ranks
from vrsim.progress import Progress, silent, within
from vrsim.published import PublishedRanking, published_ranking
from vrsim.ranking_folder import RankingFolder
from vrsim.recommender import Popularity
from vrsim.recommender.recbole_settings import RecBoleConfig, resolved_options
from vrsim.recommender_options import row_options
from vrsim.recommender_rows import RANKING_SUITES, Allowed, RankingRow, RankingSuite, allowed_rows
from vrsim.seeding import generator
from vrsim.sources import SOURCES
from vrsim.world import World
from vrsim.worlds import train_recommender

__all__ = ["RankedRow", "Ranking", "RankingConfig", "ranking_json", "run_ranking"]


@dataclass(frozen=True)
class RankingConfig:
    """What to train, on what, and whom to rank for."""

    suite: str = "recommenders"  # or ip-ablation
    world: str = "ml-100k"
    captions: Mapping[str, Path] = field(default_factory=dict)  # tables of captions by name, see vrsim.recommender_rows
    vectors: Path | None = None  # table of vectors of the items: columns item_id, image, video
    options: Mapping[str, Any] = field(default_factory=dict)  # settings of the models, see row_options
    rows: tuple[str, ...] = ()  # these alone, () = all
    users: int = 0  # at most this many, drawn at random, 0 = all
    seeds: int = 3  # seeds 0, 1, ... of the training

    def __post_init__(self) -> None:
        if self.suite not in RANKING_SUITES:
            raise UnknownNameError("suite", self.suite, RANKING_SUITES)
        for name, least in {"seeds": 1, "users": 0}.items():
            if type(getattr(self, name)) is not int or getattr(self, name) < least:
                raise OptionError(f"{name} must be an integer from {least}, found {getattr(self, name)!r}")
        for name in self.captions:
            if name not in self.table.captions:
                raise UnknownNameError(f"captions of {self.suite}", name, self.table.captions)
        for name in self.rows:
            if name not in (known := [row.name for row in self.table.rows]):
                raise UnknownNameError(f"row of {self.suite}", name, known)

    @property
    def table(self) -> RankingSuite:
        return RANKING_SUITES[self.suite]


@dataclass(frozen=True)
class RankedRow:
    """One recommender, all seeds together."""

    row: RankingRow
    settings: Mapping[str, Any]  # of its model, where they differ from the usual ones
    metrics: dict[str, Estimate]  # METRICS, the mean over users
    by_seed: list[dict[str, float]]
    over: dict[str, Lift]  # HR@10 minus that of each reference
    published: PublishedRanking | None


@dataclass(frozen=True)
class Ranking:
    """The result of a suite."""

    suite: str
    world: str
    seeds: int
    users: int
    rows: list[RankedRow]
    left_out: dict[str, str]  # rows, and why
    notes: list[str]  # what the tables of captions lack


def run_ranking(config: RankingConfig, out: Path, progress: Progress = silent) -> Ranking:
    """Train every row that the data allow with every seed, rank, compare, and write ``out/ranking.json``.

    The same call goes on where it stopped, also with more seeds or other rows: trained models are kept in the cache
    folder, the ranks of the users' last items in ``out``. Raises what worlds, tables, options and training raise.
    """
    world = World.load(config.world)
    allowed = allowed_rows(world, config.table, config.captions, config.vectors)
    source = SOURCES.get(config.world.partition(":")[0])
    options = row_options(allowed.rows, source.options if source else {}, config.options, config.vectors)
    allowed = allowed.only(config.rows)
    users = np.arange(world.n_users)
    if 0 < config.users < world.n_users:
        users = np.sort(generator(0, "recommenders", "users").choice(users, config.users, replace=False))
    folder = RankingFolder(out, _asked(config, world))
    total = len(allowed.rows) * config.seeds
    ranks: dict[str, list[np.ndarray]] = {}
    for place, row in enumerate(allowed.rows):
        if not row.model:
            ranks[row.name] = [last_ranks(Popularity(world.popularity), world, users)]
            continue
        ranks[row.name] = []
        for seed in range(config.seeds):
            part = within(progress, place * config.seeds + seed, total, f"{row.name}, seed {seed}")
            model = RecBoleConfig(row.model, options[row.name], seed)
            ranks[row.name].append(_ranks(folder, row.name, allowed.worlds[row.captions], model, users, part))
    progress(total, total, "comparing")
    result = _compare(config, allowed, options, ranks)
    folder.finish(ranking_json(result))
    return result


def ranking_json(result: Ranking) -> dict[str, Any]:
    """The result as plain data, with every published row of the suite; what is not defined is null."""
    rows = []
    for row in result.rows:
        told = asdict(row)
        rows.append({name: told["row"][name] for name in ("name", "model", "reads", "captions")} | told)
        del rows[-1]["row"]
    beside = [published_ranking(row.beside) for row in RANKING_SUITES[result.suite].rows]
    return plain({**asdict(result), "rows": rows, "published": [asdict(row) for row in beside if row]})


def _asked(config: RankingConfig, world: World) -> dict[str, Any]:
    """Everything that the numbers depend on; seeds and rows may be added later."""
    return {
        "suite": config.suite,
        "world": config.world,
        "world_hash": world.hash,
        "captions": {name: table_key(file) for name, file in config.captions.items()},
        "vectors": config.vectors and table_key(config.vectors),
        "options": dict(config.options),
        "users": config.users,
    }


def _ranks(
    folder: RankingFolder, row: str, world: World, model: RecBoleConfig, users: np.ndarray, progress: Progress
) -> np.ndarray:
    """The ranks of the users' last items by one trained model, int32 (users,)."""

    def make() -> np.ndarray:
        trained = train_recommender(world, model.model, {**model.options, "seed": model.seed}, progress)
        progress(1, 1, "ranking")
        return last_ranks(trained, world, users)

    settings = [world.hash, model.model, resolved_options(model)]
    return folder.ranks(row, model.seed, settings, len(users), make)


def _compare(
    config: RankingConfig,
    allowed: Allowed,
    options: Mapping[str, Mapping[str, Any]],
    ranks: dict[str, list[np.ndarray]],
) -> Ranking:
    values = {name: np.stack([gains(one) for one in found]) for name, found in ranks.items()}  # (seeds, METRICS, users)
    means = {name: found.mean(axis=0) for name, found in values.items()}
    over: dict[str, dict[str, Lift]] = {name: {} for name in ranks}
    for reference in [name for name in config.table.references if name in means]:
        hits = means[reference][0]
        found = {name: compare_users(METRICS[0], own[0], hits) for name, own in means.items() if name != reference}
        corrected = holm([difference.p for difference in found.values()])
        for (name, difference), p in zip(found.items(), corrected, strict=True):
            over[name][reference] = Lift(difference, p)
    rows = [
        RankedRow(
            row,
            options.get(row.name, {}),
            dict(zip(METRICS, mean_of_users([*means[row.name]]), strict=True)),
            [dict(zip(METRICS, seed.mean(axis=1).tolist(), strict=True)) for seed in values[row.name]],
            over[row.name],
            published_ranking(row.beside),
        )
        for row in allowed.rows
    ]
    users = values[rows[0].row.name].shape[2]
    return Ranking(config.suite, config.world, config.seeds, users, rows, allowed.left_out, allowed.notes)
