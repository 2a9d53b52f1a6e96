"""Tables: what is read, and what is repaired and counted."""

import numpy as np
import pyarrow as pa
import pytest

from vrsim.data import read_data

LOG = "user,item,time\nann,a,1\nann,b,2\nann,c,3\n"
LOG_RECBOLE = "user_id:token\titem_id:token\ttimestamp:float\nann\ta\t1\nann\tb\t2\nann\tc\t3\n"


def histories(data):
    """The items of every user, by the publisher's ids, oldest first."""
    interactions = data.interactions
    return {
        user: [data.catalog.ids[item] for item in interactions.of(index)]
        for index, user in enumerate(data.users.to_pylist())
    }


# Formats


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("log.csv", LOG),
        ("log.csv", LOG.replace("user,item,time", "user_id,item_id,timestamp")),
        ("log.csv", LOG.replace("user,item,time", "user_id:token,item_id:token,timestamp:float")),
        ("log.csv", LOG.replace("user,item,time", '"user","item","time"')),
        ("log.csv", "\ufeff" + LOG.replace("\n", "\r\n")),
        ("log.csv", LOG.rstrip("\n")),
        ("log.csv.gz", LOG),
        ("log.tsv", LOG.replace(",", "\t")),
        ("log.inter", LOG_RECBOLE),
        ("log.inter.gz", LOG_RECBOLE),
    ],
)
def test_text_tables_are_read(write, name, text):
    data = read_data(write(text, name))
    assert histories(data) == {"ann": ["a", "b", "c"]}
    assert data.interactions.times.tolist() == [1.0, 2.0, 3.0]


def test_parquet_tables_are_read(write_parquet):
    log = write_parquet(user_id=["ann"] * 3, item_id=["b", "c", "a"], time=[2, 3, 1])
    items = write_parquet("items.parquet", item=["a", "b", "c"], title=["A", "B", None], genres=[["x"], ["y", "z"], []])
    data = read_data(log, items)
    assert histories(data) == {"ann": ["a", "b", "c"]}
    assert data.catalog.titles == ["", "A", "B", "Untitled c"]
    assert data.catalog.genres == [[], ["x"], ["y", "z"], []]


def test_the_arrow_types_that_polars_writes_are_read(write_parquet):
    text = pa.large_string()
    log = write_parquet(
        user=pa.array(["ann"] * 3, text), item=pa.array(["a", "b", "c"]).dictionary_encode(), time=[1, 2, 3]
    )
    items = write_parquet(
        "items.parquet",
        item=pa.array(["a", "b", "c"], text),
        title=pa.array(["A", "B", "C"], text),
        genres=pa.array([["x"], ["y", "z"], []], pa.large_list(text)),
    )
    assert read_data(log, items).catalog.genres == [[], ["x"], ["y", "z"], []]


def test_recbole_item_files_are_read(write):
    items = write(
        "item_id:token\tmovie_title:token_seq\trelease_year:token\tclass:token_seq\n"
        'a\tThe "Toy" Story\t1995\tAnimation Children\'s\nb\tHeat\t\tCrime\nc\tAlien\t1979.0\t\n',
        "films.item",
    )
    catalog = read_data(write(LOG_RECBOLE, "log.inter"), items).catalog
    assert catalog.titles == ["", 'The "Toy" Story', "Heat", "Alien"]
    assert catalog.years == [0, 1995, 0, 1979]
    assert catalog.genres == [[], ["Animation", "Children's"], ["Crime"], []]


def test_quoted_text_keeps_commas_quotes_and_line_ends(write):
    log = write('user,item,time,comment\nann,a,1,"one, ""two""\nthree"\nann,b,2,\nann,c,3,plain\n')
    assert read_data(log).interactions.comments.to_pylist() == ['one, "two"\nthree', "", "plain"]


def test_numbers_may_turn_into_fractions_late_in_a_large_file(write):
    rows = "".join(f"user{n:06},item{n % 3},{n},4\n" for n in range(60_000))  # more than one block of the reader
    tail = "".join(f"zoe,item{n},{n}.5,{n}.5\n" for n in range(3))
    data = read_data(write("user,item,time,rating\n" + rows + tail))
    assert data.users.to_pylist() == ["zoe"]
    assert data.interactions.times.tolist() == [0.5, 1.5, 2.5]
    assert data.interactions.ratings.tolist() == [0.5, 1.5, 2.5]


# Order


def test_unsorted_rows_are_sorted_by_user_and_time(write):
    log = write("user,item,time\nbob,a,9\nann,c,3\nbob,b,-1\nann,a,1\nbob,c,4\nann,b,2.5\n")
    assert histories(read_data(log)) == {"ann": ["a", "b", "c"], "bob": ["b", "c", "a"]}


def test_equal_times_keep_the_order_of_the_file(write):
    log = write("user,item,time\nann,c,7\nann,a,7\nann,z,1\nann,b,7\n")
    assert histories(read_data(log)) == {"ann": ["z", "c", "a", "b"]}


def test_ids_that_are_all_numbers_are_ordered_as_numbers(write):
    log = write("user,item,time\n" + "".join(f"{u},{i},{t}\n" for u in (10, 9) for t, i in enumerate((100, 20, 3))))
    data = read_data(log)
    assert data.users.to_pylist() == ["9", "10"]
    assert data.catalog.ids == ["", "3", "20", "100"]
    assert data.interactions.items.tolist() == [3, 2, 1] * 2


def test_ratings_and_comments_move_with_their_rows(write):
    log = write(
        "user,item,time,rating,review\n"
        "bob,a,3,1,bob3\nann,b,2,,ann2\nbob,b,1,2.5,bob1\nann,c,3,4,\nbob,c,2,3,bob2\nann,b,9,5,again\nann,a,1,5,ann1\n"
    )
    interactions = read_data(log).interactions
    np.testing.assert_array_equal(interactions.ratings, np.array([5, np.nan, 4, 2.5, 3, 1], np.float32))
    assert interactions.comments.to_pylist() == ["ann1", "ann2", "", "bob1", "bob2", "bob3"]


def test_tables_without_ratings_and_comments_have_none(write):
    interactions = read_data(write(LOG)).interactions
    assert interactions.ratings is None
    assert interactions.comments is None


# Ids


def test_ids_are_text_and_keep_leading_zeros(write):
    log = write("user,item,time\n7,x/1,1\n7,é,2\n7,NULL,3\n007,x/1,1\n007,é,2\n007,nan,3\n")
    assert histories(read_data(log)) == {"7": ["x/1", "é", "NULL"], "007": ["x/1", "é", "nan"]}


def test_blanks_around_ids_do_not_count(write):
    log = write("user, item, time\nann, a,1\n ann,b,2\nann ,c ,3\n")
    assert histories(read_data(log)) == {"ann": ["a", "b", "c"]}


def test_integer_and_whole_float_ids_of_parquet_are_the_same_ids(write_parquet):
    log = write_parquet(user=np.array([5.0, 5.0, 5.0]), item=np.array([1.0, 2.0, 30.0]), time=[1, 2, 3])
    items = write_parquet("items.parquet", item=[1, 2, 30], title=["A", "B", "C"])
    data = read_data(log, items)
    assert histories(data) == {"5": ["1", "2", "30"]}
    assert data.catalog.titles == ["", "A", "B", "C"]


def test_csv_columns_of_whole_float_ids_lose_their_fraction(write):
    log = write("user,item,time\n5.0,1.0,1\n5.0,2.0,2\n5.0,30.0,3\n")
    data = read_data(log, write("item,title\n1,A\n2,B\n30,C\n", "items.csv"))
    assert histories(data) == {"5": ["1", "2", "30"]}
    assert data.skipped["untitled_items"] == 0


# Times


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("1970-01-02", 86400.0),
        ("1970-01-01T00:01:00", 60.0),
        ("1970-01-01 00:01:00", 60.0),
        ("1970-01-01T00:01:00Z", 60.0),
        ("1970-01-01T01:01:00+01:00", 60.0),
        ("1970-01-01T00:01:00.25", 60.25),
        ("1970-01-01 00:01:00.123456789", 60.123456789),
    ],
)
def test_dates_and_times_become_seconds_since_1970(write, text, seconds):
    log = write(f"user,item,time\nann,a,{text}\nann,b,{text}\nann,c,{text}\n")
    assert read_data(log).interactions.times == pytest.approx([seconds] * 3, abs=1e-6)


@pytest.mark.parametrize("unit", ["s", "ms", "us", "ns"])
def test_timestamps_of_parquet_become_seconds_since_1970(write_parquet, unit):
    per_second = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}[unit]
    times = pa.array([3 * per_second + 1, 2 * per_second, per_second], pa.timestamp(unit, "UTC"))
    data = read_data(write_parquet(user=["ann"] * 3, item=["a", "b", "c"], time=times))
    assert histories(data) == {"ann": ["c", "b", "a"]}
    assert data.interactions.times == pytest.approx([1, 2, 3 + 1 / per_second], abs=1e-6)


def test_nanoseconds_since_1970_are_numbers_too(write):
    log = write("user,item,time\nann,a,1600000003000000001\nann,b,1600000002000000000\nann,c,1600000001000000000\n")
    assert histories(read_data(log)) == {"ann": ["c", "b", "a"]}


# Repairs, all counted


def test_a_repeated_interaction_is_kept_at_its_first_time_and_counted(write):
    log = write("user,item,time\nann,a,5\nann,b,2\nann,a,1\nann,c,3\nann,a,1\n")
    data = read_data(log)
    assert histories(data) == {"ann": ["a", "b", "c"]}
    assert data.interactions.times.tolist() == [1.0, 2.0, 3.0]
    assert data.skipped["repeated"] == 2


def test_users_with_fewer_than_three_different_items_are_left_out_and_counted(write):
    short = "bob,a,1\nbob,b,2\ncat,a,1\ncat,b,2\ncat,a,3\n"
    data = read_data(write(LOG + short))
    assert histories(data) == {"ann": ["a", "b", "c"]}
    assert data.skipped["short_users"] == 2


def test_the_shortest_history_can_be_chosen(write):
    log = write(LOG + "bob,a,1\nbob,b,2\nbob,c,3\nbob,d,4\n")
    data = read_data(log, shortest=4)
    assert histories(data) == {"bob": ["a", "b", "c", "d"]}
    assert data.skipped["short_users"] == 1


def test_items_that_nobody_kept_are_left_out_and_counted(write):
    log = write(LOG + "bob,d,1\n")
    items = write("item,title\nz,Z\nd,D\nc,C\nb,B\na,A\n", "items.csv")
    data = read_data(log, items)
    assert data.catalog.ids == ["", "a", "b", "c"]
    assert data.catalog.titles == ["", "A", "B", "C"]
    assert data.skipped["unused_items"] == 2


def test_items_without_a_title_or_a_row_are_called_untitled_and_counted(write):
    items = write("item,title,year,genres,caption\na,  ,1999,x,words\nb,B,,,\n", "items.csv")
    data = read_data(write(LOG), items)
    assert data.catalog.titles == ["", "Untitled a", "B", "Untitled c"]
    assert data.catalog.years == [0, 1999, 0, 0]
    assert data.catalog.genres == [[], ["x"], [], []]
    assert data.catalog.captions == ["", "words", "", ""]
    assert data.skipped["untitled_items"] == 2


def test_without_an_item_table_every_item_is_untitled(write):
    data = read_data(write(LOG))
    assert data.catalog.titles == ["", "Untitled a", "Untitled b", "Untitled c"]
    assert data.skipped == {"repeated": 0, "short_users": 0, "unordered": 0, "unused_items": 0, "untitled_items": 3}


def test_clean_tables_need_no_repair(write):
    data = read_data(write(LOG), write("item,title\na,A\nb,B\nc,C\n", "items.csv"))
    assert set(data.skipped.values()) == {0}


@pytest.mark.parametrize(
    ("text", "genres"),
    [
        ("Drama|Film, Noir", ["Drama", "Film, Noir"]),
        ('"Drama, War"', ["Drama", "War"]),
        ("Drama", ["Drama"]),
        (" Drama | |War|", ["Drama", "War"]),
        ("", []),
    ],
)
def test_genres_are_split_at_bars_or_else_at_commas(write, text, genres):
    if "," in text and not text.startswith('"'):
        text = f'"{text}"'
    items = write(f"item,title,genre\na,A,{text}\n", "items.csv")
    assert read_data(write(LOG), items).catalog.genres[1] == genres
