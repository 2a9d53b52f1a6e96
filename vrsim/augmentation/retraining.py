"""A world's recommender, trained again on more than the world's own interactions."""

from dataclasses import dataclass, replace

from vrsim.building import TRANSITIONS
from vrsim.errors import OptionError, WorldError
from vrsim.progress import Progress, silent
from vrsim.recommender import ItemTransitions, Recommender
from vrsim.recommender.additions import Additions, with_additions
from vrsim.world import World
from vrsim.worlds import kept_recommender

__all__ = ["Retraining", "check_retrainable", "retrain"]

WARM_EPOCHS = 2
WARM_RATE = 0.25  # of the first learning rate: at the full one, trained weights are lost before they get better


@dataclass(frozen=True)
class Retraining:
    """How it is trained again. Settings that are not here are those of the first training."""

    warm: bool = True  # from the weights that it has; False = from scratch
    epochs: int | None = None  # None = WARM_EPOCHS, or, from scratch, as many as the first training kept
    learning_rate: float | None = None  # of the first epoch, None = that of the first training, times WARM_RATE if warm

    def __post_init__(self) -> None:
        if type(self.warm) is not bool:
            raise OptionError(f"warm must be True or False, found {self.warm!r}")
        if self.epochs is not None and (type(self.epochs) is not int or self.epochs < 1):
            raise OptionError(f"epochs must be an integer from 1, found {self.epochs!r}")
        rate = self.learning_rate
        if rate is not None and (type(rate) not in (int, float) or not 0 < rate <= 1):
            raise OptionError(f"learning_rate must be a number above 0 and at most 1, found {rate!r}")


def check_retrainable(world: World) -> None:
    """Raise WorldError for a world that keeps the ranked candidates of a recommender, and not the recommender."""
    if world.manifest["recommender"]["kind"] == "candidates":
        raise WorldError(
            f"world {world.name!r} keeps the ranked candidates of a recommender of your own, which cannot be trained "
            "again; build a world of the same data with a RecBole model, or with recommender=transitions"
        )


def retrain(
    world: World, added: Additions, config: Retraining, seed: int = 0, progress: Progress = silent
) -> Recommender:
    """The recommender of ``world``, trained on everything before the held-out interactions and on what is ``added``.

    Nothing is held back for validation, so the number of epochs is fixed. A RecBole model is kept in the cache folder
    for next time; transitions are counted anew, and know neither epochs nor seeds. Raises WorldError, OptionError,
    DependencyError.
    """
    check_retrainable(world)
    if world.manifest["recommender"]["kind"] == TRANSITIONS:
        interactions = with_additions(world.interactions, world.holdout, added)
        return ItemTransitions(interactions, world.n_items, world.holdout)
    before = world.recommender
    epochs = config.epochs or (WARM_EPOCHS if config.warm else before.report["best_epoch"])
    rate = config.learning_rate or before.learning_rate * (WARM_RATE if config.warm else 1)
    options = {**before.config.options, "epochs": epochs, "eval_step": 0, "learning_rate": rate}
    again = replace(before.config, options=options, seed=seed)

    def train(show: Progress) -> Recommender:
        data = world.interactions, world.catalog, world.holdout
        return before.retrained(again, *data, added, config.warm, show)

    return kept_recommender(world, again, train, progress, added, [config.warm])
