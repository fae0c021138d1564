"""scripts/node-storage on a bare repository of this machine, and a stand-in for GitHub's `gh`."""

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import pytest

SCRIPT: Final = Path(__file__).parents[3] / "scripts" / "node-storage"
#: Keeps the assets of releases in folders below $ASSETS.
GH: Final = """#!/bin/sh
set -eu
release=$3
case $2 in
  view) test -d "$ASSETS/$release" ;;
  create) mkdir "$ASSETS/$release" ;;
  upload) shift 3; while [ "$1" != --clobber ]; do cp "$1" "$ASSETS/$release/"; shift; done ;;
  download) cp "$ASSETS/$release/$5" "$7" ;;
esac
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Storage:
    """A clone of a repository, and where releases are kept."""

    folder: Path

    def run(self, *arguments: str) -> "subprocess.CompletedProcess[str]":
        env = {
            **os.environ,
            "PATH": f"{self.folder / 'bin'}:{os.environ['PATH']}",
            "ASSETS": str(self.folder / "assets"),
        }
        env |= {"GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_SYSTEM": os.devnull, "GH_TOKEN": "a token"}
        command = [sys.executable, str(SCRIPT), *arguments]
        return subprocess.run(command, cwd=self.folder / "clone", env=env, capture_output=True, text=True, check=False)

    def ok(self, *arguments: str) -> str:
        done = self.run(*arguments)
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    def fetch(self, name: str) -> tuple[Path, str]:
        state = self.folder / name
        return state, self.ok("fetch", str(state), str(self.folder / "snapshots"))


@pytest.fixture
def storage(tmp_path: Path) -> Storage:
    subprocess.run(["git", "init", "--quiet", "--bare", str(tmp_path / "origin.git")], check=True)
    subprocess.run(["git", "clone", "--quiet", str(tmp_path / "origin.git"), str(tmp_path / "clone")], check=True)
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "gh").write_text(GH)
    (tmp_path / "bin" / "gh").chmod(0o755)
    (tmp_path / "assets").mkdir()
    return Storage(folder=tmp_path)


def test_the_branch_has_one_commit_whatever_is_kept(storage: Storage) -> None:
    state, commit = storage.fetch("first")
    assert (commit, [*state.iterdir()]) == ("", [])
    for night in ("one", "two"):
        (state / f"{night}.txt").write_text(night)
        (state / "ignored").write_text("*")
        commit = storage.ok("keep", str(state), commit)
        assert not (state / ".git").exists()
    state, fetched = storage.fetch("again")
    assert fetched == commit
    assert sorted(path.name for path in state.iterdir()) == ["ignored", "one.txt", "two.txt"]
    count = ["git", "--git-dir", str(storage.folder / "origin.git"), "rev-list", "--count", "node-state"]
    assert subprocess.run(count, capture_output=True, text=True, check=True).stdout == "1\n"


def test_a_branch_that_has_moved_is_not_overwritten(storage: Storage) -> None:
    state, nothing = storage.fetch("first")
    (state / "a").write_text("a")
    first = storage.ok("keep", str(state), nothing)
    for expected in (nothing, "0" * 40):
        (state / "a").write_text("b")
        refused = storage.run("keep", str(state), expected)
        assert refused.returncode == 1, refused
        assert "git push failed" in refused.stderr
    assert storage.fetch("again")[1] == first


def test_a_remote_that_does_not_answer_is_no_first_run(storage: Storage) -> None:
    (storage.folder / "origin.git").rename(storage.folder / "gone.git")
    done = storage.run("fetch", str(storage.folder / "first"), "snapshots")
    assert (done.returncode, "git ls-remote failed" in done.stderr) == (1, True)


def test_what_is_fetched_is_not_mixed_with_what_is_there(storage: Storage) -> None:
    (storage.folder / "first").mkdir()
    (storage.folder / "first" / "old").write_text("")
    assert "is not empty" in storage.run("fetch", str(storage.folder / "first"), "snapshots").stderr


def test_a_snapshot_is_kept_in_a_release_and_fetched_with_the_state(storage: Storage) -> None:
    (storage.folder / "node-2026-11.db.gz").write_bytes(b"snapshot")
    storage.ok("upload", "node-snapshots", str(storage.folder / "node-2026-11.db.gz"))
    storage.ok("upload", "node-snapshots", str(storage.folder / "node-2026-11.db.gz"))
    state, _ = storage.fetch("first")
    (state / "state.json").write_text(json.dumps({"signed": {"snapshot": {"file": "node-2026-11.db.gz"}}}))
    storage.ok("keep", str(state), "")
    storage.fetch("again")
    assert (storage.folder / "snapshots" / "node-2026-11.db.gz").read_bytes() == b"snapshot"


@pytest.mark.parametrize("name", ["../x", "-x", "", "a/b", "x" * 300])
def test_a_snapshots_name_is_a_file_name(storage: Storage, name: str) -> None:
    state, _ = storage.fetch("first")
    (state / "state.json").write_text(json.dumps({"signed": {"snapshot": {"file": name}}}))
    done = storage.run("fetch-snapshot", str(state), "snapshots")
    assert (done.returncode, "no file name" in done.stderr) == (1, True)


def test_a_file_that_is_too_large_for_a_branch_is_refused(storage: Storage) -> None:
    state, _ = storage.fetch("first")
    with (state / "large").open("wb") as file:
        file.truncate(96 * 1024 * 1024)
    assert "make a snapshot first" in storage.run("keep", str(state), "").stderr
