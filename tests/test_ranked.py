"""Ranked candidates of somebody else's recommender: what is read, left out and counted, or refused."""

import numpy as np
import pytest

from vrsim.data import read_data, read_ranked
from vrsim.errors import DataError


def assert_refused(read, path, *words):
    """``read`` raises a DataError that names the file and contains every word."""
    with pytest.raises(DataError) as caught:
        read()
    before, file, after = str(caught.value).partition(str(path))
    assert file, f"the message does not name the file: {before}"
    for word in words:
        assert word in before + after


@pytest.fixture
def three(write):
    """Three users and items a to d: ann is asked about c, bob about a, cat about b."""
    return read_data(
        write("user,item,time\nann,a,1\nann,b,2\nann,c,3\nbob,b,1\nbob,c,2\nbob,a,3\ncat,d,1\ncat,a,2\ncat,b,3\n")
    )


def test_candidates_are_ordered_by_rank(write, three):
    ranked = write("user,item,rank\ncat,b,1\nann,c,10\nbob,d,0.5\nann,d,9\nbob,a,2\n", "ranked.csv")
    candidates, dropped = read_ranked(ranked, three, holdout=1)
    assert candidates.tolist() == [[4, 3], [4, 1], [2, 0]]
    assert candidates.dtype == np.int32
    assert dropped == {"unknown": 0, "already_seen": 0}


def test_candidates_are_read_from_parquet(write_parquet, three):
    ranked = write_parquet(user_id=["ann", "bob", "cat"], item_id=["c", "d", "c"], rank=[1, 1, 1])
    assert read_ranked(ranked, three, holdout=1)[0].tolist() == [[3], [4], [3]]


def test_candidates_that_the_user_already_had_are_dropped_and_counted(write, three):
    ranked = write("user,item,rank\nann,a,1\nann,d,2\nann,b,3\nann,c,4\nbob,b,1\nbob,a,2\ncat,c,1\n", "ranked.csv")
    candidates, dropped = read_ranked(ranked, three, holdout=1)
    assert candidates.tolist() == [[4, 3], [1, 0], [3, 0]]
    assert dropped == {"unknown": 0, "already_seen": 3}


@pytest.mark.parametrize(
    ("rows", "unknown"),
    [("dan,a,1\n", 1), ("ann,x,0\nann,y,3\n", 2), ("dan,x,1\nann,x,1\n", 2), ("dan,a,1\ndan,a,1\n", 2)],
)
def test_rows_about_what_the_world_lacks_are_left_out_and_counted(write, three, rows, unknown):
    ranked = write(RANKED + rows + "ann,d,7\nbob,c,8\n", "ranked.csv")
    candidates, dropped = read_ranked(ranked, three, holdout=1)
    assert candidates.tolist() == [[3, 4], [1, 0], [2, 0]]
    assert dropped == {"unknown": unknown, "already_seen": 1}


RANKED = "user,item,rank\nann,c,1\nbob,a,1\ncat,b,1\n"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (RANKED.replace("bob,a", "bob,x"), ["no candidates for 1 user", "'bob'"]),
        (RANKED.replace("bob,a,1\n", ""), ["no candidates for 1 user", "'bob'"]),
        (RANKED.replace("bob,a", "bob,b"), ["no candidates for 1 user", "'bob'"]),
        ("user,item,rank\n", ["no candidates for 3 users", "'ann'"]),
        (RANKED + "ann,c,2\n", ["an item stands twice"]),
        (RANKED + "ann,d,first\n", ["expected numbers in column rank", "first"]),
        (RANKED + "ann,d,\n", ["1 row", "without a rank", "data row 4"]),
        ("user,item\nann,c\n", ["expected a column rank", "found user, item"]),
    ],
)
def test_candidates_that_cannot_be_trusted_are_refused(write, three, text, words):
    ranked = write(text, "ranked.csv")
    assert_refused(lambda: read_ranked(ranked, three, holdout=1), ranked, *words)


def test_candidates_answer_for_one_position_only(write, three):
    ranked = write(RANKED, "ranked.csv")
    assert_refused(lambda: read_ranked(ranked, three, holdout=2), ranked, "holdout must be 1, not 2")
