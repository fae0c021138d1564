"""Groups of cells that failed alike, and the log that is read for each."""

from collections.abc import Callable

from ppp.ledger import published
from ppp.ledger.store import Store
from ppp.model.canonical import sha256_hex
from ppp.model.record import Blame, Record
from ppp.publish.packages.failures import group_failures
from ppp.publish.packages.history import PackageHistory
from ppp.publish.packages.read import read_packages


def history_of(store: Store) -> PackageHistory:
    """Return the history of the only package."""
    (only,) = read_packages(store.db, ["six"], published.observed_environments(store.db))
    return only


def add_failure(store: Store, record: Callable[..., Record], environment: str, log: str, **changes: object) -> None:
    failed = record("six", "1.0", environment, result="FAIL", log_sha256=sha256_hex(log.encode()), **changes)
    store.add_record(failed, log)


def test_cells_that_failed_alike_are_one_group(store: Store, record: Callable[..., Record]) -> None:
    add_failure(store, record, "py39-slim", "one", detail="a")
    add_failure(store, record, "py311-slim", "two", detail="b")
    add_failure(store, record, "py312-slim", "three", detail="a")
    store.add_record(record("six", "1.0", "py311-alpine", result="TIMEOUT"))
    store.add_record(record("six", "1.0", "py312-alpine", result="NA"))
    groups = group_failures(history_of(store).newest)
    assert [[cell.record.environment for cell in cells] for cells in groups] == [
        ["py39-slim", "py312-slim"],
        ["py311-slim"],
        ["py311-alpine"],
        ["py312-alpine"],
    ]


def test_one_log_is_read_for_each_group(store: Store, record: Callable[..., Record]) -> None:
    add_failure(store, record, "py39-slim", "first", detail="a")
    add_failure(store, record, "py312-slim", "second", detail="a")
    add_failure(store, record, "py312-alpine", "third", detail="b")
    assert sorted(history_of(store).logs.values()) == ["first", "third"]


def test_a_release_that_passes_has_no_log(store: Store, record: Callable[..., Record]) -> None:
    store.add_record(record("six", "1.0", "py312-slim", log_sha256=sha256_hex(b"log")), "log")
    assert history_of(store).logs == {}


def test_one_error_is_explained_once_whoever_is_blamed(store: Store, record: Callable[..., Record]) -> None:
    # Where it passes with another Python on the same platform, sibling cells blame the package, else the environment.
    store.add_record(record("six", "1.0", "py39-slim"))
    for environment in ("py312-slim", "py39-alpine"):
        add_failure(store, record, environment, environment, detail="a", cause="build-backend", blame=Blame.PACKAGE)
    (cells,) = group_failures(history_of(store).newest)
    assert len({cell.judgement.blame for cell in cells}) == 2
