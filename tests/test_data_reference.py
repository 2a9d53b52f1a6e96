"""Any table is read like a few lines of plain Python would read it."""

import csv

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vrsim.data import read_data
from vrsim.errors import DataError


def reference(rows):
    """What reading must give, in plain Python: (item, number of the row) of every kept user, oldest first."""
    events = {}
    for number, (user, item, time) in enumerate(rows):
        events.setdefault(user, []).append((time, number, item))
    result = {}
    for user, of_user in events.items():
        kept = {}
        for _, number, item in sorted(of_user):
            kept.setdefault(item, number)
        if len(kept) >= 3:
            result[user] = list(kept.items())
    return result


ROWS = st.lists(
    st.tuples(
        st.sampled_from(["1", "2", "10", "03", "ann", "b,b", 'c"c', "é"]),
        st.sampled_from(["1", "9", "10", "x", "y z", "ü", "0.5"]),
        st.integers(-3, 3) | st.sampled_from([0.5, 2.0, 1e9]),
    ),
    min_size=1,
    max_size=60,
)


@given(rows=ROWS)
@settings(max_examples=100, deadline=None, derandomize=True, database=None)
def test_any_table_is_read_like_the_plain_reference_reads_it(tmp_path_factory, rows):
    log = tmp_path_factory.getbasetemp() / "any.csv"
    with log.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["user", "item", "time", "rating", "comment"])
        writer.writerows([*row, number, f"row {number}"] for number, row in enumerate(rows))
    expected = reference(rows)
    if not expected:
        with pytest.raises(DataError, match="found none"):
            read_data(log)
        return
    data = read_data(log)
    columns = data.interactions
    found = {
        user: [
            (data.catalog.ids[columns.items[row]], int(columns.ratings[row]))
            for row in range(columns.offsets[index], columns.offsets[index + 1])
        ]
        for index, user in enumerate(data.users.to_pylist())
    }
    assert found == expected
    assert columns.comments.to_pylist() == [f"row {int(number)}" for number in columns.ratings]
    assert data.skipped["repeated"] == len(rows) - len({(user, item) for user, item, _ in rows})
    assert data.skipped["short_users"] == len({user for user, _, _ in rows}) - len(expected)
