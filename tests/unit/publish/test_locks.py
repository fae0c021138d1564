"""Locks of current PASSes are published with a package, once what the index said of their files is known."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from memory_store import open_store
from sample_lock import HASHES, NAMES, indexed_files, sample_pass

from ppp.index_files.store import INDEX_FILES_NAME, open_index_files
from ppp.ledger.store import Store
from ppp.locks.make import make_lock
from ppp.locks.pylock import read_lock
from ppp.locks.requirements import write_requirements
from ppp.model.record import DistributionFile, Installed, Outcome, Record
from ppp.model.release import Release
from ppp.model.site_bound import SiteBound
from ppp.publish.build import BuildResult, build
from ppp.publish.builder.site_room import holds_locks
from ppp.publish.page_budget import (
    FILES_ESTIMATE,
    PACKAGE_ESTIMATE,
    Room,
    holds_all,
    locks_estimate,
    room_for_pages,
)
from ppp.runner.publish import describe_missing_locks
from ppp.schemas import schema_errors
from ppp.verify.examine import VerifyOptions, examine

RECORD = replace(sample_pass("needed"), outcomes=(Outcome.PASS,) * 4, imports=("lib",))
PLACE = "locks/py312-slim/lib/1.0"


def needed_alone() -> Record:
    """Return the record of `needed` itself."""
    return replace(
        RECORD,
        release=Release(package="needed", version="2.0"),
        file=DistributionFile(filename=NAMES["needed"], sha256=HASHES["needed"], size=7),
        installed=(Installed(name="needed", version="2.0", sha256=HASHES["needed"]),),
        imports=("needed",),
    )


class LockSite:
    """A node's data folder and its site, which is built with a cache."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.data = folder / "data"
        self.out = folder / "public"

    def build(self, store: Store, **options: Any) -> BuildResult:
        cache = self.folder / "publish.db"
        return build(store.db, self.out, cache_path=cache, index_files=self.data, **options)

    def know(self, *names: str) -> None:
        """Add what the index says of the files of some packages."""
        with open_index_files(self.data) as files:
            files.add(file for file in indexed_files().values() if file.project in names)

    def locks(self) -> set[str]:
        return {str(path.relative_to(self.out)) for path in (self.out / "locks").rglob("*") if path.is_file()}

    def page(self, package: str) -> str:
        return (self.out / "p" / package / "index.html").read_text("utf-8")


@pytest.fixture
def site(tmp_path: Path) -> LockSite:
    return LockSite(tmp_path)


@pytest.fixture
def store(tmp_path: Path) -> Any:
    with open_store(tmp_path / "data") as opened:
        opened.add_record(RECORD)
        built = (Installed(name="other", version="1.0", sha256=None),)
        opened.add_record(replace(RECORD, release=Release(package="other", version="1.0"), installed=built))
        yield opened


def test_a_lock_is_published_once_its_files_are_known(site: LockSite, store: Store) -> None:
    site.know("lib")
    result = site.build(store)
    # No file of `other` has a hash, so there never is a lock of it: it is not counted.
    assert (site.locks(), result.without_lock) == (set(), 1)
    assert describe_missing_locks(result.without_lock).startswith("1 pass has no lock: ")
    site.know("needed")
    result = site.build(store)
    assert (result.packages, result.without_lock) == (1, 0), "only the package whose lock it is"
    assert site.locks() == {f"{PLACE}/pylock.toml", f"{PLACE}/requirements.txt"}
    lock = make_lock(RECORD, RECORD.id, indexed_files())
    assert read_lock((site.out / PLACE / "pylock.toml").read_bytes()) == lock
    assert (site.out / PLACE / "requirements.txt").read_bytes() == write_requirements(lock)


def test_a_lock_is_named_by_the_page_the_data_and_the_lists(site: LockSite, store: Store) -> None:
    site.know("lib", "needed")
    site.build(store)
    assert f'<a href="../../{PLACE}/pylock.toml">py312-slim</a>' in site.page("lib")
    assert "locks/" not in site.page("other")
    document = json.loads((site.out / "api/v1/p/lib.json").read_text())
    assert schema_errors("site/schemas/package.schema.json", document) == []
    assert [cell["lock"] for cell in document["cells"]] == [f"{PLACE}/pylock.toml"]
    index = json.loads((site.out / "api/v1/index.json").read_text())
    assert "locks/{environment}/{package}/{version}/pylock.toml" in [file["path"] for file in index["files"]]
    listed = "".join(path.read_text() for path in (site.out / "files").rglob("*.json"))
    assert f"{PLACE}/pylock.toml" in listed


def test_builds_with_a_cache_give_the_bytes_of_one_without(site: LockSite, store: Store, tmp_path: Path) -> None:
    site.build(store)
    for names in (["needed"], ["lib"]):
        site.know(*names)
        site.build(store)
    store.add_record(needed_alone())
    site.build(store)
    fresh = tmp_path / "fresh"
    build(store.db, fresh, index_files=site.data)
    trees = [
        {path.relative_to(root): path.read_bytes() for path in root.rglob("*") if path.is_file()}
        for root in (site.out, fresh)
    ]
    assert trees[0] == trees[1]
    assert site.locks() >= {f"{PLACE}/pylock.toml", "locks/py312-slim/needed/2.0/pylock.toml"}


def test_an_address_that_has_changed_changes_the_lock(site: LockSite, store: Store) -> None:
    site.know("lib", "needed")
    site.build(store)
    moved = replace(
        indexed_files()[HASHES["needed"], "needed"], url=f"https://new.example/{NAMES['needed']}", seen_at=9
    )
    with open_index_files(site.data) as files:
        files.add([moved])
    site.build(store)
    assert b"https://new.example/" in (site.out / PLACE / "requirements.txt").read_bytes()


def test_a_release_that_fails_now_has_no_lock_any_more(site: LockSite, store: Store) -> None:
    site.know("lib", "needed")
    site.build(store)
    failed = replace(
        RECORD,
        release=Release(package="lib", version="2.0"),
        result=type(RECORD.result).FAIL,
        outcomes=(Outcome.PASS, Outcome.FAIL, Outcome.SKIP, Outcome.SKIP),
        installed=(),
        imports=(),
    )
    store.add_record(failed)
    site.build(store)
    assert site.locks() == set()


def test_a_database_that_was_lost_leaves_no_lock(site: LockSite, store: Store) -> None:
    site.know("lib", "needed")
    site.build(store)
    (site.data / INDEX_FILES_NAME).unlink()
    assert site.build(store).without_lock == 1
    assert site.locks() == set()


def test_pages_come_before_locks_where_a_bound_has_no_room_for_both(site: LockSite, store: Store) -> None:
    bound = SiteBound(max_bytes=10**9, max_files=100_000)
    left = room_for_pages(bound, {})
    pages = Room.of(PACKAGE_ESTIMATE * 2, FILES_ESTIMATE * 2)
    taken = {"snapshots": left.minus(pages)}
    assert holds_all(bound, 2, taken)
    assert not holds_locks(store.db, bound, taken)
    assert holds_locks(store.db, bound, {"snapshots": left.minus(pages).minus(locks_estimate(2))})
    assert holds_locks(store.db, None, {})
    site.know("lib", "needed")
    site.build(store, bound=bound)
    assert site.locks()


def test_a_published_lock_is_verified_by_its_content_and_by_the_lists(site: LockSite, store: Store) -> None:
    site.know("lib", "needed")
    site.build(store)
    path = site.out / PLACE / "pylock.toml"
    (valid,) = examine(path, VerifyOptions(now=RECORD.observed_at))
    assert valid.valid, valid.message
    assert "a lock of 2 files for py312-slim; listed in" in valid.message
    path.write_bytes(path.read_bytes().replace(b'name = "needed"', b'name = "needee"'))
    (changed,) = examine(path, VerifyOptions(now=RECORD.observed_at))
    assert not changed.valid
    assert "the lock was changed since it was made" in changed.message
