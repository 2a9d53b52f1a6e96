"""RecBole's configuration and data set, made without its side effects.

Left to itself RecBole reads the command line of the process, evaluates strings, writes logs into the
current folder, seeds the global generators, sets CUDA_VISIBLE_DEVICES, and uses names that numpy 2
and scipy 1.13 have removed. None of that leaves this module.
"""

import contextlib
import logging
import random
import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np

from vrsim.catalog import Catalog
from vrsim.errors import DataError, OptionError
from vrsim.interactions import Interactions
from vrsim.recommender.additions import Additions
from vrsim.recommender.item_variants import MMGCN, WINDOWED, Variant, variant_of
from vrsim.recommender.recbole_settings import RecBoleConfig, resolved_options
from vrsim.threads import import_torch

__all__ = ["contained", "old_names", "prepare"]


@contextlib.contextmanager
def old_names() -> Iterator[None]:
    """Lend numpy, scipy and pandas what RecBole still expects of them."""
    import pandas as pd
    from scipy.sparse import dok_matrix

    aggregate = pd.Series.agg

    def agg(series: Any, func: Any = None, *args: Any, **kwargs: Any) -> Any:
        return series.map(len) if func is len else aggregate(series, func, *args, **kwargs)

    def update(matrix: Any, entries: dict[tuple[int, int], float]) -> None:
        matrix._dict.update(entries)

    with (
        patch.object(np, "float", float, create=True),  # gone since numpy 1.24
        patch.object(pd.Series, "agg", agg),  # agg(len) is one number since pandas 3
        patch.object(dok_matrix, "_update", update, create=True),  # gone since scipy 1.13: LightGCN, NGCF ...
    ):
        yield


def _fill_nan(dataset: Any) -> None:
    """RecBole's ``Dataset._fill_nan``, whose in-place fills change nothing since pandas 3."""
    from recbole.utils import FeatureType

    for feature in dataset.feat_name_list:
        table = getattr(dataset, feature)
        for name in table:
            kind = dataset.field2type[name]
            if kind == FeatureType.TOKEN:
                table[name] = table[name].fillna(0)
            elif kind == FeatureType.FLOAT:
                table[name] = table[name].fillna(table[name].mean())
            else:
                dtype = np.int64 if kind == FeatureType.TOKEN_SEQ else np.float64
                empty = np.array([], dtype)
                table[name] = table[name].map(lambda cell, empty=empty: empty if isinstance(cell, float) else cell)


def _count_items(model: Any, interaction: Any) -> Any:
    """``Pop.calculate_loss`` that counts interactions; RecBole's counts the batches that hold the item."""
    import torch

    items = interaction[model.ITEM_ID]
    model.item_cnt.index_add_(0, items, torch.ones_like(items).unsqueeze(1))
    model.max_cnt = model.item_cnt.max(dim=0)[0]
    return torch.nn.Parameter(torch.zeros(1, device=model.item_cnt.device))


@contextlib.contextmanager
def contained() -> Iterator[None]:
    """Keep RecBole's effects on generators, logs and torch inside a ``with`` block."""
    torch = import_torch()
    anomaly = torch.is_anomaly_enabled()
    import recbole.model.sequential_recommender  # noqa: F401  SINE turns anomaly detection on: twice the time
    from recbole.data.dataset import Dataset
    from recbole.model.general_recommender import Pop
    from recbole.trainer import trainer

    class NoBoard:
        def add_scalar(self, *args: Any) -> None: ...
        def add_hparams(self, *args: Any) -> None: ...

    states = random.getstate(), np.random.get_state(), torch.random.get_rng_state()
    gpu_states = torch.cuda.get_rng_state_all() if torch.cuda.is_available() else []
    cudnn = torch.backends.cudnn.benchmark, torch.backends.cudnn.deterministic
    disabled = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    torch.autograd.set_detect_anomaly(False)
    try:
        with (
            warnings.catch_warnings(),
            old_names(),
            patch.object(trainer, "get_tensorboard", lambda logger: NoBoard()),
            patch.object(Dataset, "_fill_nan", _fill_nan),
            patch.object(Pop, "calculate_loss", _count_items),
        ):
            warnings.simplefilter("ignore")  # deprecations inside RecBole
            yield
    finally:
        logging.disable(disabled)
        torch.autograd.set_detect_anomaly(anomaly)
        random.setstate(states[0])
        np.random.set_state(states[1])
        torch.random.set_rng_state(states[2])
        torch.cuda.set_rng_state_all(gpu_states)
        torch.backends.cudnn.benchmark, torch.backends.cudnn.deterministic = cudnn


def prepare(
    config: RecBoleConfig,
    interactions: Interactions,
    catalog: Catalog,
    holdout: int,
    folder: Path,
    features: Mapping[str, np.ndarray] | None = None,
    added: Additions | None = None,
) -> tuple[Any, Any]:
    """RecBole's (Config, Dataset). Tokens are vrsim's user and item indices; files go into ``folder``.

    ``features`` are those of the items, see vrsim.features.item_features, of a model that reads them. With ``added``
    nothing is kept back for validation: the training part and what is added are all to be learned.
    """
    variant = variant_of(config.model)
    settings = _settings(config, variant, folder)
    settings["item_features"] = dict(features or {})
    least = settings["shortest"] or 0
    if interactions.lengths.min() < least:
        raise DataError(
            f"{config.model} with shortest={least} expects users with {least} interactions or more, one has "
            f"{interactions.lengths.min()}; leave such users out of the data, or set shortest=0"
        )
    (folder / "world").mkdir()
    _write_atomic_files(folder / "world", interactions, catalog, holdout, settings["last"] or 0, added)
    if settings["loss_type"] == "CE" and variant.base in WINDOWED:
        from vrsim.recommender.windows import MODELS, WindowDataset

        settings.model_class = MODELS[variant.base]
        return settings, WindowDataset(settings)
    from recbole.data import create_dataset

    return settings, create_dataset(settings)


def _settings(config: RecBoleConfig, variant: Variant, folder: Path) -> Any:
    import torch
    from recbole.config import Config

    class Settings(Config):
        def _load_cmd_line(self) -> dict[str, Any]:
            return {}  # the command line of the process is not RecBole's

        def _convert_config_dict(self, config_dict: dict[str, Any]) -> dict[str, Any]:
            return config_dict  # values are values, never evaluated

        def compatibility_settings(self) -> None:
            pass  # fails with numpy 2; old_names() does its work

        def _init_device(self) -> None:  # the original sets CUDA_VISIBLE_DEVICES for the whole process
            device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
            self.final_config_dict.update(device=device, single_spec=True, local_rank=0)

    options = resolved_options(config) | {
        "data_path": str(folder),
        "checkpoint_dir": str(folder / "checkpoints"),
        "seed": config.seed,
        "show_progress": False,
    }
    model: Any = variant.base
    if config.model == MMGCN:  # not one of RecBole's
        from vrsim.recommender.mmgcn import MMGCN as model
    try:
        return Settings(model=model, dataset="world", config_dict=options)
    except (ValueError, TypeError, NotImplementedError, RuntimeError) as error:
        raise OptionError(f"RecBole refuses the options of {config.model}: {error}") from error


def _write_atomic_files(
    folder: Path, interactions: Interactions, catalog: Catalog, holdout: int, last: int, added: Additions | None
) -> None:
    """``world.inter`` and ``world.item``; the held-out interactions after the test target are left out.

    ``last``: of the others, so many of each user are written, the newest ones; 0 = all.
    """
    import pandas as pd

    seen = interactions.training_rows(holdout - 1)
    if last:
        seen &= ~interactions.training_rows(holdout - 1 + last)
    users = np.repeat(np.arange(interactions.n_users), interactions.lengths)
    place = np.arange(len(interactions)) - interactions.offsets[users]
    table = pd.DataFrame({"user_id:token": users, "item_id:token": interactions.items, "timestamp:float": place})[seen]
    if added is not None:
        table = _with_added(table, interactions.lengths - holdout, added)
    table.to_csv(folder / "world.inter", sep="\t", index=False)
    genres = [" ".join(g.replace(" ", "_") for g in names) or "unknown" for names in catalog.genres[1:]]
    items = {"item_id:token": range(1, catalog.n_items + 1), "year:token": catalog.years[1:]}
    table = pd.DataFrame(items | {"genres:token_seq": genres})
    table.to_csv(folder / "world.item", sep="\t", index=False)


def _with_added(table: Any, lengths: np.ndarray, added: Additions) -> Any:
    """The rows with the added ones behind the training part of each user, ``lengths`` int64 (users,) long.

    The test target stands twice behind them, for RecBole learns everything but the last two of each user. New rows come
    last in the file: RecBole numbers users and items by their first appearance, and the numbers must stay.
    """
    import pandas as pd

    user, item, time = table.columns
    test = table[time] == lengths[table[user]]
    end = lengths.max() + len(added.users) + 1  # later than everything else
    table = table.assign(**{time: table[time].mask(test, end)})
    more = pd.DataFrame({user: added.users, item: added.items, time: lengths[added.users] + added.place})
    return pd.concat([table, more, table[test]])
