"""Packages read together are the same as read one by one, and memory stays within the number of records asked for."""

import re
from collections.abc import Callable

import pytest

from ppp.ledger import published
from ppp.ledger.store import Store
from ppp.model.record import Record
from ppp.publish.packages.read import read_packages

READ = re.compile(r"SELECT package, observed_at.* json_each\('(\[.*?\])'\)", re.DOTALL)


@pytest.fixture
def store(store: Store, record: Callable[..., Record]) -> Store:
    """A ledger of five packages that have, by name, one to five records."""
    for count, package in enumerate("abcde", start=1):
        for number in range(count):
            store.add_record(record(package, f"1.{number}", result="FAIL" if number % 2 else "PASS"))
    return store


@pytest.mark.parametrize(
    ("records", "portions"),
    [
        (1, [["a"], ["b"], ["c"], ["d"], ["e"]]),
        (3, [["a", "b"], ["c"], ["d"], ["e"]]),
        (6, [["a", "b", "c"], ["d"], ["e"]]),
        (9, [["a", "b", "c"], ["d", "e"]]),
        (100, [["a", "b", "c", "d", "e"]]),
    ],
)
def test_packages_are_read_together_up_to_a_number_of_records(
    store: Store, records: int, portions: list[list[str]]
) -> None:
    environments = published.observed_environments(store.db)
    statements: list[str] = []
    one_by_one = [history for package in "abcde" for history in read_packages(store.db, [package], environments)]
    store.db.conn.set_trace_callback(statements.append)
    together = [*read_packages(store.db, ["e", "none", "a", "c", "b", "d"], environments, max_records=records)]
    store.db.conn.set_trace_callback(None)
    assert [re.findall(r'"(\w+)"', found[1]) for sql in statements if (found := READ.search(sql))] == portions
    assert [history.package for history in together] == [*"abcde"]
    assert together == one_by_one


def test_packages_without_a_result_are_left_out(store: Store) -> None:
    environments = published.observed_environments(store.db)
    assert [*read_packages(store.db, [], environments)] == []
    assert [*read_packages(store.db, ["none"], environments)] == []
