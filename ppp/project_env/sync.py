"""Make a project's environment exactly as its lock says.

1. Read the lock, the Python and what is installed, and plan (`ppp.project_env.plan`).
2. Fetch what is to be installed and verify it: until then nothing is changed.
3. Note in the environment that it is being changed, remove and install, and compare with the lock what is there then.

So at any moment the environment is as it was, as the lock says, or known to be neither, and then it is made anew. If a
synchronization ends in between by an error or by Ctrl-C, the half-changed environment is removed at once; if it is
killed, by the next one. Nothing but `.venv` is ever changed, and for as long as one process changes it, others wait.
"""

import fcntl
import os
import shutil
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from ppp.model.errors import EnvironmentDiffersError, ProjectFileError
from ppp.model.printable import first_of
from ppp.project_env.download import WheelFetcher, fetch_wheels
from ppp.project_env.installed import (
    EnvironmentFile,
    normal_version,
    origins_of,
    read_environment_file,
    read_installed,
    write_environment_file,
)
from ppp.project_env.interpreter import environment_python, read_facts
from ppp.project_env.locked import LockedWheel, LockSelection, parse_lock, select_wheels
from ppp.project_env.plan import SyncPlan, describe_plan, make_plan
from ppp.project_env.project import ENVIRONMENT_NAME, LOCK_NAME, read_bounded
from ppp.project_env.tools import EnvironmentInstaller

#: Where a half-changed or outdated environment goes before it is removed, so that no moment has half of one.
_REMOVED: Final = ".venv-removed-"
_WAIT_S: Final = 0.1
_LOCK_HINT: Final = "`ppp env lock` writes it"


@dataclass(frozen=True, slots=True, kw_only=True)
class ProjectState:
    """A project's environment as it was read: where it is, its Python, what the lock wants, and what is to be done."""

    environment: Path
    python: str
    site_packages: Path
    wheels: Sequence[LockedWheel]
    selection: LockSelection
    plan: SyncPlan
    file: EnvironmentFile | None


def read_state(folder: Path, selection: LockSelection | None = None, *, python: str | None = None) -> ProjectState:
    """Return the state of the project in a folder; `python` makes an environment that is not there yet.

    Without `selection` it is that of the last synchronization. Raise `ProjectFileError`.
    """
    environment, lock_path = folder.absolute() / ENVIRONMENT_NAME, folder / LOCK_NAME
    lock = parse_lock(read_bounded(lock_path, hint=_LOCK_HINT), str(lock_path))
    file = read_environment_file(environment)
    rebuild = _rebuild_reason(environment, file)
    used = (python or (file and file.python) or default_python()) if rebuild else str(environment_python(environment))
    facts = read_facts(used, environment)
    if selection is None:
        selection = file.selection if file else LockSelection()
    wheels = select_wheels(lock, facts, selection, str(lock_path))
    site_packages = Path(facts.site_packages)
    installed = [] if rebuild else read_installed(site_packages)
    plan = make_plan(wheels, installed, file.origins if file else {}, rebuild=rebuild)
    return ProjectState(
        environment=environment,
        python=used,
        site_packages=site_packages,
        wheels=wheels,
        selection=selection,
        plan=plan,
        file=file,
    )


def default_python() -> str:
    """Return the Python that runs PPP, outside of the environment that it may be in."""
    return str(Path(sys.base_prefix) / "bin" / f"python{sys.version_info.major}.{sys.version_info.minor}")


def _rebuild_reason(environment: Path, file: EnvironmentFile | None) -> str:
    if not environment.exists() or (environment.is_dir() and not any(environment.iterdir())):
        return "there is no environment yet"
    if file is not None:
        if not file.is_complete:
            return "an earlier synchronization did not end"
        return "" if environment_python(environment).exists() else "its Python has gone"
    if not environment_python(environment).exists() or not (environment / "pyvenv.cfg").exists():
        raise ProjectFileError(f"{environment} is no virtual environment", hint="move it away, and run this again")
    return ""


def check_synced(state: ProjectState) -> None:
    """Raise `EnvironmentDiffersError` if an environment is not as its lock says."""
    if not state.plan.is_empty:
        raise EnvironmentDiffersError(
            f"{state.environment} is not as its lock says: {describe_plan(state.plan)}", hint="run `ppp env sync`"
        )


def synchronize(state: ProjectState, fetcher: WheelFetcher, installer: EnvironmentInstaller) -> None:
    """Make an environment as the lock says; the caller holds the project's lock and has read `state` under it.

    Raise `LockedFileError` before anything is changed; `InstallToolError` and `EnvironmentDiffersError` once the
    environment is removed.
    """
    _remove_leftovers(state.environment)
    if state.plan.is_empty:
        if state.file and state.file.selection != state.selection:
            write_environment_file(state.environment, replace(state.file, selection=state.selection))
        return
    paths = fetch_wheels(fetcher, state.plan.install)
    try:
        changing = _begin_change(state, installer)
        if state.plan.remove:
            installer.remove(state.environment, state.plan.remove)
        if state.plan.install:
            installer.install(state.environment, {wheel: paths[wheel.name] for wheel in state.plan.install})
        _end_change(state, changing)
    except BaseException:
        _move_away(state.environment)
        _remove_leftovers(state.environment)
        raise


def _begin_change(state: ProjectState, installer: EnvironmentInstaller) -> EnvironmentFile:
    python = state.python if state.plan.rebuild else str(environment_python(state.environment).resolve())
    changing = EnvironmentFile(is_complete=False, python=python, selection=state.selection)
    if state.plan.rebuild:
        _move_away(state.environment)
        _remove_leftovers(state.environment)
        state.environment.mkdir()
    # Before anything else is in it, or changed.
    write_environment_file(state.environment, changing)
    if state.plan.rebuild:
        installer.create(state.environment, python)
    return changing


def _end_change(state: ProjectState, changing: EnvironmentFile) -> None:
    # pip removes it with the last distribution.
    state.site_packages.mkdir(parents=True, exist_ok=True)
    installed = read_installed(state.site_packages)
    found = [(one.name, one.version) for one in installed]
    wanted = [(wheel.name, normal_version(wheel.version)) for wheel in state.wheels]
    if found != wanted:
        odd = sorted({*wanted}.symmetric_difference(found)) or found
        names = first_of([f"{name} {version}" for name, version in odd], 3)
        raise EnvironmentDiffersError(
            f"after the installation {state.environment} differs from the lock: {names}", hint="try another --tool"
        )
    origins = origins_of(state.wheels, installed)
    write_environment_file(state.environment, replace(changing, is_complete=True, origins=origins))


def _move_away(environment: Path) -> None:
    if environment.is_symlink():
        environment.unlink()
    elif environment.exists():
        environment.rename(environment.with_name(f"{_REMOVED}{os.getpid()}-{time.monotonic_ns()}"))


def _remove_leftovers(environment: Path) -> None:
    for left in environment.parent.glob(f"{_REMOVED}*"):
        shutil.rmtree(left, ignore_errors=True)


@contextmanager
def project_lock(folder: Path, on_wait: Callable[[], object]) -> Iterator[int]:
    """Take the lock of a project for the block, and yield its descriptor.

    `on_wait` is called once if another process has it. Raise `ProjectFileError` if there is no such folder.
    """
    try:
        # The folder itself, so that no file is left behind.
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError as error:
        raise ProjectFileError(
            f"{folder} cannot be opened: {error.strerror}", hint="name the project's folder"
        ) from error
    try:
        is_first = True
        while not _try_lock(descriptor):
            if is_first:
                on_wait()
            is_first = False
            time.sleep(_WAIT_S)
        yield descriptor
    finally:
        os.close(descriptor)


def _try_lock(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
