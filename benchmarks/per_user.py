"""What a user costs, for docs/scale.md: bytes of worlds and records, tokens of prompts, seconds of a core.

Run: OMP_NUM_THREADS=1 python benchmarks/per_user.py WORLD...
     OMP_NUM_THREADS=1 python benchmarks/per_user.py ingest USERS
The worlds must be built. Everything is done by one process with one thread. Tokens are those of open_clip's tokenizer
(49,408 entries), which is there without a download; other models have others.
"""

import json
import resource
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

import vrsim
from vrsim.agents.decisions import by_words
from vrsim.data import read_data
from vrsim.loop import Played
from vrsim.models.model import Completion
from vrsim.recommender import rank_unseen
from vrsim.rows import to_rows
from vrsim.text.replies import tagged
from vrsim.text.templates import US_AGENT
from vrsim.text.writer import Writer, shown_order

REASONING = "The user likes recent dramas and has just seen a war film, so that " * 12
ASKED = 512  # questions that are looked at
RANKED = 256  # users who are ranked
LENGTH, ITEMS = 20, 100_000  # of the table that is read


def bytes_of(world: vrsim.World) -> dict[str, float]:
    """Bytes of a user on disk, by what they are for; those of the catalog and of the recommender belong to items."""
    groups = {
        "interactions": ("offsets", "items", "times", "ratings", "unordered"),
        "rankings": ("candidates", "target_ranks", "blocks", "block_scores"),
        "ids": ("users",),
    }
    sizes = {Path(name).stem: held["bytes"] for name, held in world.manifest["files"].items()}
    return {what: sum(sizes.get(name, 0) for name in names) / world.n_users for what, names in groups.items()}


def words_of(world: vrsim.World, task: str) -> dict[str, float]:
    """Length of prompts, and bytes of a record with and without the words."""
    import open_clip

    episodes = vrsim.make_episodes(world, "uniform", task, 3)
    index = np.arange(min(ASKED, len(episodes)))
    observations = episodes.observe(index)
    written = Writer(world, US_AGENT).write(observations, shown_order(observations, 0))
    texts = ["\n".join(words for _, words in prompt.messages) for prompt in written.prompts]
    encode = open_clip.SimpleTokenizer().encode
    completions = [Completion(tagged(written.labels[0], REASONING))] * len(index)
    decisions = by_words(written, completions, reasoning=True)
    none = np.zeros(len(index))
    played = Played(episodes, index, decisions, none > 0, none, none)
    rows = to_rows(played)
    numbers = [{key: row[key] for key in row if key not in ("text", "prompt", "well_formed", "cut")} for row in rows]
    return {
        "characters": float(np.mean([len(text) for text in texts])),
        "tokens": float(np.mean([len(encode(text)) for text in texts])),
        "reply_tokens": len(encode(completions[0].text)),
        "record": float(np.mean([len(json.dumps(row)) + 1 for row in rows])),
        "record_of_numbers": float(np.mean([len(json.dumps(row)) + 1 for row in numbers])),
    }


def ranking(world: vrsim.World) -> float:
    """Users whose unseen items the world's recommender ranks in a second of a core."""
    users, t = (column[:RANKED] for column in world.held_out)
    world.recommender.score(users[:2], world.interactions.histories(users[:2], t[:2], 50))  # loaded
    started = time.process_time()
    rank_unseen(world.recommender, world.interactions, world.n_items, users, t, 100)
    return len(users) / (time.process_time() - started)


def ingest(users: int) -> dict[str, float]:
    """Interactions that are read from a table in a second of a core, and bytes of memory each."""
    rng = np.random.default_rng(0)
    with tempfile.TemporaryDirectory() as parent:
        table = Path(parent) / "log.csv"
        with table.open("w") as lines:
            lines.write("user,item,time\n")
            for user in range(users):
                items = rng.choice(ITEMS, LENGTH, replace=False).tolist()
                lines.writelines(f"{user},{item},{second}\n" for second, item in enumerate(items))
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        started = time.process_time()
        read_data(table)
        spent = time.process_time() - started
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    return {"interactions_per_second": users * LENGTH / spent, "bytes_each": 1024 * grown / (users * LENGTH)}


def main() -> None:
    if sys.argv[1] == "ingest":
        print(json.dumps(ingest(int(sys.argv[2]))))
        return
    for name in sys.argv[1:]:
        world = vrsim.World.load(name)
        print(name, json.dumps({"items": world.n_items, "bytes": bytes_of(world), "ranked": ranking(world)}))
        for task in ("judgment", "selection"):
            print(name, task, json.dumps(words_of(world, task)))


if __name__ == "__main__":
    main()
