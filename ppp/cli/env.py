"""`ppp env`: a project's environment, exactly as its lock says."""

import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final, NoReturn

import click
from packaging.utils import canonicalize_name, is_normalized_name

from ppp.cli.env_project import (
    CommandFunction,
    counted_packages,
    index_option,
    note,
    open_fetcher,
    project_option,
    tool_options,
    write_project_lock,
)
from ppp.durability import replace_file
from ppp.model.errors import ProjectFileError
from ppp.project_env.interpreter import environment_python
from ppp.project_env.lock_content import is_up_to_date
from ppp.project_env.locked import LockedWheel, LockSelection, parse_lock
from ppp.project_env.project import ENVIRONMENT_NAME, LOCK_NAME, PROJECT_NAME, read_bounded, read_project
from ppp.project_env.sync import check_synced, project_lock, read_state, synchronize
from ppp.project_env.tools import make_installer

#: A name where a folder's is none of a project's.
_DEFAULT_NAME: Final = "my-project"


def selection_options(command: CommandFunction) -> CommandFunction:
    """Add `--extra` and `--group`."""
    extra = click.option("--extra", "extras", metavar="NAME", multiple=True, help="Also this extra (may be repeated).")
    group = click.option("--group", "groups", metavar="NAME", multiple=True, help="Also this dependency group.")
    return extra(group(command))


python_option: Final = click.option("--python", metavar="PYTHON", help="The Python of a new environment.")


@click.command("init")
@project_option
@python_option
@tool_options
@index_option
def env_init(*, project: Path, python: str | None, tool: str | None, cache: Path | None, index_url: str) -> None:
    """Write what a project lacks, and make .venv.

    A pyproject.toml, a pylock.toml and an environment that are there are not changed by it, but the environment is made
    as the lock says.
    """
    if not (project / PROJECT_NAME).exists():
        _write_new(project / PROJECT_NAME, _minimal_project(project))
    if not (project / LOCK_NAME).exists():
        write_project_lock(project, tool=tool, cache=cache, index_url=index_url)
    _sync(project, LockSelection(), python=python, tool=tool, cache=cache)


@click.command("sync")
@project_option
@selection_options
@python_option
@tool_options
def env_sync(
    *,
    project: Path,
    extras: tuple[str, ...],
    groups: tuple[str, ...],
    python: str | None,
    tool: str | None,
    cache: Path | None,
) -> None:
    """Make .venv as pylock.toml says.

    What is not locked is removed. Everything is fetched and verified before anything is changed.
    """
    _sync(project, _selection(extras, groups), python=python, tool=tool, cache=cache)


@click.command("run", context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False})
@project_option
@click.argument("command", nargs=-1, required=True, type=click.UNPROCESSED)
def env_run(*, project: Path, command: tuple[str, ...]) -> None:
    """Run a command in .venv, if it is as locked.

    Extras and groups are those of the last `ppp env sync`.
    """
    _become(project, command)


@click.command("shell")
@project_option
def env_shell(*, project: Path) -> None:
    """Start a shell in .venv, if it is as locked."""
    _become(project, [os.environ.get("SHELL") or "/bin/sh"])


def _selection(extras: Sequence[str], groups: Sequence[str]) -> LockSelection:
    return LockSelection(
        extras=tuple(canonicalize_name(name) for name in extras),
        groups=tuple(canonicalize_name(name) for name in groups),
    )


def _write_new(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    replace_file(path, content)
    note(f"wrote {path}")


def _minimal_project(project: Path) -> bytes:
    found = canonicalize_name(project.absolute().name)
    name = found if is_normalized_name(found) else _DEFAULT_NAME
    python = f">={sys.version_info.major}.{sys.version_info.minor}"
    lines = ["[project]", f'name = "{name}"', 'version = "0.1.0"', f'requires-python = "{python}"', "dependencies = []"]
    return "\n".join([*lines, ""]).encode()


def _sync(project: Path, selection: LockSelection, *, python: str | None, tool: str | None, cache: Path | None) -> None:
    with (
        project_lock(project, lambda: note("waiting for another `ppp env` in this project")) as held,
        open_fetcher(cache) as fetcher,
    ):
        _warn_if_outdated(project)
        installer = make_installer(tool, os.environ, keep_open=held)
        state = read_state(project, selection, python=python)
        with _interruption_noted(state.environment):
            synchronize(state, fetcher, installer)
    what = "is as locked" if state.plan.is_empty else "is as locked now"
    done = f", by {installer.name}: {_counts(state.plan.install, state.plan.remove)}" if not state.plan.is_empty else ""
    note(f"{state.environment} {what} ({counted_packages(len(state.wheels))}{done})")


@contextmanager
def _interruption_noted(environment: Path) -> Iterator[None]:
    was_there = environment.exists()
    try:
        yield
    except KeyboardInterrupt:
        is_removed = was_there and not environment.exists()
        became = "was half-changed, and is removed" if is_removed else "is as it was"
        note(f"interrupted: {environment} {became}; `ppp env sync` goes on from here")
        raise


def _counts(installed: Sequence[LockedWheel], removed: Sequence[str]) -> str:
    gone = {*removed} - {wheel.name for wheel in installed}
    return f"{len(installed)} installed, {len(gone)} removed"


def _warn_if_outdated(project: Path) -> None:
    if (project / PROJECT_NAME).exists():
        path = project / LOCK_NAME
        lock = parse_lock(read_bounded(path, hint="`ppp env lock` writes it"), str(path))
        if not is_up_to_date(lock, read_project(project)):
            note(f"warning: {PROJECT_NAME} requires something else than when {LOCK_NAME} was made: `ppp env lock`")


def _become(project: Path, command: Sequence[str]) -> NoReturn:
    """Replace this process by a command in the environment.

    Raise `EnvironmentDiffersError` if that is not as locked.
    """
    with project_lock(project, lambda: note("waiting for another `ppp env` in this project")):
        check_synced(read_state(project))
    environment = (project / ENVIRONMENT_NAME).absolute()
    programs = str(environment_python(environment).parent)
    environ = {key: value for key, value in os.environ.items() if key not in {"PYTHONHOME", "PYTHONPATH"}}
    environ |= {"VIRTUAL_ENV": str(environment), "PATH": os.pathsep.join([programs, environ.get("PATH", os.defpath)])}
    sys.stdout.flush()
    try:
        os.execvpe(command[0], [*command], environ)  # noqa: S606 - what the user typed
    except OSError as error:
        raise ProjectFileError(f"cannot run {command[0]}: {error.strerror}", hint="is it in the lock?") from error
