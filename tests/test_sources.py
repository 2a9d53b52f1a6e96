"""The data sets of the field are found in every form in which they are passed on, and counted."""

import gzip
import re
from dataclasses import replace

import pytest

from vrsim import worlds
from vrsim.building import BuildConfig, build
from vrsim.errors import DataError
from vrsim.sources import SOURCES
from vrsim.world import World

# Three users and five items: what every form below says. Item 5 is rare, item 6 nobody took.
HISTORIES = {"1": ["1", "2", "3", "4"], "2": ["4", "3", "2"], "10": ["2", "1", "5", "3"]}
TITLES = {
    "1": "Été (1994)",
    "2": "Heat (1995)",
    "3": "M (1931)",
    "4": "Ran (1985)",
    "5": "Up (2009)",
    "6": "If.... (1968)",
}
COUNTS = {"users": 3, "items": 5, "interactions": 11}
TAKEN = [(user, item, n) for user, items in HISTORIES.items() for n, item in enumerate(items, 1)]
RATED = [(user, item, n, 1 + n % 5, 1_000_000_000 + n) for user, item, n in TAKEN]


def lines(head: str, rows) -> str:
    return "".join(f"{row}\n" for row in ([head] if head else []) + list(rows))


def pairs(ids: str) -> dict[str, str]:
    return {
        f"interactions_{ids}.csv": lines("user_id,item_id,position", (f"{u},{i},{n}" for u, i, n in TAKEN)),
        "items.csv": lines("item_id,title,tag", (f"{i},{title},Drama" for i, title in TITLES.items())),
    }


ATOMIC_INTER = lines(
    "user_id:token\titem_id:token\trating:float\ttimestamp:float", (f"{u}\t{i}\t{r}\t{t}" for u, i, _, r, t in RATED)
)
ATOMIC_ITEM = lines("item_id:token\ttitle:token_seq", (f"{i}\t{title}" for i, title in TITLES.items()))

FORMS = {  # source: form: file: content
    "ml-1m": {
        "tables with positions": {
            "ratings.csv": lines(
                "user_id,item_id,rating,position,timestamp",
                (f"{u},{i},{r},{n},{t if n < 3 else ''}" for u, i, n, r, t in RATED),
            ),
            "items.csv": lines("item_id,title,genres", (f"{i},{title},Drama|War" for i, title in TITLES.items())),
        },
        "GroupLens' files": {
            "ratings.dat": lines("", (f"{u}::{i}::{r}::{t}" for u, i, _, r, t in RATED[::-1])),
            "movies.dat": lines("", (f"{i}::{title}::Drama|War" for i, title in TITLES.items())).encode("latin-1"),
        },
        "RecBole's atomic files": {"ml-1m.inter": ATOMIC_INTER, "ml-1m.item": ATOMIC_ITEM},
    },
    "steam": {
        "tables with positions": {
            "interactions.csv": lines("user_id,item_id,position", (f"{u},{i},{n}" for u, i, n in TAKEN)),
            "heldout.csv": "user_id,item_id,split\n",
            "items.csv": lines("item_id,title,tags", (f"{i},{title},Drama|War" for i, title in TITLES.items())),
        },
        "RecBole's atomic files": {"steam.inter": ATOMIC_INTER, "steam.item": ATOMIC_ITEM},
    },
}
for size, titles in (("50k", "titles.csv"), ("100k", "title_en.csv")):
    stem = f"MicroLens-{size}"
    named = {f"{stem}_{titles}": lines("item,title", (f"{i},{title}" for i, title in TITLES.items()))}
    by_time = lines("user,item,timestamp", (f"{u},{i},{1_600_000_000_000 + n}" for u, i, n in TAKEN[::-1]))
    by_user = lines("", (f"{user}\t{' '.join(items)}" for user, items in HISTORIES.items()))
    FORMS[f"microlens-{size}"] = {
        "tables with positions": pairs(size),
        "Westlake's files, pairs as .csv": named | {f"{stem}_pairs.csv": by_time},
        "Westlake's files, pairs as .tsv": named | {f"{stem}_pairs.tsv": by_user},
        "RecBole's atomic files": {
            f"microlens-{size}.inter": ATOMIC_INTER,
            f"microlens-{size}.item": ATOMIC_ITEM,
        },
    }

every_form = pytest.mark.parametrize(
    ("name", "form"), [(name, form) for name, forms in FORMS.items() for form in forms]
)


def small(name: str, counts=COUNTS, least_users: int = 1):
    """The source with the counts of the made-up files."""
    forms = tuple(replace(form, counts=counts) for form in SOURCES[name].forms)
    return replace(SOURCES[name], forms=forms, least_users=least_users)


@pytest.fixture
def put(tmp_path, monkeypatch):
    """Write files into a folder below VRSIM_DATA."""
    monkeypatch.setenv("VRSIM_DATA", str(tmp_path / "data"))
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")

    def put(files, folder=".", suffix="", root=tmp_path / "data"):
        (root / folder).mkdir(parents=True, exist_ok=True)
        for name, content in files.items():
            content = content if isinstance(content, bytes) else content.encode()
            (root / folder / f"{name}{suffix}").write_bytes(gzip.compress(content) if suffix else content)
        return root / folder

    return put


def histories(data):
    return {
        user: [data.catalog.ids[item] for item in data.interactions.of(index)]
        for index, user in enumerate(data.users.to_pylist())
    }


# Forms


def test_every_form_of_every_source_is_tested_here():
    assert {name: [form.about for form in source.forms] for name, source in SOURCES.items()} == {
        name: list(forms) for name, forms in FORMS.items()
    }
    for name, source in SOURCES.items():
        for form in source.forms:
            assert set(form.files) == set(FORMS[name][form.about])


@every_form
@pytest.mark.parametrize("suffix", ["", ".gz"])
def test_every_form_says_the_same(put, name, form, suffix):
    put(FORMS[name][form], suffix=suffix)
    data = small(name).load(3)
    assert histories(data) == HISTORIES
    assert data.catalog.titles == ["", *list(TITLES.values())[:5]]
    assert data.catalog.years[1:] == [1994, 1995, 1931, 1985, 2009]
    assert data.interactions.unordered is None
    assert data.skipped["unused_items"] == 1
    publisher = SOURCES[name].publisher
    assert data.origin == {"form": form, "publisher": publisher, "published_counts": COUNTS}


@pytest.mark.parametrize(("name", "folder"), [(n, f) for n, source in SOURCES.items() for f in (*source.folders, ".")])
def test_files_are_found_in_every_folder_that_may_hold_them(put, name, folder):
    put(FORMS[name]["RecBole's atomic files"], folder)
    assert histories(small(name).load(3)) == HISTORIES


def test_files_that_recbole_downloaded_are_found(put, tmp_path):
    put(FORMS["ml-1m"]["RecBole's atomic files"], "dataset/ml-1m", root=tmp_path / "elsewhere")
    assert histories(small("ml-1m").load(3)) == HISTORIES


def test_a_form_with_positions_goes_before_the_others_and_half_a_form_is_none(put):
    forms = FORMS["ml-1m"]
    put(forms["GroupLens' files"])
    folder = put(forms["tables with positions"])
    assert small("ml-1m").load(3).origin["form"] == "tables with positions"
    (folder / "items.csv").unlink()
    put({"items.csv": "item_id,title\n"}, "movielens-1m")  # a folder of its own: not the other half
    assert small("ml-1m").load(3).origin["form"] == "GroupLens' files"


def test_the_shortest_user_can_be_chosen(put):
    put(FORMS["ml-1m"]["RecBole's atomic files"])
    data = small("ml-1m").load(4)
    assert histories(data) == {user: items for user, items in HISTORIES.items() if len(items) == 4}
    assert data.skipped["short_users"] == 1


# Counts


@every_form
def test_files_with_other_counts_than_the_publishers_are_refused_with_both_numbers(put, name, form):
    put(FORMS[name][form])
    with pytest.raises(DataError) as caught:
        small(name, {"users": 4000, "items": 5, "interactions": 12}).load(3)
    message = str(caught.value)
    for words in (
        "expected 4,000 users, found 3;",
        "expected 12 interactions, found 11.",
        SOURCES[name].publisher,
        name,
    ):
        assert words in message
    assert "items, found" not in message
    assert "vrsim world build --interactions" in message


def test_the_published_counts_are_those_of_the_papers():
    counts = {name: dict(source.forms[0].counts) for name, source in SOURCES.items()}
    assert counts == {
        "ml-1m": {"users": 6040, "items": 3706, "interactions": 1000209},
        "steam": {"users": 23310, "items": 5237, "interactions": 525922},
        "microlens-50k": {"users": 50000, "items": 19220, "interactions": 359708},
        "microlens-100k": {"users": 100000, "items": 19738, "interactions": 719405},
    }
    assert {name: source.least_users for name, source in SOURCES.items() if source.least_users > 1} == {"ml-1m": 5}


@pytest.mark.parametrize("form", FORMS["ml-1m"])
def test_items_with_too_few_interactions_are_left_out_and_counted(put, form):
    put(FORMS["ml-1m"][form])
    data = small("ml-1m", least_users=2).load(3)
    assert histories(data) == HISTORIES | {"10": ["2", "1", "3"]}
    assert "5" not in data.catalog.ids
    assert (data.skipped["interactions_with_rare_items"], data.skipped["unused_items"]) == (1, 2)


def test_rare_items_may_have_no_position(put):
    ratings = [f"{u},{i},{r},{n - (u == '10' and n == 4) if i != '5' else ''},{t}" for u, i, n, r, t in RATED]
    tables = FORMS["ml-1m"]["tables with positions"]
    put(tables | {"ratings.csv": lines("user_id,item_id,rating,position,timestamp", ratings)})
    data = small("ml-1m", least_users=2).load(3)
    assert histories(data) == HISTORIES | {"10": ["2", "1", "3"]}
    assert (data.skipped["interactions_with_rare_items"], data.skipped["unordered"]) == (1, 0)


# Missing files


@pytest.mark.parametrize("name", SOURCES)
@pytest.mark.parametrize("told", [True, False])
def test_missing_files_are_listed_with_the_places_and_the_publisher(put, tmp_path, monkeypatch, name, told):
    if not told:
        monkeypatch.delenv("VRSIM_DATA")
    with pytest.raises(DataError) as caught:
        SOURCES[name].load(3)
    message = str(caught.value)
    for form in SOURCES[name].forms:
        assert f"{form.about}: {', '.join(form.files)}" in message
    for folder in SOURCES[name].folders:
        assert (str(tmp_path / "data" / folder) in message) == told
    assert f"dataset/{name}" in message
    assert f"Published by {SOURCES[name].publisher}" in message
    assert ("Set VRSIM_DATA to the folder that holds your data sets" in message) != told


# Worlds


def test_a_built_world_says_where_its_data_come_from(put, tmp_path):
    put(FORMS["ml-1m"]["GroupLens' files"])
    world = build(tmp_path / "mine", small("ml-1m").load(3), BuildConfig("transitions"))
    assert world.manifest["data"] == {
        "form": "GroupLens' files",
        "publisher": "GroupLens, https://grouplens.org/datasets/movielens/1m/",
        "published_counts": COUNTS,
    }


@pytest.mark.parametrize("name", SOURCES)
def test_a_source_is_a_world_by_name(put, tmp_path, monkeypatch, name, no_recbole):
    put(FORMS[name]["RecBole's atomic files"])
    monkeypatch.setenv("VRSIM_HOME", str(tmp_path / "home"))
    monkeypatch.setitem(worlds.SOURCES, name, small(name))
    world = World.load(f"{name}:recommender=transitions")
    assert world.manifest["counts"] == COUNTS
    assert world.manifest["data"]["form"] == "RecBole's atomic files"
    assert re.search(r"\d", worlds.BUILT_IN[name])
