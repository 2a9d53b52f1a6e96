"""The publishers' own files: their encodings, quotes and comments, and rows whose order is lost."""

from dataclasses import replace

import numpy as np
import pytest

from vrsim.building import BuildConfig, make_world
from vrsim.episodes import make_episodes
from vrsim.errors import DataError
from vrsim.interactions import pair_keys
from vrsim.protocols import PROTOCOLS
from vrsim.sources import SOURCES


@pytest.fixture
def load(tmp_path, monkeypatch):
    """Write the files of a source and read them, whatever its publisher counted."""
    monkeypatch.setenv("VRSIM_DATA", str(tmp_path))

    def load(name, files):
        for file, content in files.items():
            (tmp_path / file).write_bytes(content if isinstance(content, bytes) else content.encode())
        forms = tuple(replace(form, counts={}) for form in SOURCES[name].forms)
        return replace(SOURCES[name], forms=forms, least_users=1).load(3)

    return load


def assert_refused(read, file, *words):
    with pytest.raises(DataError) as caught:
        read()
    for word in (file, *words):
        assert word in str(caught.value)


# MovieLens: fields between "::", Latin-1

RATINGS = "1::10::5::978300760\n1::20::3::978300761\n1::30::4::978300759\n"
MOVIES = "10::Amélie (2001)::Comedy|Romance\n20::Das Boot (1981)::War\n30::Señor X (1999)::Drama\n"


@pytest.mark.parametrize("encoding", ["latin-1", "utf-8"])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_grouplens_files_are_read_in_latin_1_and_in_utf_8(load, encoding, end):
    movies = MOVIES.replace("\n", end).encode(encoding)
    data = load("ml-1m", {"ratings.dat": RATINGS.replace("\n", end), "movies.dat": movies})
    assert [data.catalog.ids[item] for item in data.interactions.items] == ["30", "10", "20"]
    assert data.catalog.titles == ["", "Amélie (2001)", "Das Boot (1981)", "Señor X (1999)"]
    assert data.catalog.years == [0, 2001, 1981, 1999]
    assert data.catalog.genres == [[], ["Comedy", "Romance"], ["War"], ["Drama"]]
    assert data.interactions.ratings.tolist() == [4, 5, 3]
    assert data.interactions.times.tolist() == [978300759, 978300760, 978300761]


def test_a_title_may_hold_commas_quotes_and_single_colons(load):
    movies = '10::"Go", she said: run, Lola (1998)::Action\n20::B::War\n30::C::Drama\n'
    data = load("ml-1m", {"ratings.dat": RATINGS, "movies.dat": movies})
    assert data.catalog.titles[1] == '"Go", she said: run, Lola (1998)'


def test_two_encodings_in_one_file_are_refused_with_both_lines(load):
    first, second, third = MOVIES.splitlines(keepends=True)
    movies = first.encode() + second.encode() + third.encode("latin-1")
    files = {"ratings.dat": RATINGS, "movies.dat": movies}
    assert_refused(lambda: load("ml-1m", files), "movies.dat", "mixed encodings, line 1 is UTF-8 and line 3 is not")


@pytest.mark.parametrize(
    ("file", "content", "words"),
    [
        ("ratings.dat", RATINGS + "1::40::5\n", ["user_id::item_id::rating::time", "got 3"]),
        ("ratings.dat", RATINGS + "1::40::5::today\n", ["user_id::item_id::rating::time", "today"]),
        ("ratings.dat", RATINGS + "1::40::good::978300760\n", ["expected numbers in column rating", "good"]),
        ("ratings.dat", RATINGS + "::40::5::978300760\n", ["1 rows without a user_id", "data row 4"]),
        ("ratings.dat", "", ["Empty CSV file"]),
        ("movies.dat", MOVIES + "40::No genre\n", ["item_id::title::genres", "got 2"]),
        ("movies.dat", MOVIES + MOVIES, ["item '10' stands twice"]),
    ],
)
def test_grouplens_files_that_cannot_be_trusted_are_refused(load, file, content, words):
    files = {"ratings.dat": RATINGS, "movies.dat": MOVIES} | {file: content}
    assert_refused(lambda: load("ml-1m", files), file, *words)


def test_a_broken_archive_is_refused(load):
    assert_refused(
        lambda: load("ml-1m", {"ratings.dat.gz": RATINGS, "movies.dat": MOVIES}), "ratings.dat.gz", "cannot be read"
    )


# MicroLens: commas in titles, comments beside them

PAIRS = {
    "MicroLens-100k_pairs.csv": "user,item,timestamp\n7,30,1663000000003\n7,10,1663000000001\n7,20,1663000000002\n",
    "MicroLens-100k_pairs.tsv": "7\t10 20 30\n",
}
TITLES = "10,one\n20,two\n30,three\n"


def micro(load, titles=TITLES, comments=None, pairs="MicroLens-100k_pairs.tsv", **more):
    files = {pairs: PAIRS[pairs], "MicroLens-100k_title_en.csv": titles} | more
    return load("microlens-100k", files | ({} if comments is None else {"MicroLens-100k_comment_en.txt": comments}))


@pytest.mark.parametrize("pairs", PAIRS)
def test_pairs_are_in_order_of_time_whatever_their_form(load, pairs):
    interactions = micro(load, pairs=pairs).interactions
    assert interactions.items.tolist() == [1, 2, 3]
    times = None if interactions.times is None else interactions.times.tolist()
    assert times == (None if pairs.endswith(".tsv") else [1663000000001.0, 1663000000002.0, 1663000000003.0])


@pytest.mark.parametrize(
    ("written", "title"),
    [
        ("How to cook, boil, and bake", "How to cook, boil, and bake"),
        ('"How to cook, boil, and bake"', "How to cook, boil, and bake"),
        ('"The ""best"" cook"', 'The "best" cook'),
        ('He said "hi"', 'He said "hi"'),
        ('"hi" he said, "you"', '"hi" he said, "you"'),
        ("  blanks  ", "blanks"),
        ("a\u2028b\x0cc\x85d", "a\u2028b\x0cc\x85d"),
        ("美食 # food #", "美食 # food #"),
        ("", "Untitled 10"),
    ],
)
@pytest.mark.parametrize("head", ["", "item,title\n", "\ufeffitem,title\n", "\ufeff"])
def test_titles_of_videos_are_read_quoted_or_not_with_a_header_or_without(load, written, title, head):
    data = micro(load, f"{head}10,{written}\r\n20,two\n30,three")
    assert data.catalog.titles == ["", title, "two", "three"]


def test_titles_of_the_smaller_set_are_a_table(load):
    titles = 'item,title\n10,"one, ""two"""\n20,two\n30,three\n'
    files = {"MicroLens-50k_pairs.tsv": PAIRS["MicroLens-100k_pairs.tsv"], "MicroLens-50k_titles.csv": titles}
    assert load("microlens-50k", files).catalog.titles[1] == 'one, "two"'


@pytest.mark.parametrize("pairs", PAIRS)
def test_comments_are_those_of_their_user_and_item_and_the_first_of_several(load, pairs):
    comments = "7\t20\tso\tgood, really\n8\t10\tnot mine\n7\t10\t first \n7\t10\tsecond\n7\t99\tno such video\n"
    assert micro(load, comments=comments, pairs=pairs).interactions.comments.to_pylist() == [
        "first", "so\tgood, really", "",
    ]  # fmt: skip


def test_without_a_file_of_comments_there_are_none(load):
    assert micro(load).interactions.comments is None


@pytest.mark.parametrize(
    ("file", "content", "words"),
    [
        ("MicroLens-100k_pairs.tsv", "7\t10 20 30\n8 10 20\n", ["line 2: expected a user, a tab and items", "8 10 20"]),
        ("MicroLens-100k_pairs.tsv", "7\t10 20 30\n8\t\n", ["line 2: expected a user, a tab and items"]),
        ("MicroLens-100k_pairs.tsv", "\t10 20 30\n", ["line 1: expected a user, a tab and items"]),
        ("MicroLens-100k_pairs.tsv", "", ["no interactions"]),
        ("MicroLens-100k_title_en.csv", "10 one\n20,two\n", ["line 1: expected item,title", "10 one"]),
        ("MicroLens-100k_title_en.csv", TITLES + "forty\n", ["line 4: expected item,title", "forty"]),
        ("MicroLens-100k_title_en.csv", TITLES + "\n", ["line 4: expected item,title"]),
        ("MicroLens-100k_title_en.csv", TITLES + "10,again\n", ["item '10' stands twice"]),
        ("MicroLens-100k_title_en.csv", TITLES.encode() + b"40,\xff\n", ["line 4 is not UTF-8"]),
        (
            "MicroLens-100k_comment_en.txt",
            "7\t10\tgood\nand more\n",
            ["line 2: expected a user, an item and a comment"],
        ),
        ("MicroLens-100k_comment_en.txt", b"7\t10\tgood\n7\t20\t\xff\n", ["line 2 is not UTF-8"]),
    ],
)
def test_files_of_microlens_that_cannot_be_trusted_are_refused(load, file, content, words):
    assert_refused(lambda: micro(load, **{file: content}), file, *words)


# Steam: the order of two fifths is lost


@pytest.fixture
def steam(load):
    """A world of 120 users with twelve reviews each, of which four have no place in the order, and those pairs."""
    rng = np.random.default_rng(0)
    taken = [rng.permutation(60)[:12] + 100 for _ in range(120)]
    ordered = "".join(f"{u},{i},{n}\n" for u, items in enumerate(taken) for n, i in enumerate(items[:8], 1))
    lost = "".join(
        f"{u},{i},{'valid' if n % 2 else 'test'}\n" for u, items in enumerate(taken) for n, i in enumerate(items[8:])
    )
    files = {
        "interactions.csv": "user_id,item_id,position\n" + ordered,
        "heldout.csv": "user_id,item_id,split\n" + lost,
        "items.csv": "item_id,title,tags\n" + "".join(f"{i},Game {i},Action|Indie\n" for i in range(100, 160)),
    }
    data = load("steam", files)
    ids = np.array(data.catalog.ids)
    return data, {(u, int(np.flatnonzero(ids == str(i))[0])) for u, items in enumerate(taken) for i in items[8:]}


def test_reviews_without_an_order_are_known_but_in_no_history(steam):
    data, lost = steam
    assert data.skipped["unordered"] == len(lost) == 480
    assert data.interactions.unordered.tolist() == sorted(int(pair_keys(*pair)) for pair in lost)
    assert data.interactions.lengths.tolist() == [8] * 120
    own = {(user, item) for user in range(120) for item in data.interactions.of(user).tolist()}
    assert not own & lost


@pytest.mark.parametrize("holdout", [1, 2])
@pytest.mark.parametrize(
    ("protocol", "task"),
    [(n, task) for n, p in PROTOCOLS.items() for task in p.tasks if not p.least_liked and p.judgment != "rated"],
)
def test_reviews_without_an_order_are_never_shown_asked_or_offered(steam, holdout, protocol, task):
    data, _ = steam
    world = make_world("steam", data, BuildConfig("transitions", holdout=holdout))[0]
    for seed in range(3):
        for split in ("train", "test"):
            episodes = make_episodes(world, protocol, task, 3, split, seed=seed)
            shown = np.hstack([episodes.histories, episodes.slates])
            pairs = pair_keys(episodes.positions[:, :1], shown)
            assert not np.isin(pairs, data.interactions.unordered).any()
            assert episodes.slates.min() > 0
