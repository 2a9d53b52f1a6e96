"""Any RecBole model as a recommender: trained and evaluated by RecBole, stored as safetensors."""

import contextlib
import json
import tempfile
import time
from collections.abc import Iterator
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np

from vrsim.catalog import Catalog
from vrsim.errors import DataError, OptionError, VrsimError, WorldError
from vrsim.interactions import Interactions
from vrsim.item_tables import table_key
from vrsim.progress import Progress, silent
from vrsim.recommender.additions import Additions
from vrsim.recommender.item_variants import VARIANTS
from vrsim.recommender.recbole_settings import RecBoleConfig, require_recbole, resolved_options
from vrsim.recommender.recbole_setup import contained, old_names, prepare
from vrsim.recommender.recbole_state import model_state, restore_state
from vrsim.recommender.recbole_watch import Watch

__all__ = ["RecBoleRecommender"]


class RecBoleRecommender:
    """A trained RecBole model that scores the whole catalog for a batch of positions."""

    def __init__(self, config: RecBoleConfig, settings: Any, dataset: Any, model: Any) -> None:
        self.config = config
        self.report: dict[str, Any] = {}  # metrics, epochs and seconds, filled by train
        self._settings, self._dataset, self._model = settings, dataset, model
        tokens = np.arange(1, dataset.item_num).astype(str)
        self._recbole_items = np.r_[0, dataset.token2id("item_id", tokens)]
        users = np.arange(dataset.user_num - 1).astype(str)
        self._recbole_users = np.asarray(dataset.token2id("user_id", users))

    @classmethod
    def train(
        cls,
        config: RecBoleConfig,
        interactions: Interactions,
        catalog: Catalog,
        holdout: int = 1,
        progress: Progress = silent,
    ) -> "RecBoleRecommender":
        """Train on everything but the last ``holdout`` interactions of each user.

        Leave-one-out as RecBole does it: the first held-out interaction is the test target, the one
        before it the validation target, both ranked against the full catalog without the history. The
        weights kept are those with the best validation NDCG@20, or those of the last epoch where the
        setting ``eval_step`` is 0. ``report`` has the metrics; for sequential models "test_with_history"
        is the figure that RecBole alone would print, which lets the items of the history compete.
        """
        require_recbole()
        started = time.perf_counter()
        with contained(), _refusals(config), tempfile.TemporaryDirectory() as folder:
            from recbole.data import data_preparation
            from recbole.utils import ModelType, get_trainer, init_seed

            features = _features(config, catalog, progress)
            config = replace(config, options=_with_keys(config))
            settings, dataset = prepare(config, interactions, catalog, holdout, Path(folder), features)
            init_seed(config.seed, reproducibility=True)
            train_data, valid_data, test_data = data_preparation(settings, dataset)
            if not len(train_data.dataset) or not len(valid_data.dataset):
                raise DataError(f"{config.model} needs users with at least {holdout + 3} interactions, none has them")
            model = settings.model_class(settings, train_data.dataset).to(settings["device"])
            trainer = get_trainer(settings["MODEL_TYPE"], settings["model"])(settings, model)
            recommender = cls(config, settings, dataset, model)
            with_history = trainer._full_sort_batch_eval
            trainer._full_sort_batch_eval = lambda batch: recommender._without_history(
                interactions, *with_history(batch)
            )
            watch = Watch(trainer, progress)
            trainer.fit(train_data, valid_data, saved=False, verbose=False, callback_fn=watch.validated)
            watch.restore_best()
            recommender.report = {
                "valid": _evaluate(trainer, valid_data),
                "test": _evaluate(trainer, test_data),
                "epochs": watch.epochs,
                "best_epoch": watch.best_epoch,
                "seconds": round(time.perf_counter() - started, 1),
            }
            if features:
                recommender.report["features"] = {name: _about(rows) for name, rows in features.items()}
            if settings["MODEL_TYPE"] == ModelType.SEQUENTIAL:
                trainer._full_sort_batch_eval = with_history
                recommender.report["test_with_history"] = _evaluate(trainer, test_data)
        return recommender

    @property
    def learning_rate(self) -> float:
        """That of the first epoch of its training."""
        return self._settings["learning_rate"]

    def retrained(
        self,
        config: RecBoleConfig,
        interactions: Interactions,
        catalog: Catalog,
        holdout: int,
        added: Additions,
        warm: bool = True,
        progress: Progress = silent,
    ) -> "RecBoleRecommender":
        """The same model trained on everything before the held-out interactions, and on what is ``added``.

        ``warm``: it starts with the weights of this one; what RecBole learns without gradients is learned anew.
        ``config``: of the same model, with as many epochs as there will be: unlike in ``train`` the interaction
        before the held-out ones is learned too, and nothing is left to validate on. The other arguments are
        those of the first training. ``report`` has epochs and seconds.
        """
        require_recbole()
        started = time.perf_counter()
        with contained(), _refusals(config), tempfile.TemporaryDirectory() as folder:
            from recbole.data import data_preparation
            from recbole.utils import get_trainer, init_seed

            features = self._settings["item_features"]
            settings, dataset = prepare(config, interactions, catalog, holdout, Path(folder), features, added)
            init_seed(config.seed, reproducibility=True)
            train_data, _, _ = data_preparation(settings, dataset)
            model = settings.model_class(settings, train_data.dataset).to(settings["device"])
            if warm:
                model.load_state_dict(self._model.state_dict())
            trainer = get_trainer(settings["MODEL_TYPE"], settings["model"])(settings, model)
            watch = Watch(trainer, progress)
            trainer.fit(train_data, saved=False, verbose=False)
            again = RecBoleRecommender(config, settings, dataset, model)
            again.report = {"epochs": watch.epochs, "seconds": round(time.perf_counter() - started, 1)}
        return again

    def score(self, users: np.ndarray, histories: np.ndarray) -> np.ndarray:
        """Score of every item, float32 (B, n_items + 1), higher = better; column 0 is -inf.

        ``users`` is int64 (B,), ``histories`` int64 (B, H), oldest first, 0 = empty. Sequential
        models read the history; the others know the user and nothing that came after training.
        """
        import torch

        scores = np.full((len(users), self._dataset.item_num), -np.inf, np.float32)
        rows = max(1, 1_000_000 // self._dataset.item_num)
        if self._model.training:
            self._model.eval()
        with torch.no_grad(), old_names():
            for start in range(0, len(users), rows):
                part = slice(start, start + rows)
                scores[part, 1:] = self._score(users[part], histories[part])[:, self._recbole_items[1:]]
        return scores

    def _score(self, users: np.ndarray, histories: np.ndarray) -> np.ndarray:
        import torch
        from recbole.data.interaction import Interaction

        history = self._recbole_items[histories[:, -self._settings["MAX_ITEM_LIST_LENGTH"] :]]
        order = np.argsort(history == 0, axis=1, kind="stable")  # RecBole wants the padding at the end
        columns = {
            "user_id": torch.from_numpy(self._recbole_users[users]),
            "item_id_list": torch.from_numpy(np.take_along_axis(history, order, axis=1)),
            "item_length": torch.from_numpy(np.maximum((history > 0).sum(axis=1), 1)),
        }
        batch = self._dataset.join(Interaction(columns)).to(self._settings["device"])
        try:
            scores = self._model.full_sort_predict(batch)
        except NotImplementedError:  # models that score one (user, item) pair at a time
            every_item = self._dataset.get_item_feature().to(self._settings["device"])
            batch = batch.repeat_interleave(len(every_item))
            batch.update(every_item.repeat(len(users)))
            scores = self._model.predict(batch)
        return scores.view(len(users), -1).float().cpu().numpy()

    def _without_history(self, interactions: Interactions, rows: Any, scores: Any, *positives: Any) -> tuple[Any, ...]:
        """What RecBole's ``_full_sort_batch_eval`` returns, with the history out of the ranking.

        RecBole does so for every model that is not sequential. A world holds no repeated interaction,
        so the history of a sequential model could only push the target down.
        """
        import torch

        if "item_id_list" in rows.columns:
            users = np.argsort(self._recbole_users)[rows["user_id"].cpu().numpy() - 1]
            t = rows["timestamp"].cpu().numpy().astype(np.int64)  # prepare() writes places as times
            row, seen = interactions.before(users, t)
            scores[torch.from_numpy(row), torch.from_numpy(self._recbole_items[seen])] = -np.inf
        return rows, scores, *positives

    def save(self, folder: Path) -> None:
        """Write ``weights.safetensors``, ``config.json`` and, where features are read, ``features.safetensors``."""
        from safetensors.numpy import save_file as save_arrays
        from safetensors.torch import save_file

        folder.mkdir(parents=True, exist_ok=True)
        save_file(model_state(self._model), folder / "weights.safetensors")
        if features := self._settings["item_features"]:
            save_arrays(features, folder / "features.safetensors")
        facts = {"settings": resolved_options(self.config), "report": self.report}
        text = json.dumps({**asdict(self.config), **facts}, indent=1)
        (folder / "config.json").write_text(text + "\n", encoding="utf-8")

    @classmethod
    def load(
        cls, folder: Path, interactions: Interactions, catalog: Catalog, holdout: int, added: Additions | None = None
    ) -> "RecBoleRecommender":
        """Read what ``save`` wrote; the other arguments must be those of the training."""
        require_recbole()
        from safetensors import SafetensorError

        with contained(), tempfile.TemporaryDirectory() as temporary:
            from safetensors.numpy import load_file as load_arrays
            from safetensors.torch import load_file

            try:
                saved = json.loads((folder / "config.json").read_text(encoding="utf-8"))
                report = saved.pop("report")
                del saved["settings"]  # for readers; the configuration gives them again
                config = RecBoleConfig(**saved)
                features = load_arrays(folder / "features.safetensors") if config.model in VARIANTS else {}
                settings, dataset = prepare(config, interactions, catalog, holdout, Path(temporary), features, added)
                model = settings.model_class(settings, dataset.build()[0]).to(settings["device"])
                weights = load_file(folder / "weights.safetensors", device=str(settings["device"]))
                restore_state(model, weights)
            except (OSError, ValueError, KeyError, TypeError, RuntimeError, SafetensorError) as error:
                raise WorldError(f"{folder}: config or weights are damaged ({error}); delete the folder") from error
            recommender = cls(config, settings, dataset, model)
        recommender.report = report
        return recommender


@contextlib.contextmanager
def _refusals(config: RecBoleConfig) -> Iterator[None]:
    """RecBole and torch check settings where they use them, if at all: say whose they were."""
    try:
        yield
    except (ValueError, TypeError, KeyError, AttributeError, IndexError, RuntimeError, NotImplementedError) as error:
        if isinstance(error, VrsimError):
            raise
        raise OptionError(
            f"RecBole cannot train {config.model} with options {dict(config.options)}: {type(error).__name__}: {error}"
        ) from error


def _features(config: RecBoleConfig, catalog: Catalog, progress: Progress) -> dict[str, np.ndarray]:
    """What the model reads of the items, {} for a model of ids; see vrsim.features."""
    if config.model not in VARIANTS:
        return {}
    from vrsim.features import item_features

    options = resolved_options(config)
    file = config.options.get("vectors", "")  # the resolved options hold its key
    return item_features(catalog, options["features"], options["encoder"], file, progress)


def _with_keys(config: RecBoleConfig) -> dict[str, Any]:
    """The options with the key of the table of vectors in place of its path, which may be gone tomorrow."""
    keys = {name: table_key(value) for name, value in config.options.items() if name == "vectors" and value}
    return {**config.options, **keys}


def _about(features: np.ndarray) -> dict[str, int]:
    return {"dimensions": features.shape[1], "items_without": int((~features[1:].any(axis=1)).sum())}


def _evaluate(trainer: Any, loader: Any) -> dict[str, float]:
    return {name: float(value) for name, value in trainer.evaluate(loader, load_best_model=False).items()}
