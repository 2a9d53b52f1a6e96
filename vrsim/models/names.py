"""Models by name: ``pocket``, ``hf:Qwen/Qwen2.5-7B-Instruct``, ``openai:gpt-4o-mini``, ``vllm:...``, with options.

``checkpoint:FOLDER`` is what ``vrsim train`` wrote.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from importlib import import_module
from pathlib import Path
from typing import Any

from vrsim.errors import ModelError, OptionError, UnknownNameError
from vrsim.models.checkpoints import find_checkpoint
from vrsim.models.ledger import FREE, PRICES, Price
from vrsim.models.model import Model
from vrsim.models.pocket import load_pocket
from vrsim.models.pocket_training import PocketConfig
from vrsim.models.recorded import Recorded
from vrsim.models.store import Store
from vrsim.models.trained import load_trained, read_trained
from vrsim.world import World
from vrsim.worlds import home

__all__ = ["BACK_ENDS", "ModelSpec", "make_model"]

BACK_ENDS = {  # kind: module, configuration, model
    "hf": ("vrsim.models.local", "LocalConfig", "LocalModel"),
    "vllm": ("vrsim.models.vllm_model", "VLLMConfig", "VLLMModel"),
    "openai": ("vrsim.models.server", "ServerConfig", "ServerModel"),
    "checkpoint": ("vrsim.models.local", "LocalConfig", ""),  # the model is found by its card
}
WITHOUT_STORE = ("pocket", "checkpoint")  # unless one is named
FIXED = {"checkpoint": {"model", "adapter", "revision"}}  # options that the name gives, beside the model
OFF = "off"
COMMON = {"max_tokens", "temperature", "top_p", "store", "replay", "input_price", "output_price"}
# Options that change no answer, and the model, which stands in front.
ASIDE = {"model", "batch_tokens", "device_map", "gpus", "memory"}


@dataclass(frozen=True)
class ModelSpec:
    """A model as it was asked for; nothing is loaded yet."""

    kind: str  # "pocket" or one of BACK_ENDS
    target: str  # the model's name or folder; of pocket "" = the one of the world
    config: Any  # of the back end
    store: str  # file of recorded answers, OFF = none
    replay: bool  # answers come from there only
    price: Price | None  # None = unknown

    @property
    def per_world(self) -> bool:
        """Each world has a model of its own."""
        return self.kind == "pocket" and not self.target

    @staticmethod
    def parse(text: str, options: Mapping[str, Any]) -> "ModelSpec":
        """``KIND:NAME`` and loose options: those of the back end, and ``store``, ``replay``, ``input_price`` and
        ``output_price`` (dollars per million tokens) for every model.

        Answers are stored in the cache folder unless ``store`` names another file or is "off"; those of pocket and of
        checkpoints, which cost nothing to make again, only where ``store`` names one. Raises UnknownNameError,
        OptionError.
        """
        kind, _, target = str(text).partition(":")
        known = {"pocket", *BACK_ENDS}
        if kind not in known:
            raise UnknownNameError("kind of model", kind, known)
        if kind != "pocket" and not target:
            raise OptionError(f"a model {kind!r} needs a name: {kind}:NAME, for example {_EXAMPLES[kind]}")
        rest = dict(options)
        prices = [rest.pop(name, None) for name in ("input_price", "output_price")]
        store, replay = rest.pop("store", ""), rest.pop("replay", False)
        if not isinstance(store, str):
            raise OptionError(f"store must be the name of a file, or {OFF!r}, found {store!r}")
        if type(replay) is not bool:
            raise OptionError(f"replay must be True or False, found {replay!r}")
        if not store:
            store = OFF if kind in WITHOUT_STORE else str(home() / "answers.sqlite")
        if replay and store == OFF:
            raise OptionError("replay=True needs store=FILE: the answers that were recorded")
        if kind == "pocket":
            make, fixed = PocketConfig, set()
        else:
            module, config, _ = BACK_ENDS[kind]
            make, fixed = getattr(import_module(module), config), FIXED.get(kind, {"model"})
        names = {field.name for field in fields(make)} - fixed
        for name in rest:
            if name not in names or (kind == "pocket" and target):
                own = set() if kind == "pocket" and target else names
                raise UnknownNameError(f"option of a model {kind!r}", name, own | COMMON)
        made = make(target, **rest) if fixed else make(**rest)
        return ModelSpec(kind, target, made, store, replay, _price(kind, target, prices))


_last: dict[str, Model] = {}  # the model that was loaded last: a benchmark makes its agents anew for each cell

_EXAMPLES = {"openai": "openai:gpt-4o-mini"} | {
    "checkpoint": "checkpoint:runs/us-agent",
    **{kind: f"{kind}:Qwen/Qwen2.5-7B-Instruct" for kind in ("hf", "vllm")},
}


def _price(kind: str, target: str, given: list[Any]) -> Price | None:
    if given == [None, None]:
        return PRICES.get(target) if kind == "openai" else FREE
    if None in given or any(isinstance(p, bool) or not isinstance(p, int | float) or p < 0 for p in given):
        raise OptionError(f"input_price and output_price go together, dollars per million tokens from 0, found {given}")
    return Price(float(given[0]), float(given[1]))


def make_model(spec: ModelSpec, world: World | None) -> Model:
    """The model behind a spec, with its store in front if it has one; only pocket and checkpoints need a world.

    Raises ModelError, DependencyError.
    """

    def load() -> Model:
        if spec.kind == "pocket":
            return load_pocket(world, spec.config, Path(spec.target) if spec.target else None)
        if spec.kind == "checkpoint":
            return load_trained(Path(spec.target), world, spec.config)
        module, _, model = BACK_ENDS[spec.kind]
        return getattr(import_module(module), model)(spec.config)

    def load_once() -> Model:
        key = _name(spec, world, load)
        if key not in _last:
            _last.clear()  # before another one is loaded: both may not fit
            _last[key] = load()
        return _last[key]

    if spec.store == OFF:
        return load_once()
    if spec.replay and not Path(spec.store).exists():
        raise ModelError(f"there are no recorded answers to replay: {spec.store} does not exist")
    facts = (spec.config.context, "") if spec.kind == "openai" else None
    return Recorded(load_once, _name(spec, world, load), Store(Path(spec.store)), spec.replay, facts)


def _name(spec: ModelSpec, world: World | None, load: Callable[[], Model]) -> str:
    """The model in the keys of a store: all that can change its answers and is known without loading it."""
    if spec.kind == "openai":
        return load().name  # nothing is asked; the address may come from the environment
    changed = [f"{f.name}={getattr(spec.config, f.name)!r}" for f in fields(spec.config) if f.name not in ASIDE]
    if spec.kind == "checkpoint":
        return f"{read_trained(Path(spec.target)).name}({', '.join(changed)})"
    if spec.per_world:
        changed.append(f"world={world.hash}")
    for folder in filter(None, (spec.target, getattr(spec.config, "adapter", ""))):
        if Path(folder).is_dir():  # its files can be others next time
            config = "adapter_config.json" if folder != spec.target else "config.json"
            changed.append(f"{folder}@{find_checkpoint(folder, config=config).version}")
    return f"{spec.kind}:{spec.target}({', '.join(changed)})"
