"""Reviews of games on Steam, crawled by McAuley's lab (Kang and McAuley, ICDM 2018), in RLMRec's cut (WWW 2024)."""

import pyarrow as pa

from vrsim.sources.source import Form, Found, Source, Tables, atomic, read_events, read_items

__all__ = ["STEAM"]


def _tables(files: Found) -> Tables:
    """The ordered 60 % of each user, then the rest, whose order is lost: rows without a position."""
    events = read_events(files["interactions.csv"], "position")
    rest = read_events(files["heldout.csv"], "user_id")
    events = pa.concat_tables([events, rest], promote_options="default")
    return files["interactions.csv"], events, files["items.csv"], read_items(files["items.csv"])


STEAM = Source(
    name="steam",
    about="Steam reviews, RLMRec's cut: 23,310 users, 5,237 games, 525,922 reviews, 316,190 in order (UC San Diego)",
    publisher="McAuley's lab, https://cseweb.ucsd.edu/~jmcauley/datasets.html, cut by https://github.com/HKUDS/RLMRec",
    terms="they carry no licence: reviews and descriptions of games belong to their authors",
    folders=("steam",),
    forms=(
        Form(
            "tables with positions",
            ("interactions.csv", "heldout.csv", "items.csv"),
            _tables,
            {"users": 23_310, "items": 5_237, "interactions": 525_922},
        ),
        atomic("steam", {}),
    ),
)
