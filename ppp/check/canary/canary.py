"""The canary: releases whose cells have a known end, checked in an environment before its other cells are believed.

They go through the ordinary checker, all in one sandbox that is emptied between them; what differs is a fault of the
environment. On the open network no gateway serves what the canary depends on: there pip is shown its file's folder.
"""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path, PurePosixPath
from tempfile import NamedTemporaryFile
from typing import Final

from ppp.check.canary.releases import CanaryRelease, canary_files, canary_releases
from ppp.check.causes import one_line
from ppp.check.cell import Checker
from ppp.check.index.choose import IndexFile
from ppp.check.index.client import DownloadError, Index
from ppp.check.runtime import CommandResult, PreparedEnvironment, Runtime, Sandbox, SandboxLostError
from ppp.model.errors import UnknownPackageError
from ppp.model.matrix import Cell, Environment
from ppp.model.record import Blame, Installed, Network, Phase, Record, Result, sha256_hex

TIMEOUT_S: Final = 60
#: What the names of all that is ours begin with: no index is ever asked for one that is not there.
NAME_PREFIX: Final = "the-pypi-place-canary"
#: Prints the files of a folder. Both of these programs are for any Python ≥ 3.9.
_LIST: Final = """
import os, sys
for folder, _, names in os.walk(sys.argv[1]):
    for name in names:
        print(os.path.relpath(os.path.join(folder, name), sys.argv[1]))
"""
#: Makes a file beside what is installed, and says where. Without it the folder that all packages share would be the
#: canary's alone: pip would remove that as well, which is not the cell's to remove.
_NEIGHBOUR: Final = """
import os, sys, sysconfig
path = os.path.join(sysconfig.get_path("purelib"), "neighbour.txt")
open(path, "w").close()
print(os.path.relpath(path, sys.prefix))
"""


class FaultKind(StrEnum):
    """What a fault is about."""

    #: A cell came to something else than it must.
    VERDICT = "verdict"
    #: An installed command does not do what it must.
    COMMAND = "command"
    #: Uninstalling left something behind, or took too much.
    REMAINS = "remains"
    #: The index, or a file of it, could not be had.
    INDEX = "index-unreachable"
    #: There was no sandbox to check in, or no disk to write the canary's files to.
    MACHINE = "machine"


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """What is wrong with an environment: a sentence that says what had to be seen and what was."""

    environment: str
    kind: FaultKind
    text: str

    def __str__(self) -> str:
        """Give the sentence."""
        return self.text


@dataclass(frozen=True, slots=True, kw_only=True)
class Canary:
    """Sings in environments, from several threads at once.

    `checker` is the one that the other cells of the environment have; `folder` keeps the canary's files, and cells see
    it. A gateway must serve the overlay that `write_overlay` writes.
    """

    checker: Checker
    folder: Path

    def check(self, prepared: PreparedEnvironment) -> tuple[Fault, ...]:
        """Check an environment; give what is wrong with it, which is nothing where it is healthy."""
        environment = prepared.environment
        try:
            for offer in canary_files():
                _write_file(self.folder, offer.index_file.filename, offer.content)
        except OSError as error:
            return (_fault(environment, FaultKind.MACHINE, f"the canary's files cannot be written: {error}"),)
        with ExitStack() as stack:
            lending = SharedSandboxRuntime(self.checker.runtime, stack)
            index = CanaryIndex(fallback=self.checker.index, folder=self.folder)
            checker = replace(self.checker, index=index, runtime=lending)
            return tuple(_check_releases(checker, lending, prepared))


def write_local_projects(folder: Path) -> None:
    """Write what the canary depends on as `PROJECT/FILE`, for a gateway to serve; the same bytes each time."""
    for offer in canary_files():
        if offer.is_dependency:
            _write_file(folder / offer.package, offer.index_file.filename, offer.content)


def _write_file(folder: Path, filename: str, content: bytes) -> Path:
    """Write a file whole or not at all, unless it is there."""
    path = folder / filename
    if not (path.is_file() and path.read_bytes() == content):
        folder.mkdir(parents=True, exist_ok=True)
        with NamedTemporaryFile(dir=folder, prefix=".", delete=False) as part:
            part.write(content)
        Path(part.name).chmod(0o644)
        Path(part.name).replace(path)
    return path


def _check_releases(
    checker: Checker, lending: "SharedSandboxRuntime", prepared: PreparedEnvironment
) -> Iterator[Fault]:
    for song in canary_releases():
        if not song.applies_to(prepared):
            continue
        cell = Cell(release=song.release, environment=prepared.environment.id)
        record = checker.check(cell, prepared).record
        faults = list(compare_record(song, record, prepared))
        yield from faults
        if record.cause == "sandbox":
            # The songs that are left would say the same.
            return
        if not faults and song.prints is not None and lending.shared is not None:
            yield from _check_command(song, lending.shared, prepared)


# ---------------------------------------------------------------- what was seen, against what must be


def compare_record(expected: CanaryRelease, record: Record, prepared: PreparedEnvironment) -> Iterator[Fault]:
    """Compare what a song's cell came to with what it must come to, in all that a record tells of it."""
    seen = (record.result, record.failed_phase, record.cause, record.blame)
    if seen != (expected.result, expected.phase, expected.cause, expected.blame):
        yield _verdict_fault(expected, record, prepared)
        return
    filename = record.file.filename if record.file else "nothing"
    wanted = expected.expected_filename(prepared) or filename
    for do, did, right, found in (
        ("take", "took", [wanted], [filename]),
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
            text = f"{expected.release} had to {do} {_list(lacking)}, but {did} {_list(instead)} in its place"
            yield _fault(prepared.environment, FaultKind.VERDICT, text)


def _verdict_fault(expected: CanaryRelease, record: Record, prepared: PreparedEnvironment) -> Fault:
    wanted = _verdict(expected.result, expected.phase, expected.cause, expected.blame)
    came_to = _verdict(record.result, record.failed_phase, record.cause, record.blame)
    detail = f": {record.detail}" if record.detail else ""
    if record.cause == "sandbox":
        kind = FaultKind.MACHINE
    elif record.cause == "network" or _is_missing_from_index(expected, record):
        kind = FaultKind.INDEX
    else:
        kind = FaultKind.VERDICT
    return _fault(
        prepared.environment, kind, f"{expected.release} had to come to {wanted}, but came to {came_to}{detail}"
    )


def _is_missing_from_index(expected: CanaryRelease, record: Record) -> bool:
    """Say whether a file of the real index could not be had."""
    return record.failed_phase is Phase.DOWNLOAD and expected.release.package not in {
        offer.package for offer in canary_files()
    }


def _verdict(result: Result, phase: Phase | None, cause: str | None, blame: Blame | None) -> str:
    told = f" ({cause}, {blame})" if cause else ""
    return f"{result}{f' in {phase}' if phase else ''}{told}"


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
    return [f"{i.name}=={i.version} ({(i.sha256 or 'of no hash')[:12]})" for i in installed]


def _list(names: Sequence[str]) -> str:
    return ", ".join(names) or "nothing more"


def _fault(environment: Environment, kind: FaultKind, text: str) -> Fault:
    return Fault(environment=environment.id, kind=kind, text=one_line(text))


# ---------------------------------------------------------------- an installed command, and what uninstalling leaves


def _check_command(expected: CanaryRelease, sandbox: "SharedSandbox", prepared: PreparedEnvironment) -> Iterator[Fault]:
    """Run the command that a song has installed, then uninstall all of it and look whether anything remains."""
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
        there = sandbox.files()
    except SandboxLostError as error:
        yield _fault(prepared.environment, FaultKind.MACHINE, f"the sandbox was lost after {expected.release}: {error}")
        return
    if left := there - right:
        text = f"uninstalling {expected.release} had to leave nothing behind, but left {_list(sorted(left))}"
        yield _fault(prepared.environment, FaultKind.REMAINS, text)
    if taken := right - there:
        text = f"uninstalling {expected.release} had to take its own files alone, but took {_list(sorted(taken))}"
        yield _fault(prepared.environment, FaultKind.REMAINS, text)


def _describe_end(done: CommandResult) -> str:
    if done.timed_out:
        return f"did not end in {TIMEOUT_S} s"
    return f"ended with {done.exit_code} and printed {done.output.strip()[-200:]!r}"


# ---------------------------------------------------------------- what stands between the checker and its ports


@dataclass(frozen=True, slots=True, kw_only=True)
class CanaryIndex:
    """The canary's files as an index lists them, and another `behind` for all else; see `ppp.check.index.client.Index`.

    Every file that it gives lies in `folder`, since a sandbox that is lent again sees no other.
    """

    fallback: Index
    folder: Path

    def files(self, package: str) -> tuple[IndexFile, ...]:
        """Give a project's files; raise as the index behind does."""
        ours = tuple(offer.index_file for offer in canary_files() if offer.package == package)
        if not ours and package.startswith(NAME_PREFIX):
            raise UnknownPackageError(f"the canary has no {package!r}", hint="that is as it must be")
        return ours or self.fallback.files(package)

    def fetch(self, file: IndexFile, *, timeout_s: float, max_bytes: int) -> Path:
        """Give the path of a file whose hash was checked; raise as an index does."""
        if any(offer.index_file == file for offer in canary_files()):
            path = self.folder / file.filename
            sha256 = sha256_hex(path.read_bytes())
            if sha256 != file.sha256:
                raise DownloadError("hash", f"{file.filename} has sha256 {sha256}, the index says {file.sha256}")
            return path
        path = self.fallback.fetch(file, timeout_s=timeout_s, max_bytes=max_bytes)
        return _write_file(self.folder, file.filename, path.read_bytes())


class SharedSandboxRuntime:
    """A runtime that lends one sandbox again and again, emptied in between; see `ppp.check.runtime.Runtime`."""

    def __init__(self, runtime: Runtime, stack: ExitStack) -> None:
        """Borrow from a runtime, until the stack ends."""
        self._runtime = runtime
        self._stack = stack
        self.shared: SharedSandbox | None = None

    def prepare(self, environment: Environment) -> PreparedEnvironment:
        """Make an environment ready, as the runtime does."""
        return self._runtime.prepare(environment)

    @contextmanager
    def sandbox(self, prepared: PreparedEnvironment, file: Path) -> Iterator["SharedSandbox"]:
        """Lend the sandbox for a file that lies beside the first one."""
        if self.shared is None:
            box = self._stack.enter_context(self._runtime.sandbox(prepared, file))
            self.shared = SharedSandbox(box, find_links=prepared.network is Network.OPEN)
        else:
            self.shared.reset()
        self.shared.use_file(file)
        yield self.shared

    def close(self) -> None:
        """End every sandbox of the runtime."""
        self._runtime.close()


class SharedSandbox:
    """A sandbox that is lent again for another file of the same folder; see `ppp.check.runtime.Sandbox`."""

    def __init__(self, box: Sandbox, *, find_links: bool) -> None:
        """Wrap a sandbox; `finds_links` lets pip look for files where the sandbox's own is."""
        self._sandbox = box
        self._files_folder = PurePosixPath(box.file).parent
        self._find_links = find_links
        self._isolated = False
        self.file = box.file
        self.python = box.python
        self.scratch = box.scratch
        self.aliases = box.aliases
        self.folder = PurePosixPath(box.python).parent.parent
        self.initial_files = self.files()

    def use_file(self, file: Path) -> None:
        """Hold another file."""
        self.file = str(self._files_folder / file.name)

    def files(self) -> frozenset[str]:
        """Give the files of the virtual environment; raise `SandboxLostError` if they cannot be told."""
        return self.output_lines([_LIST, str(self.folder)])

    def output_lines(self, program: Sequence[str]) -> frozenset[str]:
        """Give the lines that a small program prints; raise `SandboxLostError` if it does not succeed."""
        done = self.run([self.python, "-I", "-c", *program], timeout_s=TIMEOUT_S)
        if not done.ok:
            raise SandboxLostError(f"a program of ours ended with {done.exit_code}: {done.output[-200:]}")
        return frozenset(done.output.splitlines())

    def run(self, argv: Sequence[str], *, timeout_s: float, cwd: str | None = None) -> CommandResult:
        """Run a command."""
        return self._sandbox.run(argv, timeout_s=timeout_s, cwd=cwd)

    def pip(self, arguments: Sequence[str], *, timeout_s: float) -> CommandResult:
        """Run pip, which on the open network also looks where the canary's files are."""
        command, *rest = arguments
        links = ["--find-links", str(self._files_folder)] if self._find_links and command == "install" else []
        return self._sandbox.pip([command, *links, *rest], timeout_s=timeout_s)

    def inspect_installation(self, package: str, *, timeout_s: float) -> CommandResult:
        """Tell what was installed."""
        return self._sandbox.inspect_installation(package, timeout_s=timeout_s)

    def prove_import(self, module: str, *, timeout_s: float) -> CommandResult:
        """Import a module."""
        return self._sandbox.prove_import(module, timeout_s=timeout_s)

    def reset(self) -> None:
        """Empty the virtual environment."""
        self._sandbox.reset()

    def isolate(self) -> None:
        """Take the network away, which cannot be done twice."""
        if not self._isolated:
            self._sandbox.isolate()
            self._isolated = True
