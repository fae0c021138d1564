"""The canary: releases whose results are known, checked in an environment before its other cells are believed.

They go through the ordinary checker, all in one sandbox that is reset between them; any other result is a fault of the
environment. On the open network no gateway serves the canary's dependencies: there pip finds them in a folder.
"""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path
from typing import Final

from ppp.check.canary.releases import CanaryRelease, canary_files, canary_releases
from ppp.check.canary.shared_sandbox import TIMEOUT_S, SharedSandbox, SharedSandboxRuntime
from ppp.check.causes import one_line
from ppp.check.cell import Checker
from ppp.check.index.choose import IndexFile
from ppp.check.index.client import DownloadError, Index
from ppp.check.index.page import ProjectStatus
from ppp.check.runtime import CommandResult, PreparedEnvironment, SandboxLostError
from ppp.model.canonical import sha256_hex
from ppp.model.errors import UnknownPackageError
from ppp.model.matrix import Cell, Environment
from ppp.model.record import Blame, Installed, Phase, Record, Result
from ppp.run_folders import remove_leftovers, run_folder

#: What the names of all projects of the canary begin with: the real index is never asked for one of them.
NAME_PREFIX: Final = "the-pypi-place-canary"
#: Creates a file in site-packages, and prints its path. For any Python ≥ 3.9. Without it site-packages would hold
#: nothing but the canary, and pip would try to remove that folder as well, which the cell may not.
_NEIGHBOUR: Final = """
import os, sys, sysconfig
path = os.path.join(sysconfig.get_path("purelib"), "neighbour.txt")
open(path, "w").close()
print(os.path.relpath(path, sys.prefix))
"""


class FaultKind(StrEnum):
    """What a fault is about."""

    #: A cell has another result than it must have.
    VERDICT = "verdict"
    #: An installed command does not do what it must.
    COMMAND = "command"
    #: Uninstalling left something behind, or removed too much.
    REMAINS = "remains"
    #: The index, or a file of it, could not be reached.
    INDEX = "index-unreachable"
    #: No sandbox could be started, or the canary's files could not be written.
    MACHINE = "machine"


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """What is wrong with an environment: a sentence that says what was expected and what was found."""

    environment: str
    kind: FaultKind
    text: str

    def __str__(self) -> str:
        """Return the sentence."""
        return self.text


@dataclass(frozen=True, slots=True, kw_only=True)
class Canary:
    """Checks whether environments work, from several threads at once.

    `checker` is that of the environment's other cells; `folder` holds the canary's files, and cells can see it. A
    gateway must serve the projects that `write_local_projects` writes.
    """

    checker: Checker
    folder: Path

    def check(self, prepared: PreparedEnvironment) -> tuple[Fault, ...]:
        """Check an environment; return what is wrong with it, which is nothing where it is healthy."""
        environment = prepared.environment
        try:
            for file in canary_files():
                _write_file(self.folder, file.index_file.filename, file.content)
        except OSError as error:
            return (_fault(environment, FaultKind.MACHINE, f"the canary's files cannot be written: {error}"),)
        with ExitStack() as stack:
            runtime = SharedSandboxRuntime(self.checker.runtime, stack)
            index = CanaryIndex(fallback=self.checker.index, folder=self.folder)
            checker = replace(self.checker, index=index, runtime=runtime)
            return tuple(_check_releases(checker, runtime, prepared))


def write_local_projects(folder: Path) -> None:
    """Write the canary's dependencies as `PROJECT/FILE`, for a gateway to serve; the same bytes each time."""
    for file in canary_files():
        if file.is_dependency:
            _write_file(folder / file.package, file.index_file.filename, file.content)


def _write_file(folder: Path, filename: str, content: bytes) -> Path:
    """Write a file whole or not at all, unless it is there already; return its path."""
    path = folder / filename
    if not (path.is_file() and path.read_bytes() == content):
        folder.mkdir(parents=True, exist_ok=True)
        remove_leftovers([".part-"], folder)
        with run_folder(".part-", folder) as partial:
            (partial / filename).write_bytes(content)
            (partial / filename).chmod(0o644)
            (partial / filename).replace(path)
    return path


def _check_releases(checker: Checker, runtime: SharedSandboxRuntime, prepared: PreparedEnvironment) -> Iterator[Fault]:
    for expected in canary_releases():
        if not expected.applies_to(prepared):
            continue
        cell = Cell(release=expected.release, environment=prepared.environment.id)
        record = checker.check(cell, prepared).record
        faults = list(compare_record(expected, record, prepared))
        yield from faults
        if record.cause == "sandbox":
            # There is no sandbox for the other releases either.
            return
        if not faults and expected.prints is not None and runtime.shared is not None:
            yield from _check_command(expected, runtime.shared, prepared)


# ---------------------------------------------------------------- comparing what was found with what must be


def compare_record(expected: CanaryRelease, record: Record, prepared: PreparedEnvironment) -> Iterator[Fault]:
    """Compare the record of a canary release with what is expected of it: verdict, file, imports, installed."""
    seen = (record.result, record.failed_phase, record.cause, record.blame)
    if seen != (expected.result, expected.phase, expected.cause, expected.blame):
        yield _verdict_fault(expected, record, prepared)
        return
    filename = record.file.filename if record.file else "nothing"
    wanted = expected.expected_filename(prepared) or filename
    for do, did, right, found in (
        ("choose", "chose", [wanted], [filename]),
        ("import", "imported", expected.imports, record.imports),
        (
            "install",
            "installed",
            _describe_installed(_expected_installed(expected, record, prepared)),
            _describe_installed(record.installed),
        ),
    ):
        if list(right) != list(found):
            lacking, instead = ([x for x in one if x not in other] for one, other in ((right, found), (found, right)))
            text = f"{expected.release} had to {do} {_list(lacking)}, but {did} {_list(instead)} instead"
            yield _fault(prepared.environment, FaultKind.VERDICT, text)


def _verdict_fault(expected: CanaryRelease, record: Record, prepared: PreparedEnvironment) -> Fault:
    wanted = _verdict(expected.result, expected.phase, expected.cause, expected.blame)
    found = _verdict(record.result, record.failed_phase, record.cause, record.blame)
    detail = f": {record.detail}" if record.detail else ""
    if record.cause == "sandbox":
        kind = FaultKind.MACHINE
    elif record.cause == "network" or _is_missing_from_index(expected, record):
        kind = FaultKind.INDEX
    else:
        kind = FaultKind.VERDICT
    return _fault(
        prepared.environment, kind, f"{expected.release} had to result in {wanted}, but resulted in {found}{detail}"
    )


def _is_missing_from_index(expected: CanaryRelease, record: Record) -> bool:
    """Return whether a file of the real index could not be downloaded."""
    return record.failed_phase is Phase.DOWNLOAD and expected.release.package not in {
        file.package for file in canary_files()
    }


def _verdict(result: Result, phase: Phase | None, cause: str | None, blame: Blame | None) -> str:
    why = f" ({cause}, {blame})" if cause else ""
    return f"{result}{f' in {phase}' if phase else ''}{why}"


def _expected_installed(expected: CanaryRelease, record: Record, prepared: PreparedEnvironment) -> list[Installed]:
    sha256 = record.file.sha256 if record.file else None
    known = {
        o.package: Installed(name=o.package, version=o.version, sha256=o.index_file.sha256) for o in canary_files()
    }
    known[expected.release.package] = Installed(
        name=expected.release.package, version=expected.release.version, sha256=sha256
    )
    return [known[name] for name in sorted(expected.expected_installed(prepared))]


def _describe_installed(installed: Iterable[Installed]) -> list[str]:
    return [f"{i.name}=={i.version} ({(i.sha256 or 'no hash')[:12]})" for i in installed]


def _list(names: Sequence[str]) -> str:
    return ", ".join(names) or "nothing more"


def _fault(environment: Environment, kind: FaultKind, text: str) -> Fault:
    return Fault(environment=environment.id, kind=kind, text=one_line(text))


# ---------------------------------------------------------------- running an installed command, and uninstalling


def _check_command(expected: CanaryRelease, sandbox: SharedSandbox, prepared: PreparedEnvironment) -> Iterator[Fault]:
    """Run the command that a release installed, then uninstall all of it and check that nothing remains."""
    try:
        done = sandbox.run([str(sandbox.folder / "bin" / expected.release.package)], timeout_s=TIMEOUT_S)
        if not done.ok or done.output.strip() != expected.expected_output(prepared):
            printed = expected.expected_output(prepared)
            text = f"the command of {expected.release} had to print {printed!r}, but {_describe_end(done)}"
            yield _fault(prepared.environment, FaultKind.COMMAND, text)
        right = sandbox.initial_files | sandbox.output_lines([_NEIGHBOUR])
        done = sandbox.pip(["uninstall", "--yes", *expected.expected_installed(prepared)], timeout_s=TIMEOUT_S)
        if not done.ok:
            text = f"{expected.release} had to be uninstalled, but pip {_describe_end(done)}"
            yield _fault(prepared.environment, FaultKind.REMAINS, text)
        found = sandbox.files()
    except SandboxLostError as error:
        yield _fault(prepared.environment, FaultKind.MACHINE, f"the sandbox was lost after {expected.release}: {error}")
        return
    if left := found - right:
        text = f"uninstalling {expected.release} had to leave nothing behind, but left {_list(sorted(left))}"
        yield _fault(prepared.environment, FaultKind.REMAINS, text)
    if removed := right - found:
        text = f"uninstalling {expected.release} had to remove its own files only, but removed {_list(sorted(removed))}"
        yield _fault(prepared.environment, FaultKind.REMAINS, text)


def _describe_end(done: CommandResult) -> str:
    if done.timed_out:
        return f"did not end in {TIMEOUT_S} s"
    return f"ended with {done.exit_code} and printed {done.output.strip()[-200:]!r}"


# ---------------------------------------------------------------- the index that the canary's cells use


@dataclass(frozen=True, slots=True, kw_only=True)
class CanaryIndex:
    """The canary's files, and another index for everything else; see `ppp.check.index.client.Index`.

    Every file is in `folder`: the shared sandbox sees no other folder.
    """

    fallback: Index
    folder: Path

    def files(self, package: str) -> tuple[IndexFile, ...]:
        """Return a project's files; raise as the other index does."""
        ours = tuple(file.index_file for file in canary_files() if file.package == package)
        if not ours and package.startswith(NAME_PREFIX):
            raise UnknownPackageError(
                f"the canary has no {package!r}",
                hint="nothing to do: the canary asks for it to see that it is not there",
            )
        return ours or self.fallback.files(package)

    def status(self, package: str) -> ProjectStatus | None:
        """Return a project's status; raise as the other index does."""
        return None if package.startswith(NAME_PREFIX) else self.fallback.status(package)

    def fetch(self, file: IndexFile, *, timeout_s: float, max_bytes: int) -> Path:
        """Return the path of a file whose hash was checked; raise as an index does."""
        if any(known.index_file == file for known in canary_files()):
            path = self.folder / file.filename
            sha256 = sha256_hex(path.read_bytes())
            if sha256 != file.sha256:
                raise DownloadError("hash", f"{file.filename} has sha256 {sha256}, the index says {file.sha256}")
            return path
        path = self.fallback.fetch(file, timeout_s=timeout_s, max_bytes=max_bytes)
        return _write_file(self.folder, file.filename, path.read_bytes())
