"""Queries: rows become the records that were written, in a defined order."""

from collections.abc import Callable

import pytest
from optional_fields import OPTIONAL

from ppp.ledger import queries
from ppp.ledger.store import Store
from ppp.model.matrix import Cell
from ppp.model.record import Blame, Installed, Network, Outcome, Phase, Record, Result, outcomes_in_order
from ppp.model.release import Release

Builder = Callable[..., Record]
OTHER = "cd" * 32


@pytest.mark.parametrize("result", list(Result))
def test_a_record_is_read_as_it_was_written(store: Store, record: Builder, result: Result) -> None:
    made = record(
        result=result,
        outcomes=outcomes_in_order({Phase.DOWNLOAD: Outcome.PASS, Phase.NODEPS: Outcome.TIMEOUT}),
        file=None if result is Result.NA else record().file,
        python=None,
        image_digest=f"sha256:{'0' * 64}",
        standin=True,
        network=Network.GATEWAY,
        imports=("é", "a.b", ""),
        installed=(
            Installed(name="six", version="1.17.0", sha256=None),
            Installed(name="é", version="1", sha256="0" * 64),
        ),
        duration_ms={Phase.DOWNLOAD: 0, Phase.NODEPS: 2**53 - 1},
        bytes={Phase.DOWNLOAD: 2**53 - 1, Phase.FULL: 0},
        grounds={Phase.FULL: "no-applicable-dependency"},
        blame=Blame.ENVIRONMENT,
        detail="one line; 'quoted' \u202e",
    )
    store.add_record(made)
    (read,) = queries.read_records(store.db)
    assert read == made
    assert read.id == made.id


@pytest.mark.parametrize("name", OPTIONAL)
def test_an_optional_field_is_read_as_it_was_written(store: Store, record: Builder, name: str) -> None:
    store.add_record(record(**{name: OPTIONAL[name]}))
    (read,) = queries.read_records(store.db)
    assert getattr(read, name) == OPTIONAL[name]
    (judged,) = store.db.query("SELECT * FROM judged")
    assert judged[name] is not None


def test_records_are_read_in_the_order_of_their_ids(store: Store, record: Builder) -> None:
    made = [record(observed_at=n) for n in range(20)]
    for each in made:
        store.add_record(each)
    assert [r.id for r in queries.read_records(store.db)] == sorted(r.id for r in made)


def test_the_current_cells_of_a_release(store: Store, record: Builder) -> None:
    held = [record("six", "1.0", e, observed_at=2) for e in ("py39-slim", "py312-alpine")]
    for each in [*held, record("six", "1.0", "py39-slim", observed_at=1), record("six", "1.1", "py39-slim")]:
        store.add_record(each)
    found = queries.current_by_environment(store.db, Release(package="six", version="1.0"))
    assert found == {r.environment: r for r in held}


def test_the_releases_that_have_a_result(store: Store, record: Builder) -> None:
    for package, version in [("six", "1.9"), ("six", "1.10"), ("idna", "3.7")]:
        store.add_record(record(package, version))
    assert [str(r) for r in queries.newest_releases(store.db)] == ["idna==3.7", "six==1.10"]
    assert [r.version for r in queries.releases_of(store.db, "six")] == ["1.10", "1.9"]
    assert queries.releases_of(store.db, "absent") == []


@pytest.mark.attack("own-verdict")
def test_only_a_node_s_own_verdict_settles_a_cell(store: Store, record: Builder) -> None:
    mine = record("mine")
    for each in (
        mine,
        record("mine", observed_at=1, result="ERROR"),
        record("ours", result="ERROR"),
        record("theirs", node=OTHER),
    ):
        store.add_record(each)
    assert queries.cells_with_verdict(store.db, mine.node) == {Cell(release=mine.release, environment=mine.environment)}
    assert {c.release.package for c in queries.cells_with_verdict(store.db, OTHER)} == {"theirs"}


def test_the_newest_images_and_pip_of_a_node(store: Store, record: Builder) -> None:
    node = record().node
    assert queries.newest_pip_version(store.db, node) is None
    assert queries.image_digests(store.db, node) == {}
    old, new = (f"sha256:{digit * 64}" for digit in "01")
    for each in (
        record(observed_at=1, image_digest=new, pip_version="26.0"),
        record(observed_at=0, image_digest=old, pip_version="25.0"),
        record(observed_at=2, image_digest=None, pip_version="26.1"),
        record(observed_at=9, image_digest=old, pip_version="99", node=OTHER),
        record(environment="py39-slim", observed_at=0, image_digest=old),
    ):
        store.add_record(each)
    assert queries.image_digests(store.db, node) == {"py312-slim": new, "py39-slim": old}
    assert queries.newest_pip_version(store.db, node) == "26.1"


def test_the_oldest_passes_of_a_node_come_first(store: Store, record: Callable[..., Record]) -> None:
    for place, (package, result, node) in enumerate(
        [("young", "PASS", "ab"), ("failed", "FAIL", "ab"), ("old", "PASS", "ab"), ("theirs", "PASS", "cd")]
    ):
        store.add_record(record(package, "1.0", result=result, node=node * 32, observed_at=1000 - place * 100))
    store.add_record(record("elsewhere", "1.0", "py312-alpine", observed_at=1))

    def found(before: int, limit: int = 10) -> list[str]:
        passes = queries.oldest_passes(store.db, "ab" * 32, ["py312-slim"], before=before, limit=limit)
        return [old.cell.release.package for old in passes]

    assert found(1001) == ["old", "young"]
    assert found(1000) == ["old"]
    assert found(1001, 1) == ["old"]
