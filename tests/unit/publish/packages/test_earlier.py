"""What a failing cell says of earlier releases."""

from collections.abc import Callable

import pytest

from ppp.ledger import published
from ppp.ledger.store import Store
from ppp.model.record import Record
from ppp.publish.packages.earlier import earlier_words
from ppp.publish.packages.read import read_packages


@pytest.mark.parametrize(
    ("results", "words"),
    [
        # By version, the newest last.
        (["PASS", "FAIL"], "new in 2, last good 1"),
        (["PASS", "FAIL", "FAIL"], "last good 1"),
        (["FAIL", "PASS", "TIMEOUT"], "new in 3, last good 2"),
        (["FAIL", "FAIL"], "none good before"),
        # An error of ours is no result: the one before it counts.
        (["PASS", "ERROR", "FAIL"], "new in 3, last good 1"),
        (["FAIL"], None),
        (["PASS", "PASS"], None),
        (["PASS", "ERROR"], None),
        (["PASS", "NA"], None),
    ],
)
def test_words(results: list[str], words: str | None, store: Store, record: Callable[..., Record]) -> None:
    for version, result in enumerate(results, 1):
        store.add_record(record("six", str(version), "py312-slim", result=result))
    (history,) = read_packages(store.db, ["six"], published.observed_environments(store.db))
    assert earlier_words(history).get("py312-slim") == words
