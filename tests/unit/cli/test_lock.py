"""`ppp lock`: a lock of the newest PASS that is asked for, or a clear reason why there is none."""

import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from local_index import LocalIndex
from memory_store import open_store
from sample_lock import NAMES, indexed_files, sample_pass

from ppp.cli import main
from ppp.index_files.store import open_index_files, read_index_files
from ppp.locks.make import make_lock
from ppp.locks.pylock import read_lock, write_pylock
from ppp.locks.requirements import write_requirements
from ppp.model.canonical import sha256_hex
from ppp.model.errors import IndexUnreachableError, LockRefusedError, UnknownVersionError
from ppp.model.record import DistributionFile, Installed, Outcome, Record, Result
from ppp.model.release import Release

RECORD = replace(sample_pass("needed"), outcomes=(Outcome.PASS,) * 4, imports=("lib",))
LOCK = make_lock(RECORD, RECORD.id, indexed_files())
Run = Callable[..., tuple[int, str]]


def failed_release() -> Record:
    """Return the record of a newer release that cannot be installed."""
    return replace(
        RECORD,
        release=Release(package="lib", version="2.0"),
        result=Result.FAIL,
        outcomes=(Outcome.PASS, Outcome.FAIL, Outcome.SKIP, Outcome.SKIP),
        installed=(),
        imports=(),
    )


@pytest.fixture
def data(tmp_path: Path) -> Path:
    with open_store(tmp_path) as store:
        store.add_record(RECORD)
        store.add_record(failed_release())
    return tmp_path


@pytest.fixture
def run(data: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Run `ppp lock`; return its exit code, and what it printed: on standard error, if it failed."""

    def run(*arguments: str) -> tuple[int, str]:
        monkeypatch.setattr(sys, "argv", ["ppp", "lock", "--data", str(data), *arguments])
        with pytest.raises(SystemExit) as ended:
            main.main()
        printed = capsys.readouterr()
        return int(ended.value.code or 0), printed.err if ended.value.code else printed.out

    return run


def test_a_lock_is_that_of_the_newest_release_that_passes(run: Run, data: Path) -> None:
    with open_index_files(data) as files:
        files.add(indexed_files().values())
    assert run("lib", "-e", "py312-slim") == (0, write_pylock(LOCK).decode())
    assert run("lib==1.0", "-e", "py312-slim", "--format", "requirements") == (0, write_requirements(LOCK).decode())
    assert run("lib", "-e", "py312-slim", "-o", str(data / "pylock.toml")) == (0, "")
    assert read_lock((data / "pylock.toml").read_bytes()) == LOCK


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        (("lib==2.0", "-e", "py312-slim"), LockRefusedError, "2.0 is FAIL"),
        (("lib", "-e", "py39-alpine"), LockRefusedError, "it was not checked there"),
        (("lib==3.0", "-e", "py312-slim"), UnknownVersionError, "no result of lib==3.0"),
        (("lib", "-e", "py312-slim"), LockRefusedError, "files of lib, needed is not known here"),
    ],
)
def test_what_has_no_lock_is_told(
    run: Run, arguments: tuple[str, ...], error: type[LockRefusedError], message: str
) -> None:
    code, printed = run(*arguments)
    assert code == error.exit_code
    assert message in printed


@pytest.mark.parametrize("arguments", [(), ("lib",), ("lib", "six", "-e", "py312-slim")])
def test_a_command_line_that_names_no_cell_is_refused(run: Run, arguments: tuple[str, ...]) -> None:
    assert run(*arguments)[0] == 2


def test_what_is_missing_is_read_from_the_index_on_demand(
    run: Run, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own, needed = b"wheel of lib", b"wheel of needed"
    record = replace(
        RECORD,
        file=DistributionFile(filename=NAMES["lib"], sha256=sha256_hex(own), size=len(own)),
        installed=tuple(
            Installed(name=name, version=version, sha256=sha256_hex(content))
            for name, version, content in (("lib", "1.0", own), ("needed", "2.0", needed), ("gone", "1.0", b""))
        ),
        observed_at=RECORD.observed_at + 1,
    )
    with open_store(data) as store:
        store.add_record(record)
    with LocalIndex() as site:
        monkeypatch.setenv("PPP_INDEX_URL", site.url)
        site.add_file("lib", NAMES["lib"], own)
        site.add_file("needed", NAMES["needed"], needed)
        code, printed = run("lib", "-e", "py312-slim", "--complete")
        assert (code, "the files of gone" in printed) == (LockRefusedError.exit_code, True), printed
        with read_index_files(data) as files:
            assert {(f.project, f.filename) for f in files.all()} == {(n, NAMES[n]) for n in ("lib", "needed")}
        # The newest release with any result is 2.0, which fails: nothing of it is needed.
        assert run("--complete") == (0, "0 files are known now from the index\n")
    assert run("lib", "-e", "py312-slim", "--complete")[0] == IndexUnreachableError.exit_code
