"""Which RecBole models there are and how vrsim sets them. Imports neither torch nor RecBole."""

import importlib.util
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from vrsim.errors import DependencyError, OptionError, UnknownNameError
from vrsim.recommender.item_variants import VARIANTS, WINDOW_OPTIONS, WINDOWED, check_own, preset_options, variant_of
from vrsim.recommender.simple import CONTEXT

__all__ = ["RecBoleConfig", "recbole_models", "require_recbole", "resolved_options"]

# Settings that differ from RecBole's defaults, for every model and by model. One setting is vrsim's own:
# ``linear_decay`` lowers the learning rate to 0 over the epochs. With it the last epoch is as good as any,
# and ``eval_step`` 0 keeps its weights: on small data the validation metric moves more by chance from
# epoch to epoch than by training, so that choosing the best one is choosing at random.
COMMON: dict[str, Any] = {
    "USER_ID_FIELD": "user_id",
    "ITEM_ID_FIELD": "item_id",
    "TIME_FIELD": "timestamp",
    "load_col": {"inter": ["user_id", "item_id", "timestamp"], "item": ["item_id", "year", "genres"]},
    "eval_args": {"split": {"LS": "valid_and_test"}, "order": "TO", "group_by": "user", "mode": "full"},
    "metrics": ["Hit", "NDCG"],
    "topk": [10, 20],
    "valid_metric": "NDCG@20",
    "metric_decimal_place": 6,
    "MAX_ITEM_LIST_LENGTH": 50,
    "train_neg_sample_args": {
        "distribution": "uniform",
        "sample_num": 1,
        "alpha": 1.0,
        "dynamic": False,
        "candidate_num": 0,
    },
    "epochs": 100,
    "stopping_step": 10,
    "linear_decay": False,
    "selected_features": ["genres"],  # of the models that read item features in sequences
}
WINDOWS: dict[str, Any] = {
    "train_batch_size": 32,  # a row is a window of up to 50 targets, so this is some 1,300 targets
    "learning_rate": 2e-3,
    "linear_decay": True,
    "epochs": 24,
    "eval_step": 0,
}
# Models that score one (user, item) pair at a time: ranking the catalog costs more than an epoch.
PAIRWISE: dict[str, Any] = {"epochs": 30, "eval_step": 5, "stopping_step": 1}
BY_MODEL: dict[str, dict[str, Any]] = {
    "SASRec": WINDOWS | {"hidden_dropout_prob": 0.2, "attn_dropout_prob": 0.2},
    "GRU4Rec": WINDOWS,
    "NextItNet": WINDOWS,
    "DeepFM": PAIRWISE,
    "DSSM": PAIRWISE,
    "Pop": {"train_neg_sample_args": None},  # else it counts the sampled negatives too
}
# Settings of RecBole that are not an option here: vrsim gives the data, the files, the seed and the device.
OURS = (
    "USER_ID_FIELD", "ITEM_ID_FIELD", "TIME_FIELD", "load_col", "eval_args", "metrics", "topk", "data_path",
    "checkpoint_dir", "show_progress", "seed", "reproducibility", "state", "use_gpu", "gpu_id", "save_dataset",
    "dataset_save_path", "save_dataloaders", "dataloaders_save_path", "log_wandb", "wandb_project",
)  # fmt: skip
LEAST = {  # of options that are integers
    "epochs": 1, "train_batch_size": 1, "eval_batch_size": 1, "MAX_ITEM_LIST_LENGTH": 1, "last": 0, "shortest": 0,
}  # fmt: skip


@dataclass(frozen=True)
class RecBoleConfig:
    """Which RecBole model to train, and how."""

    model: str = "SASRec"  # the name of a model of RecBole, or of one that reads features of the items
    options: Mapping[str, Any] = field(default_factory=dict)  # RecBole's settings, by RecBole's names
    seed: int = 2020  # RecBole's own default


def require_recbole() -> None:
    """Raise DependencyError unless RecBole can be imported."""
    missing = [name for name in ("torch", "recbole", "kmeans_pytorch") if not importlib.util.find_spec(name)]
    if missing:
        raise DependencyError(
            f"a trained recommender needs {' and '.join(missing)}, not installed here. "
            "Install vrsim with its extra: pip install -e '.[recbole]' in a checkout"
        )


@cache
def recbole_models() -> list[str]:
    """Names of the RecBole models that train on interactions, titles' years and genres, and of item_variants.

    Left out are those that need a knowledge graph or pre-trained vectors, a library of their own
    (lightgbm, xgboost), or a training in stages.
    """
    require_recbole()
    families = ("general", "context_aware", "sequential")
    folders = [_package() / "model" / f"{family}_recommender" for family in families]
    modules = {file.stem for folder in folders for file in folder.glob("*.py")}
    names = {file.stem for file in (_package() / "properties" / "model").glob("*.yaml")}
    usable = {name for name in names - {"GRU4RecKG", "KSR", "S3Rec"} if name.lower() in modules}
    return sorted(usable | {*VARIANTS})


def _package() -> Path:
    return Path(importlib.util.find_spec("recbole").origin).parent


@cache
def _defaults(model: str) -> dict[str, Any]:
    """RecBole's own defaults: the general ones and those of the model."""
    import yaml

    folder = _package() / "properties"
    variant = variant_of(model)
    files = ["overall.yaml", *([f"model/{variant.base}.yaml"] if variant.base else [])]
    settings: dict[str, Any] = {}
    for file in files:
        settings |= yaml.safe_load((folder / file).read_text(encoding="utf-8")) or {}
    return settings | dict(variant.options)


def resolved_options(config: RecBoleConfig) -> dict[str, Any]:
    """Every setting that differs from RecBole's defaults. Raises UnknownNameError and OptionError."""
    if type(config.seed) is not int or not 0 <= config.seed < 2**32:
        raise OptionError(f"seed must be an integer from 0, found {config.seed!r}")
    if config.model not in recbole_models():
        raise UnknownNameError("RecBole model", config.model, recbole_models())
    defaults = _defaults(config.model)
    variant = variant_of(config.model)
    windows = WINDOW_OPTIONS if variant.base in WINDOWED else {}
    known = ({*defaults} | {*COMMON} | {*windows}) - {*OURS}
    for name, value in config.options.items():
        if name not in known:
            raise UnknownNameError(f"option of {config.model}", name, known)
        usual = (defaults | windows | COMMON).get(name)
        if type(usual) in (int, float) and type(value) not in (int, float):
            raise OptionError(f"option {name} of {config.model} must be a number like {usual}, found {value!r}")
        least = LEAST.get(name)
        if least is not None and (type(value) is not int or value < least):
            raise OptionError(f"option {name} of {config.model} must be an integer from {least}, found {value!r}")
    loss = (defaults | dict(config.options)).get("loss_type")
    by_model = {} if variant.base in WINDOWED and loss != "CE" else BY_MODEL.get(variant.base, {})
    if loss != "CE" and (needs := {*windows} & {*config.options} or {*variant.options} & {"layers"}):
        raise OptionError(f"{config.model} with {min(needs)} is trained with loss_type CE, found {loss!r}")
    given = dict(config.options)
    preset = preset_options(given.pop("preset", "recbole"), bool(variant.options), known)
    options = COMMON | by_model | dict(variant.options) | preset | given
    check_own(config.model, options)
    if loss == "CE":
        options["train_neg_sample_args"] = None  # cross entropy over all items samples nothing
    if options["MAX_ITEM_LIST_LENGTH"] > CONTEXT:
        raise OptionError(f"MAX_ITEM_LIST_LENGTH is {options['MAX_ITEM_LIST_LENGTH']}, the largest is {CONTEXT}")
    return options
