"""What text gives a recommender, and for which items: SASRecText beside SASRec at the same number of epochs.

Run: python benchmarks/text_recommenders.py [WORLD] [KEY=VALUE ...]     for example: ml-1m epochs=24 seeds=3

All test items are ranked against the full catalog without the history. Items are cut into fifths by how often they
occur in the training part, the rarest first. Every difference is one of users: the mean over seeds of what a user's
target gets from the one model less what it gets from SASRec, with a 95 % interval from a bootstrap over users.
Trained models are kept in the cache folder, so a run that was ended goes on where it stopped. ``alone=False`` leaves
out the model that reads text and has no ids. Other options are settings of all models, for example encoder=hf:NAME (of
those that read text), preset=microlens or hidden_size=128.
"""

import sys
from collections.abc import Mapping
from typing import Any

import numpy as np

from vrsim.estimates import Estimate, mean_of_users
from vrsim.last_items import METRICS, gains, last_ranks
from vrsim.naming import parse_name
from vrsim.sources import SOURCES
from vrsim.world import World
from vrsim.worlds import train_recommender

MODELS: dict[str, tuple[str, Mapping[str, Any]]] = {
    "SASRec": ("SASRec", {}),
    "SASRecText": ("SASRecText", {}),
    "SASRecText, text alone": ("SASRecText", {"ids": False}),
}
FIFTHS = ("rarest", "second", "third", "fourth", "most frequent")


def fifth_of_targets(world: World) -> np.ndarray:
    """Which fifth of the items, by training count, each user's test item belongs to, 0 = rarest, int64 (users,)."""
    counts = world.popularity[1:]
    place = np.empty(len(counts), np.int64)
    place[np.argsort(counts, kind="stable")] = np.arange(len(counts))
    targets = world.interactions.items[world.interactions.offsets[1:] - 1]
    return 5 * place[targets - 1] // len(counts)


def row(name: str, estimates: list[Estimate], sign: str = "") -> str:
    return f"{name:36}" + "".join(f"  {e.value:{sign}.4f} [{e.low:{sign}.4f}, {e.high:{sign}.4f}]" for e in estimates)


def main() -> None:
    worlds = [word for word in sys.argv[1:] if "=" not in word.partition(":")[0]]
    name = next(iter(worlds), "ml-100k:recommender=transitions")
    _, options = parse_name("options:" + ",".join(word for word in sys.argv[1:] if word not in worlds))
    seeds, alone = range(options.pop("seeds", 3)), options.pop("alone", True)
    world = World.load(name)
    source = SOURCES.get(name.partition(":")[0])
    usual = dict(source.options) if source and "preset" not in options else {}
    reads = {key: options.pop(key) for key in ("encoder",) if key in options}
    users, found = np.arange(world.n_users), {}
    for label, (model, own) in MODELS.items():
        if not (alone or own.get("ids", True)):
            continue
        settings = usual | options | dict(own) | (reads if model != "SASRec" else {})
        trained = [train_recommender(world, model, settings | {"seed": seed}) for seed in seeds]
        found[label] = np.mean([gains(last_ranks(one, world, users)) for one in trained], axis=0)  # (4, users)
        seconds = sum(one.report["seconds"] for one in trained)
        print(f"{label}: {seconds / 60:.1f} minutes of training, {trained[0].report['epochs']} epochs", flush=True)
    fifth = fifth_of_targets(world)
    groups = {"all test items": np.ones(world.n_users, bool)}
    groups |= {f"{words} fifth of the items": fifth == number for number, words in enumerate(FIFTHS)}
    print(f"{world.name}: {len(seeds)} seeds, {world.n_users:,} users")
    for words, inside in groups.items():
        print(f"\n{words} ({inside.sum():,} test items)")
        print(f"{'':36}" + "".join(f"  {metric:24}" for metric in METRICS))
        for label, values in found.items():
            print(row(label, mean_of_users([*values[:, inside]])))
        for label in [*found][1:]:
            difference = found[label] - found["SASRec"]
            print(row(f"{label} - SASRec", mean_of_users([*difference[:, inside]]), "+"))


if __name__ == "__main__":
    main()
