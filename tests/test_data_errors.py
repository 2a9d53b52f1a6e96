"""Tables that cannot be trusted are refused, with the file and words that help."""

import numpy as np
import pyarrow as pa
import pytest

from vrsim.data import read_data
from vrsim.errors import DataError

LOG = "user,item,time\nann,a,1\nann,b,2\nann,c,3\n"


def assert_refused(read, path, *words):
    """``read`` raises a DataError that names the file and contains every word."""
    with pytest.raises(DataError) as caught:
        read()
    before, file, after = str(caught.value).partition(str(path))
    assert file, f"the message does not name the file: {before}"
    for word in words:
        assert word in before + after


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", ["cannot be read", "Empty CSV file"]),
        ("user,item,time\n", ["no interactions"]),
        ("user,item\nann,a\n", ["expected a column time or timestamp or position", "found user, item"]),
        ("userId,item,time\nann,a,1\n", ["expected a column user_id or user", "found userId, item, time"]),
        (LOG.replace(",", ";"), ["expected a column user_id or user", "found user;item;time"]),
        (LOG + ",d,4\n", ["1 row", "user_id", "data row 4"]),
        (LOG + "ann,  ,4\nann,,5\n", ["2 rows", "item_id", "data row 4"]),
        (LOG + "ann,d,\n", ["1 row", "time", "data row 4"]),
        (LOG + "ann,d,inf\n", ["1 row", "time", "data row 4"]),
        (LOG + "ann,d,soon\n", ["expected numbers in column time", "soon"]),
        (LOG + "ann,d\n", ["cannot be read", "Expected 3 columns, got 2"]),
        ("user,item,time\nann,a,1\nann,b,2\nbob,a,1\n", ["at least 3 interactions", "found none"]),
        (LOG.replace("c,3", "b,3"), ["at least 3 interactions", "found none"]),
    ],
)
def test_a_table_that_cannot_be_trusted_is_refused(write, text, words):
    log = write(text)
    assert_refused(lambda: read_data(log), log, *words)


def test_a_rating_that_is_no_number_is_refused(write):
    log = write("user,item,time,rating\nann,a,1,5\nann,b,2,good\nann,c,3,4\n")
    assert_refused(lambda: read_data(log), log, "expected numbers in column rating", "good")


def test_a_missing_file_is_refused(tmp_path, write):
    missing = tmp_path / "nowhere.csv"
    assert_refused(lambda: read_data(missing), missing, "no such file")
    log = write(LOG)
    assert_refused(lambda: read_data(log, missing), missing, "no such file")


def test_a_missing_id_in_parquet_is_refused(write_parquet):
    log = write_parquet(user=pa.array([1, None, 1]), item=[1, 2, 3], time=[1, 2, 3])
    assert_refused(lambda: read_data(log), log, "1 row", "user_id", "data row 2")


def test_not_a_number_is_a_missing_id(write_parquet):
    log = write_parquet(user=np.array([1, 1, 1, np.nan, np.nan, np.nan]), item=[1, 2, 3] * 2, time=[1, 2, 3] * 2)
    assert_refused(lambda: read_data(log), log, "3 rows", "user_id", "data row 4")


def test_an_item_table_with_a_repeated_item_is_refused(write):
    log, items = write(LOG), write("item,title\na,A\nb,B\na,Other\n", "items.csv")
    assert_refused(lambda: read_data(log, items), items, "item 'a' stands twice", "data rows 1 and 3")


def test_an_item_table_without_an_id_is_refused(write):
    log, items = write(LOG), write("item,title\na,A\n,B\n", "items.csv")
    assert_refused(lambda: read_data(log, items), items, "1 row", "item_id", "data row 2")


def test_an_item_table_without_titles_is_refused(write):
    log, items = write(LOG), write("item,year\na,1999\n", "items.csv")
    assert_refused(lambda: read_data(log, items), items, "expected a column title", "found item, year")


@pytest.mark.parametrize("name", ["log.csv", "log.csv.gz"])
def test_broken_utf8_is_refused_with_its_line(write, name):
    log = write((LOG + "ann,é,4\n").encode("latin-1"), name)
    assert_refused(lambda: read_data(log), log, "line 5 is not UTF-8")


def test_broken_utf8_in_the_item_table_is_refused_with_its_line(write):
    log, items = write(LOG), write("item_id:token\ttitle:token_seq\na\té\n".encode("latin-1"), "films.item")
    assert_refused(lambda: read_data(log, items), items, "line 2 is not UTF-8")


def test_broken_utf8_in_the_header_is_refused_with_its_line(write):
    log = write("user,item,time,größe\nann,a,1,1\nann,b,2,1\nann,c,3,1\n".encode("latin-1"))
    assert_refused(lambda: read_data(log), log, "line 1 is not UTF-8")


def test_broken_utf8_in_parquet_is_refused(write_parquet):
    log = write_parquet(user=[b"\xff"] * 3, item=["a", "b", "c"], time=[1, 2, 3])
    assert_refused(lambda: read_data(log), log)


def test_a_truncated_gz_file_is_refused(write):
    log = write("user,item,time\n" + "".join(f"ann,{n},{n}\n" for n in range(1000)), "log.csv.gz")
    log.write_bytes(log.read_bytes()[:-100])
    assert_refused(lambda: read_data(log), log, "cannot be read", "runcated")


@pytest.mark.parametrize("name", ["log.csv.gz", "log.parquet"])
def test_a_file_that_is_not_what_its_name_says_is_refused(tmp_path, name):
    log = tmp_path / name
    log.write_text(LOG)
    assert_refused(lambda: read_data(log), log, "cannot be read")
