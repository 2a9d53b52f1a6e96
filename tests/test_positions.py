"""Positions: a column that says the order of each user's rows, and rows whose place in it nobody knows."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vrsim.data import read_data
from vrsim.errors import DataError

LOG = "user,item,position\nann,a,1\nann,b,2\nann,c,3\nbob,b,1\nbob,c,2\nbob,d,3\n"


def histories(data):
    """The items of every user, by the publisher's ids, oldest first."""
    interactions = data.interactions
    return {
        user: [data.catalog.ids[item] for item in interactions.of(index)]
        for index, user in enumerate(data.users.to_pylist())
    }


def loose(data):
    """The pairs of user and item of unknown time, by the publisher's ids."""
    keys = [] if data.interactions.unordered is None else data.interactions.unordered.tolist()
    return [(data.users[key >> 32].as_py(), data.catalog.ids[key & 0xFFFFFFFF]) for key in keys]


def assert_refused(log, *words):
    with pytest.raises(DataError) as caught:
        read_data(log)
    for word in (str(log), *words):
        assert word in str(caught.value)


# Order


def test_rows_are_ordered_by_position_within_each_user(write):
    log = write("user,item,position\nbob,d,3\nann,c,3\nbob,b,1\nann,a,1\nbob,c,2\nann,b,2\n")
    assert histories(read_data(log)) == histories(read_data(write(LOG))) == {"ann": [*"abc"], "bob": [*"bcd"]}
    assert read_data(log).interactions.times is None
    assert read_data(log).interactions.unordered is None


def test_the_position_goes_before_the_time(write):
    log = write("user,item,position,time\nann,a,3,10\nann,b,1,30\nann,c,2,20\n")
    data = read_data(log)
    assert histories(data) == {"ann": ["b", "c", "a"]}
    assert data.interactions.times.tolist() == [30.0, 20.0, 10.0]


def test_positions_may_be_written_as_fractions_and_with_a_type(write):
    log = write("user:token\titem:token\tposition:float\nann\tc\t3.0\nann\ta\t1.0\nann\tb\t2.0\n", "log.inter")
    assert histories(read_data(log)) == {"ann": ["a", "b", "c"]}


def test_the_first_of_repeated_interactions_counts(write):
    data = read_data(write("user,item,position\nann,a,1\nann,b,2\nann,a,3\nann,c,4\n"))
    assert histories(data) == {"ann": ["a", "b", "c"]}
    assert data.skipped["repeated"] == 1


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (LOG.replace("c,3", "c,4"), ["user 'ann'", "expected 3, found 4 in data row 3", "call the column time"]),
        (LOG.replace("a,1", "a,0"), ["user 'ann'", "expected 1, found 0 in data row 1"]),
        (LOG.replace("b,1", "b,2"), ["user 'bob'", "expected 1, found 2 in data row 4"]),
        (LOG.replace("c,2", "c,3"), ["user 'bob'", "expected 2, found 3 in data row 5"]),
        (LOG.replace("a,1", "a,1.5"), ["user 'ann'", "expected 1, found 1.5 in data row 1"]),
        (LOG.replace("a,1", "a,-1"), ["user 'ann'", "expected 1, found -1 in data row 1"]),
        (LOG.replace("a,1", "a,"), ["user 'ann'", "expected 1, found 2 in data row 2"]),
        (LOG.replace("a,1", "a,first"), ["expected numbers in column position", "first"]),
        (LOG.replace("a,1", "a,inf"), ["user 'ann'", "expected 1, found 2 in data row 2"]),
        ("user,item,position\nann,a,\nann,b,\nann,c,\n", ["at least 3 interactions", "found none"]),
    ],
    ids=["gap", "from-0", "from-2", "twice", "fraction", "negative", "first-missing", "word", "infinite", "all-empty"],
)
def test_positions_that_cannot_be_trusted_are_refused(write, text, words):
    assert_refused(write(text), *words)


# Times beside positions


@pytest.mark.parametrize(
    ("column", "seconds"),
    [
        ("60,,180", [60, np.nan, 180]),
        ("60.5,,", [60.5, np.nan, np.nan]),
        (",,", [np.nan] * 3),
        ("1970-01-02,,1970-01-03", [86400, np.nan, 172800]),
        ("1970-01-01 00:01:00,,1970-01-01 00:02:00.5", [60, np.nan, 120.5]),
    ],
)
def test_times_may_be_known_in_part_where_there_are_positions(write, column, seconds):
    rows = "".join(
        f"ann,{item},{n},{time}\n" for n, (item, time) in enumerate(zip("abc", column.split(","), strict=True), 1)
    )
    interactions = read_data(write("user,item,position,time\n" + rows)).interactions
    np.testing.assert_array_equal(interactions.times, seconds)
    assert interactions.times.dtype == np.float64


def test_a_time_that_is_none_is_refused_beside_positions_too(write):
    assert_refused(
        write("user,item,position,time\nann,a,1,soon\nann,b,2,2\nann,c,3,3\n"),
        "expected numbers in column time",
        "soon",
    )


def test_times_in_part_are_refused_where_there_are_no_positions(write):
    assert_refused(write("user,item,time\nann,a,1\nann,b,\nann,c,3\n"), "1 rows without a time", "data row 2")


# Rows without a position


def test_rows_without_a_position_are_known_and_counted_but_no_history(write):
    data = read_data(write(LOG + "bob,a,\nann,d,\n"))
    assert histories(data) == {"ann": ["a", "b", "c"], "bob": ["b", "c", "d"]}
    assert loose(data) == [("ann", "d"), ("bob", "a")]
    assert data.skipped["unordered"] == 2
    assert data.interactions.unordered.dtype == np.int64
    assert data.interactions.contains(np.array([0, 0, 1, 1]), np.array([4, 1, 1, 4])).all()
    assert not data.interactions.contains(np.array([0, 1]), np.array([0, 5])).any()


def test_a_row_without_a_position_is_forgotten_where_the_same_pair_has_one(write):
    data = read_data(write(LOG + "ann,b,\nann,b,\nbob,a,\nbob,a,\n"))
    assert loose(data) == [("bob", "a")]
    assert data.skipped["unordered"] == 4


def test_rows_without_a_position_make_no_user_and_no_item(write):
    data = read_data(write(LOG + "ann,new,\ncat,a,\ncat,b,1\ncat,c,\ncat,d,\n"))
    assert data.users.to_pylist() == ["ann", "bob"]
    assert data.catalog.ids == ["", "a", "b", "c", "d"]
    assert loose(data) == []
    assert (data.skipped["unordered"], data.skipped["short_users"]) == (4, 1)
    assert data.interactions.unordered is None


def test_ratings_and_comments_of_rows_without_a_position_are_dropped_with_them(write):
    log = "user,item,position,rating,comment\nann,c,3,3,three\nann,d,,9,lost\nann,a,1,1,one\nann,b,2,2,two\n"
    data = read_data(write(log))
    assert data.interactions.ratings.tolist() == [1, 2, 3]
    assert data.interactions.comments.to_pylist() == ["one", "two", "three"]


ROWS = st.lists(st.tuples(st.sampled_from("uvw"), st.sampled_from("abcdef"), st.booleans()), min_size=1, max_size=40)


@given(rows=ROWS, seed=st.integers(0, 2**32))
@settings(max_examples=100, deadline=None, derandomize=True, database=None)
def test_any_table_with_positions_is_read_like_the_plain_reference_reads_it(tmp_path_factory, rows, seed):
    order, lines, kept, lost = {}, [], {}, set()
    for user, item, known in rows:
        if known:
            order[user] = order.get(user, 0) + 1
            kept.setdefault(user, {}).setdefault(item, len(kept[user]) if user in kept else 0)
        else:
            lost.add((user, item))
        lines.append(f"{user},{item},{order[user] if known else ''}\n")
    log = tmp_path_factory.getbasetemp() / "positions.csv"
    log.write_text("user,item,position\n" + "".join(np.random.default_rng(seed).permutation(lines)))
    expected = {user: list(items) for user, items in sorted(kept.items()) if len(items) >= 3}
    if not expected:
        with pytest.raises(DataError, match="found none"):
            read_data(log)
        return
    data = read_data(log)
    assert histories(data) == expected
    catalog = {item for items in expected.values() for item in items}
    assert set(loose(data)) == {
        (user, item) for user, item in lost if user in expected and item in catalog and item not in expected[user]
    }
    assert data.skipped["unordered"] == sum(not known for _, _, known in rows)
