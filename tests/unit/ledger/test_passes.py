"""Which files are proven in an environment, and the results of a package there."""

from collections.abc import Callable

from ppp.ledger.passes import PassedFile, files_that_passed, results_in
from ppp.ledger.store import Store
from ppp.model.canonical import sha256_hex
from ppp.model.cell_result import CellResult
from ppp.model.record import Record, Result

HASH = sha256_hex(b"lib")


def test_files_of_current_passes_are_proven_with_the_modules_that_decide(
    store: Store, record: Callable[..., Record]
) -> None:
    records = [
        record("lib", "1.0", primary_module="lib.core", imports=("lib.core", "other")),
        record("lib", "2.0", imports=("lib", "other")),
        record("lib", "2.0", observed_at=1_800_000_000, result="FAIL"),
        record("lib", "3.0", imports=("one", "two")),
        record("lib", "4.0", "py311-alpine"),
        record("lib", "5.0", file=None, result="FAIL"),
    ]
    for one in records:
        store.add_record(one)
    assert [*files_that_passed(store.db, "py312-slim")] == [
        PassedFile("lib", HASH, "1.0", records[0].id, ("lib.core",)),
        PassedFile("lib", HASH, "3.0", records[3].id, ("one", "two")),
    ]


def test_results_are_the_current_ones_newest_release_first(store: Store, record: Callable[..., Record]) -> None:
    for version, result in (("9.0", "PASS"), ("10.0", "FAIL"), ("10.0rc1", "TIMEOUT")):
        store.add_record(record("lib", version, result=result))
    store.add_record(record("lib", "11.0", "py311-alpine"))
    assert results_in(store.db, "lib", "py312-slim") == [
        CellResult("10.0", Result.FAIL, "unclassified"),
        CellResult("10.0rc1", Result.TIMEOUT, "unclassified"),
        CellResult("9.0", Result.PASS, None),
    ]
    assert results_in(store.db, "nothing", "py312-slim") == []
