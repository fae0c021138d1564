"""A whole build: what it writes, that it repeats, and what remains when it is interrupted."""

import hashlib
import json
import os
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from ppp.ledger.schema import read_ledger
from ppp.ledger.store import Store
from ppp.model.errors import DataReadOnlyError, DiskFullError, PublishError
from ppp.publish.build import build
from ppp.schemas import schema_errors


def tree(root: Path) -> dict[str, bytes]:
    return {str(p.relative_to(root)): p.read_bytes() for p in sorted(root.rglob("*")) if p.is_file()}


def times(root: Path) -> dict[str, int]:
    return {str(p.relative_to(root)): p.stat().st_mtime_ns for p in sorted(root.rglob("*")) if p.is_file()}


def listing(root: Path, path: str) -> dict[str, tuple[int, str]]:
    document = json.loads((root / path).read_text())
    assert schema_errors("site/schemas/files.schema.json", document) == []
    listed = {path: (size, digest) for path, size, digest in document["files"]}
    assert list(listed) == sorted(listed)
    return listed


def verifies(root: Path) -> bool:
    done = subprocess.run(["sha256sum", "-c", "current.json.sha256"], cwd=root, capture_output=True, check=False)
    return done.returncode == 0


def test_the_result_describes_what_was_written(small: Store, tmp_path: Path) -> None:
    out = tmp_path / "public"
    result = build(small.db, out)
    assert result.written == tuple(sorted(tree(out)))
    assert result.removed == ()
    files = [path for path in out.rglob("*") if path.is_file()]
    assert result.files == len(result.written) == len(files)
    assert result.bytes == sum(path.stat().st_size for path in files)
    assert {"index.html", "p/six/index.html", "packages/index.html", "about/index.html", "style.css"} <= tree(
        out
    ).keys()
    assert {"feed.xml", "current.json", "current.json.sha256", "files.json"} <= tree(out).keys()
    assert "schemas/current.schema.json" in tree(out)
    assert verifies(out)
    assert hashlib.sha256((out / "current.json").read_bytes()).hexdigest() == result.current_sha256
    assert hashlib.sha256((out / "files.json").read_bytes()).hexdigest() == result.files_sha256
    assert result.records == 19
    assert result.as_of == 1_714_003_801


def test_every_file_is_listed_but_those_written_last(small: Store, tmp_path: Path) -> None:
    out = tmp_path / "public"
    build(small.db, out)
    top = listing(out, "files.json")
    listed: dict[str, Any] = {}
    assert top
    for path in top:
        files = listing(out, path)
        assert not files.keys() & listed.keys()
        listed |= files
    listed |= top
    unlisted = {"files.json", "current.json", "current.json.sha256"}
    assert listed == {
        path: (len(content), hashlib.sha256(content).hexdigest())
        for path, content in tree(out).items()
        if path not in unlisted
    }


def test_publishing_again_changes_nothing(small: Store, tmp_path: Path) -> None:
    out = tmp_path / "public"
    first = build(small.db, out)
    before = times(out)
    second = build(small.db, out)
    assert times(out) == before
    assert (second.written, second.removed, second.files) == ((), (), first.files)


def test_the_order_of_records_changes_nothing(small: Store, small_shuffled: Store, tmp_path: Path) -> None:
    build(small.db, tmp_path / "a")
    build(small_shuffled.db, tmp_path / "b")
    assert tree(tmp_path / "a") == tree(tmp_path / "b")


def test_a_build_from_scratch_equals_incremental_builds(small: Store, record: object, tmp_path: Path) -> None:
    grown, fresh = tmp_path / "grown", tmp_path / "fresh"
    build(small.db, grown)
    small.add_record(record("six", "1.18.0", "py312-slim", observed_at=1_714_003_999))  # type: ignore[operator]
    again = build(small.db, grown)
    build(small.db, fresh)
    assert tree(grown) == tree(fresh)
    assert "p/six/index.html" in again.written
    assert "p/old/index.html" not in again.written
    shutil.rmtree(grown)
    build(small.db, grown)
    assert tree(grown) == tree(fresh)


def test_only_packages_with_new_records_are_built(small: Store, record: object, tmp_path: Path) -> None:
    grown, cache = tmp_path / "grown", tmp_path / "cache.db"
    first = build(small.db, grown, cache_path=cache)
    before = times(grown)
    again = build(small.db, grown, cache_path=cache)
    assert (first.packages, again.packages, again.written, again.removed) == (5, 0, (), ())
    assert replace(again, packages=5, written=first.written) == first
    small.add_record(record("six", "1.18.0", "py312-slim", observed_at=1_714_003_999))  # type: ignore[operator]
    some = build(small.db, grown, cache_path=cache)
    assert some.packages == 1
    assert {path for path in some.written if path.startswith(("p/", "api/v1/p/"))} == {
        "p/six/index.html",
        "p/six/preview.png",
        "p/six/atom.xml",
        "api/v1/p/six.json",
    }
    assert {path for path, at in times(grown).items() if before.get(path) != at} == set(some.written)
    build(small.db, tmp_path / "fresh")
    assert tree(grown) == tree(tmp_path / "fresh")


@pytest.mark.heavy
@pytest.mark.parametrize(
    "damage",
    ["cache", "page", "other page", "list", "manifest", "current", "digest", "another address", "another ledger"],
)
def test_everything_is_built_again_where_there_is_doubt(
    damage: str, small: Store, record: object, tmp_path: Path
) -> None:
    out, cache, base_url = tmp_path / "public", tmp_path / "cache.db", "https://one.example/"
    build(small.db, out, cache_path=cache, base_url=base_url)
    db = small.db
    match damage:
        case "cache":
            cache.write_bytes(b"not a database, but long enough to be taken for one" * 100)
        case "page" | "manifest" | "digest":
            lost = {"page": "p/six/index.html", "manifest": "files.json", "digest": "current.json.sha256"}
            (out / lost[damage]).unlink()
        case "other page":
            (out / "p/six/index.html").write_bytes(b"x" * (out / "p/six/index.html").stat().st_size)
        case "list" | "current":
            (out / {"list": "files/packages.json", "current": "current.json"}[damage]).write_text("{}")
        case "another address":
            base_url = "https://two.example/"
        case "another ledger":
            other = Store.open(tmp_path / "other")
            for name in ("six", "other"):
                other.add_record(record(name))  # type: ignore[operator]
            db = other.db
    result = build(db, out, cache_path=cache, base_url=base_url)
    assert result.packages == (2 if damage == "another ledger" else 5)
    build(db, tmp_path / "fresh", base_url=base_url)
    assert tree(out) == tree(tmp_path / "fresh")
    if db is not small.db:
        db.close()


def test_an_empty_ledger_is_published(store: Store, tmp_path: Path) -> None:
    result = build(store.db, tmp_path / "public")
    assert result.as_of is None
    assert result.root == hashlib.sha256(b"").hexdigest()
    assert "Nothing has been checked yet" in (tmp_path / "public" / "index.html").read_text()
    assert verifies(tmp_path / "public")


def test_a_read_only_ledger_can_be_built(small: Store, tmp_path: Path) -> None:
    build(small.db, tmp_path / "a")
    db = read_ledger(tmp_path / "data")
    build(db, tmp_path / "b")
    db.close()
    assert tree(tmp_path / "a") == tree(tmp_path / "b")


def test_an_obstacle_in_the_folder_is_named(small: Store, tmp_path: Path) -> None:
    out = tmp_path / "public"
    (out / "index.html" / "child").mkdir(parents=True)
    with pytest.raises(PublishError, match=r"cannot write .*/index\.html: Is a directory"):
        build(small.db, out)
    assert list(out.rglob("*.part")) == []


def test_a_folder_that_cannot_be_created_is_named(small: Store) -> None:
    with pytest.raises(DataReadOnlyError, match="/proc/public cannot be created"):
        build(small.db, Path("/proc/public"))


KILLED = """
import os, signal, sys
from pathlib import Path
from ppp.ledger.schema import read_ledger
from ppp.publish.build import build

left = int(sys.argv[3])

def hook(event, args):
    global left
    if event == "os.rename":
        if not left:
            os.kill(os.getpid(), signal.SIGKILL)
        left -= 1

db = read_ledger(Path(sys.argv[1]))
sys.addaudithook(hook)
build(db, Path(sys.argv[2]), cache_path=Path(sys.argv[4]))
"""


@pytest.mark.heavy
@pytest.mark.parametrize("left", [0, 1, 5, "manifest", "digest", "current"])
def test_a_kill_leaves_an_intact_current_json(left: int | str, small: Store, record: object, tmp_path: Path) -> None:
    out, clean, cache = tmp_path / "public", tmp_path / "clean", tmp_path / "cache.db"
    build(small.db, out, cache_path=cache)
    old = (out / "current.json").read_bytes()
    small.add_record(record("six", "1.18.0", "py312-slim", observed_at=1_714_003_999))  # type: ignore[operator]
    written = len(build(small.db, clean).written)
    changed = sum(content != (out / path).read_bytes() for path, content in tree(clean).items())
    assert 5 < changed < written
    # The last three to be renamed are files.json, then the digest, then current.json.
    renames = {"manifest": changed - 3, "digest": changed - 2, "current": changed - 1}.get(str(left), left)
    killed = subprocess.run(
        [sys.executable, "-c", KILLED, str(tmp_path / "data"), str(out), str(renames), str(cache)],
        check=False,
        env=dict(os.environ),
    )
    assert killed.returncode == -9
    assert (out / "current.json").read_bytes() == old
    # The digest and current.json disagree only after a kill between these two renames.
    assert verifies(out) == (left != "current")
    build(small.db, out, cache_path=cache)
    assert tree(out) == tree(clean)
    assert verifies(out)


@pytest.mark.mount
@pytest.mark.parametrize("options", ["size=192k", "ro"])
def test_a_full_or_read_only_disk_leaves_the_old_current_json(options: str, small: Store, tmp_path: Path) -> None:
    out = tmp_path / "public"
    out.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=192k", "none", out], check=True)
    try:
        (out / "current.json").write_text("old")
        if options == "ro":
            subprocess.run(["mount", "-o", "remount,ro", out], check=True)
        else:
            with pytest.raises(OSError, match="No space"):
                (out / "filler").write_bytes(b"x" * 400_000)
        with pytest.raises(DataReadOnlyError if options == "ro" else DiskFullError, match="public"):
            build(small.db, out)
        assert (out / "current.json").read_text() == "old"
        assert list(out.rglob("*.part")) == []
    finally:
        subprocess.run(["umount", out], check=True)
