"""Resolve what a project requires, by uv or pip: one lock for the dependencies, all extras and all groups.

Everything is resolved together first, so that each package has one version. Then the dependencies, each extra and each
group are resolved alone within these versions: what that results in says which package is needed for what.

- uv resolves for all platforms, and for all Pythons that the project admits; pip for the Python that runs it. So a lock
  by pip is only for Pythons of that minor version.
- Only wheels are locked: what building an sdist results in is not known.
"""

import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final, Protocol

from packaging.pylock import Pylock
from packaging.specifiers import SpecifierSet

from ppp.model.errors import InstallToolError
from ppp.model.printable import printable_reason
from ppp.project_env.lock_content import Resolution, empty_lock, merge_resolutions
from ppp.project_env.locked import parse_lock
from ppp.project_env.project import ProjectRequirements
from ppp.project_env.tools import PIP, UV, find_pip, find_uv

#: How long one resolution may take.
TIMEOUT_S: Final = 600
#: Minor versions of Python 3 among which the lowest that a project admits is sought.
_MINORS: Final = range(8, 30)
_ERROR_LINES: Final = 8


class ProjectResolver(Protocol):
    """A tool that resolves requirements to a lock; raises `InstallToolError`, with its own words, if it cannot."""

    name: str

    def resolve(self, requirements: Sequence[str], constraints: Sequence[str]) -> Pylock:
        """Return a lock for requirements within constraints."""

    def requires_python(self, project: ProjectRequirements) -> str:
        """Return which Pythons a lock is for."""


class UvResolver:
    """uv: for all platforms."""

    name = UV

    def __init__(self, program: str, environ: Mapping[str, str], *, index_url: str, python: str) -> None:
        """Ask the index at `index_url`, or the one of uv's settings; `python` is the lowest version to support."""
        self._command = [program, "pip", "compile", "--universal", "--python-version", python]
        self._command += ["--format", "pylock.toml", "--only-binary", ":all:", "--no-header", "--quiet"]
        self._command += ["--default-index", index_url] if index_url else []
        self._environ = environ

    def resolve(self, requirements: Sequence[str], constraints: Sequence[str]) -> Pylock:
        """See `ProjectResolver`."""
        return _run(UV, [*self._command, "--constraints"], requirements, constraints, self._environ)

    def requires_python(self, project: ProjectRequirements) -> str:
        """Return what the project says."""
        return project.requires_python


class PipResolver:
    """pip: for the Python that runs it, and its platform."""

    name = PIP

    def __init__(self, command: Sequence[str], environ: Mapping[str, str], *, index_url: str) -> None:
        """Ask the index at `index_url`, or the one of pip's settings."""
        self._command = [*command, "lock", "--quiet", "--output", "-", "--only-binary", ":all:"]
        self._command += ["--disable-pip-version-check", "--no-input"]
        self._command += ["--index-url", index_url] if index_url else []
        self._environ = environ

    def resolve(self, requirements: Sequence[str], constraints: Sequence[str]) -> Pylock:
        """See `ProjectResolver`."""
        return _run(PIP, [*self._command, "--constraint"], requirements, constraints, self._environ)

    def requires_python(self, project: ProjectRequirements) -> str:
        """Return the minor version of the Python that runs pip; `project` does not matter."""
        del project
        return f"=={sys.version_info.major}.{sys.version_info.minor}.*"


def lowest_python(requires_python: str) -> str:
    """Return the lowest minor version that a specifier admits, `3.11`; of the Python that runs PPP if none is known."""
    specifier = SpecifierSet(requires_python)
    if requires_python:
        for minor in _MINORS:
            # A bound such as >=3.9.2 excludes 3.9.0, and not 3.9.
            if any(specifier.contains(f"3.{minor}.{micro}") for micro in (0, 99)):
                return f"3.{minor}"
    return f"3.{sys.version_info.minor}"


def make_resolver(
    tool: str | None, environ: Mapping[str, str], project: ProjectRequirements, *, index_url: str
) -> ProjectResolver:
    """Return the tool that is named, or the first of uv and pip that there is; raise `InstallToolError`."""
    if tool in {None, UV} and (program := find_uv(environ)):
        return UvResolver(program, environ, index_url=index_url, python=lowest_python(project.requires_python))
    if tool in {None, PIP} and (command := find_pip(environ)):
        return PipResolver(command, environ, index_url=index_url)
    raise InstallToolError(f"there is no {tool or 'uv and no pip'}", hint="install uv, or pip")


def resolve_project(
    project: ProjectRequirements, resolver: ProjectResolver, *, on_part: Callable[[str], object] = lambda _: None
) -> Pylock:
    """Return the lock of a project; `on_part` is told what is resolved. Raise `InstallToolError`."""
    if not project.everything:
        return empty_lock(project)
    on_part("everything")
    union = resolver.resolve(project.everything, ())
    pins = [_pin(package.name, str(package.version), str(package.marker or "")) for package in union.packages]

    def within(what: str, requirements: Sequence[str]) -> Pylock:
        if not requirements:
            return replace(union, packages=[])
        if {*requirements} == {*project.everything}:
            return union
        on_part(what)
        return resolver.resolve(requirements, pins)

    resolution = Resolution(
        union=union,
        base=within("the dependencies", project.base),
        extras={name: within(f"the extra {name}", [*project.base, *texts]) for name, texts in project.extras.items()},
        groups={name: within(f"the group {name}", texts) for name, texts in project.groups.items()},
    )
    return merge_resolutions(resolution, project, requires_python=resolver.requires_python(project))


def _pin(name: str, version: str, marker: str) -> str:
    return f"{name}=={version} ; {marker}" if marker else f"{name}=={version}"


def _run(
    tool: str,
    command: Sequence[str],
    requirements: Sequence[str],
    constraints: Sequence[str],
    environ: Mapping[str, str],
) -> Pylock:
    with tempfile.TemporaryDirectory(prefix="ppp-lock-") as name:
        requirement = ("--requirement",) if tool == PIP else ()
        wanted, bounds = Path(name) / "requirements.in", Path(name) / "constraints.txt"
        wanted.write_text("\n".join([*requirements, ""]), "utf-8")
        bounds.write_text("\n".join([*constraints, ""]), "utf-8")
        try:
            done = subprocess.run(
                [*command, bounds, *requirement, wanted],
                check=False,
                capture_output=True,
                env={**environ, "NO_COLOR": "1"},
                stdin=subprocess.DEVNULL,
                timeout=TIMEOUT_S,
            )
        except (OSError, subprocess.SubprocessError) as error:
            raise InstallToolError(f"{tool} cannot resolve: {error}", hint="see docs/environments.md") from error
    if done.returncode:
        lines = [line.strip() for line in done.stderr.decode(errors="replace").splitlines() if line.strip()]
        reason = printable_reason(" ".join(lines[-_ERROR_LINES:])) or f"exit code {done.returncode}"
        raise InstallToolError(f"{tool} cannot resolve what is required: {reason}", hint="change what is required")
    return parse_lock(done.stdout, f"what {tool} resolved")
