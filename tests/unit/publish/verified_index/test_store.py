"""Which packages are looked at again after changes of others: all whose closure check may have another result."""

import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing

import pytest
from hypothesis import given
from hypothesis import strategies as st
from packaging.version import Version

from ppp.publish.verified_index.closure import marker_values, open_needs
from ppp.publish.verified_index.listing import VerifiedFile, VerifiedPackage, VerifiedProject
from ppp.publish.verified_index.store import TABLES, VerifiedStore

SLIM = "py312-slim"
MARKERS = marker_values("3.12")
ROOM = (0, 0)


def a_package(name: str, versions: Mapping[str, Sequence[str]], yanked: Sequence[str] = ()) -> VerifiedPackage:
    files = tuple(
        VerifiedFile(
            version=version,
            filename=f"{name}-{version}-py3-none-any.whl",
            sha256="a" * 64,
            size=1,
            url=f"https://files.example/{name}-{version}-py3-none-any.whl",
            record="b" * 64,
            needs=tuple(needs),
            yanked="" if version in yanked else None,
        )
        for version, needs in versions.items()
    )
    return VerifiedPackage(package=name, projects={SLIM: VerifiedProject(files=files)} if files else {})


@pytest.fixture(name="store")
def _store() -> Iterator[VerifiedStore]:
    with closing(sqlite3.connect(":memory:")) as connection:
        connection.executescript(TABLES)
        yield VerifiedStore(connection)


def replace(store: VerifiedStore, package: VerifiedPackage) -> set[str] | None:
    versions = store.replace(package, room=ROOM, matures_at=None)
    return None if versions is None else {*versions}


def test_a_pin_depends_on_its_version_alone(store: VerifiedStore) -> None:
    assert replace(store, a_package("pins", {"1.0": ["lib==1.0"]})) == {"1"}
    replace(store, a_package("asks", {"1.0": ["lib>=1.0"]}))
    replace(store, a_package("other", {"1.0": ["another==1.0"]}))
    assert store.dependents({"lib": frozenset({"2"})}) == {"asks"}
    assert store.dependents({"lib": frozenset({"1"})}) == {"asks", "pins"}
    assert store.dependents({"lib": None}) == {"asks", "pins"}
    # Nothing that is listed differs, but what was said of it does.
    assert store.dependents({"lib": frozenset()}) == {"asks"}
    replace(store, a_package("pins", {}))
    assert store.dependents({"lib": None}) == {"asks"}


def test_what_was_stored_before_is_the_same_and_told_so(store: VerifiedStore) -> None:
    package = a_package("lib", {"1.0": [], "1.1.0": []})
    assert replace(store, package) == {"1", "1.1"}
    assert replace(store, package) is None
    assert replace(store, a_package("lib", {"1.0": [], "1.1.0": []}, yanked=["1.1.0"])) == {"1.1"}
    assert replace(store, a_package("lib", {"1.0": []})) == {"1.1"}
    assert replace(store, a_package("lib", {})) == {"1"}


VERSIONS = ("1.0", "1", "1.0+local", "1.1", "2.0rc1", "2.0")
needs = st.sampled_from(
    [
        *(f"lib=={version}" for version in ("1.0", "1", "1.0.0", "1.0+local", "2.0rc1", "2.0", "1.*", "not-a-version")),
        "lib",
        "Lib>=1.1",
        "lib!=1.0",
        "lib==1.0; python_version >= '3.10'",
        "lib[extra]==1.0",
        "other==1.0",
        "lib @ https://files.example/lib.whl",
    ]
)
listings = st.tuples(st.sets(st.sampled_from(VERSIONS)), st.sets(st.sampled_from(VERSIONS)))


@given(st.lists(needs, max_size=3), listings, listings)
def test_nobody_whose_needs_are_met_otherwise_is_forgotten(
    asked: list[str], before: tuple[set[str], set[str]], after: tuple[set[str], set[str]]
) -> None:
    app = a_package("app", {"1.0": asked})

    def unmet(lib: VerifiedPackage) -> dict[str, tuple[str, ...]]:
        versions = lib.projects.get(SLIM, VerifiedProject(files=())).versions
        listed: Mapping[Version, bool] = versions
        return open_needs(app.projects[SLIM], lambda name: listed if name == "lib" else {}, MARKERS)

    old, new = (
        a_package("lib", dict.fromkeys(sorted(versions), ()), [*yanked]) for versions, yanked in (before, after)
    )
    with closing(sqlite3.connect(":memory:")) as connection:
        connection.executescript(TABLES)
        store = VerifiedStore(connection)
        for package in (app, old):
            replace(store, package)
        changed = replace(store, new)
        found = set() if changed is None else store.dependents({"lib": frozenset(changed)})
    assert unmet(old) == unmet(new) or "app" in found
