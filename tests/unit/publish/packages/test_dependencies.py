"""What a package depends on: names from its newest installations, linked where they have results, and kept current."""

from collections.abc import Callable
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st
from memory_store import store_in_memory

from ppp.ledger.store import Store
from ppp.model.record import Blame, Installed, Outcome, Record
from ppp.publish.build import build
from ppp.publish.packages.dependencies import dependents_of_new_packages, read_dependencies

AT = 1_714_100_000
NAMES = ("app", "base", "core", "data")


def with_installed(record: Callable[..., Record], package: str, *names: str, **values: object) -> Record:
    installed = tuple(Installed(name=name, version="1.0", sha256="0" * 64) for name in (package, *names))
    return record(package, "1.0", installed=installed, **{"observed_at": AT, **values})


def page_of(out: Path, package: str) -> str:
    return (out / "p" / package / "index.html").read_text("utf-8")


def test_a_dependency_is_linked_from_its_first_result_on(
    small: Store, record: Callable[..., Record], tmp_path: Path
) -> None:
    out, cache = tmp_path / "public", tmp_path / "publish.db"
    small.add_record(with_installed(record, "app", "six", "base"))
    build(small.db, out, cache_path=cache)
    page = page_of(out, "app")
    assert '<h2 id="depends">Depends on</h2>' in page
    assert '<a href="../../p/six/index.html">six</a>' in page
    assert "<span>base</span>" in page
    small.add_record(with_installed(record, "base", observed_at=AT + 1))
    built = build(small.db, out, cache_path=cache)
    assert '<a href="../../p/base/index.html">base</a>' in page_of(out, "app")
    assert built.packages == 2, "the new package, and the one that installs it"
    small.add_record(with_installed(record, "base", observed_at=AT + 2))
    assert build(small.db, out, cache_path=cache).packages == 1, "it was known before"


def test_a_failure_names_the_dependency_that_is_to_blame(
    small: Store, record: Callable[..., Record], tmp_path: Path
) -> None:
    small.add_record(with_installed(record, "app", "six", environment="py39-slim"))
    outcomes = (Outcome.PASS, Outcome.PASS, Outcome.FAIL, Outcome.SKIP)
    blamed = {"cause": "no-compiler", "blame": Blame.DEPENDENCY, "detail": "six: command 'gcc' failed"}
    failed = record("app", "1.0", "py39-alpine", result="FAIL", outcomes=outcomes, observed_at=AT, **blamed)
    small.add_record(failed)
    build(small.db, tmp_path / "public")
    culprit = '<span class="quiet">because of</span> <a href="../../p/six/index.html">six</a>'
    assert culprit in page_of(tmp_path / "public", "app")


def test_names_that_are_no_names_of_packages_are_text(
    small: Store, record: Callable[..., Record], tmp_path: Path
) -> None:
    small.add_record(with_installed(record, "app", "<b>../../evil</b>"))
    build(small.db, tmp_path / "public")
    assert "<span>&lt;b&gt;../../evil&lt;/b&gt;</span>" in page_of(tmp_path / "public", "app")


def test_many_dependencies_are_named_as_far_as_there_is_room(
    small: Store, record: Callable[..., Record], tmp_path: Path
) -> None:
    small.add_record(with_installed(record, "app", *(f"dependency-{number}" for number in range(500))))
    build(small.db, tmp_path / "public")
    page = page_of(tmp_path / "public", "app")
    section = page[page.index('id="depends"') : page.index("</section>", page.index('id="depends"'))]
    assert "dependency-0<" in section
    assert " more</span>" in section
    assert len(section) < 5_000


@given(
    links=st.lists(st.tuples(st.sampled_from(NAMES), st.sets(st.sampled_from(NAMES))), min_size=1, max_size=8),
    split=st.integers(0, 8),
)
@settings(deadline=None, max_examples=40)
def test_whoever_gains_a_link_is_found(
    record: Callable[..., Record], links: list[tuple[str, set[str]]], split: int
) -> None:
    with store_in_memory() as store:
        rows = [with_installed(record, name, *sorted(to), observed_at=AT + n) for n, (name, to) in enumerate(links)]
        for one in rows[:split]:
            store.add_record(one)
        (last,) = store.db.execute("SELECT coalesce(max(rowid), 0) FROM records").fetchone()
        before = read_dependencies(store.db, NAMES)
        for one in rows[split:]:
            store.add_record(one)
        changed = {one.release.package for one in rows[split:]}
        rebuilt = changed | dependents_of_new_packages(store.db, changed, last)
        after = read_dependencies(store.db, NAMES)
        assert {name for name in NAMES if before.get(name) != after.get(name)} <= rebuilt
