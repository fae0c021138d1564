"""`ppp env lock`: the lock of a project, or of several packages together in environments of the matrix."""

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

import click
from click.core import ParameterSource

from ppp.cli.env_project import index_option, project_option, tool_options, write_project_lock
from ppp.cli.environments import select_environments
from ppp.cli.options import (
    data_option,
    environments_option,
    json_option,
    log_options,
    make_context,
    matrix_option,
    network_option,
    print_answer,
)
from ppp.cli.paths import NonEmptyPath
from ppp.durability import replace_file
from ppp.locks.joint import JointAnswer, answer_words
from ppp.locks.lock import Lock
from ppp.locks.pylock import write_pylock
from ppp.locks.requirements import write_requirements
from ppp.model.errors import JointLockBlockedError
from ppp.runner.joint import lock_jointly
from ppp.storage_errors import translate_storage_errors
from ppp.watch.joint_requirements import parse_joint_requirements, read_joint_requirements

#: Options that only one of the two meanings has, by the names of their values.
_OF_PROJECTS: Final = {"project": "--project", "tool": "--tool", "cache": "--cache", "index_url": "--index-url"}
_OF_JOINT_LOCKS: Final = {
    "environments": "-e",
    "output": "-o",
    "network": "--network",
    "matrix": "--matrix",
    "data": "--data",
    "as_json": "--json",
}


@click.command("lock")
@click.argument("packages", metavar="[PACKAGE]...", nargs=-1)
@click.option(
    "-r", "--requirements", "path", metavar="FILE", type=NonEmptyPath(), help="Lock what this file names together."
)
@environments_option("An environment for a joint lock (may be repeated; all of the matrix).")
@click.option("-o", "--output", metavar="FOLDER", type=NonEmptyPath(), help="Where joint locks are written (here).")
@project_option
@tool_options
@index_option
@network_option
@matrix_option
@data_option
@log_options
@json_option
def env_lock(
    *,
    packages: tuple[str, ...],
    path: Path | None,
    environments: tuple[str, ...],
    output: Path | None,
    project: Path,
    tool: str | None,
    cache: Path | None,
    index_url: str,
    network: str | None,
    matrix: Path | None,
    data: Path | None,
    as_json: bool,
) -> None:
    """Lock a project, or packages that work together.

    Without a PACKAGE and without -r: resolve what the project's pyproject.toml requires into its pylock.toml. Extras
    and dependency groups are in the lock too, each with a marker that says so.

    With PACKAGE or -r, a joint lock: resolve them within what is proven in an environment (the files that pass there),
    install all of them together there, and import each. Only if that passes, write pylock.ENVIRONMENT.toml and
    requirements.ENVIRONMENT.txt; else say what blocks it, and exit with 77. The project does not matter then.
    """
    if not packages and path is None:
        _refuse(_OF_JOINT_LOCKS, "goes with PACKAGE or -r: it is about a joint lock")
        write_project_lock(project, tool=tool, cache=cache, index_url=index_url)
        return
    _refuse(_OF_PROJECTS, "is about a project's lock, and does not go with PACKAGE or -r")
    wanted = parse_joint_requirements(packages) if packages else ()
    wanted += read_joint_requirements(path) if path else ()
    context = make_context(data, network=network)
    loaded, chosen = select_environments(matrix, environments)
    answers = lock_jointly(context, loaded, chosen, wanted)
    files = {one.environment: _write(output or Path(), one.environment, one.lock) for one in answers if one.lock}
    shown = [_json(one, files.get(one.environment, ())) for one in answers]
    print_answer(shown, _table(answers, files), as_json=as_json)
    if blocked := [one.environment for one in answers if one.lock is None]:
        sys.stdout.flush()
        raise JointLockBlockedError(
            f"no joint lock in {', '.join(blocked)}", hint="nothing was written there; above is what blocks each"
        )


def _refuse(options: Mapping[str, str], why: str) -> None:
    """Raise `UsageError` if one of these options was given."""
    context = click.get_current_context()
    for name, option in options.items():
        if context.get_parameter_source(name) is ParameterSource.COMMANDLINE:
            raise click.UsageError(f"{option} {why}")


def _write(folder: Path, environment: str, lock: Lock) -> tuple[str, ...]:
    """Write both forms of a lock, and return their paths."""
    files = {
        folder / f"pylock.{environment}.toml": write_pylock(lock),
        folder / f"requirements.{environment}.txt": write_requirements(lock),
    }
    for path, content in files.items():
        with translate_storage_errors(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            replace_file(path, content)
    return tuple(map(str, files))


def _table(answers: Sequence[JointAnswer], files: Mapping[str, Sequence[str]]) -> str:
    width = max(len(one.environment) for one in answers)
    rows = []
    for one in answers:
        written = f": {', '.join(files[one.environment])}" if one.lock else ""
        rows += [f"{one.environment:{width}}  {words}{written}" for words in answer_words(one)]
    return "\n".join(rows)


def _json(answer: JointAnswer, files: Sequence[str]) -> dict[str, object]:
    lock = answer.lock
    return {
        "environment": answer.environment,
        "locked": lock is not None,
        "files": [*files],
        "packages": [{"name": one.name, "version": one.version, "sha256": one.file.sha256} for one in lock.packages]
        if lock
        else [],
        "imported": [*lock.joint.imported] if lock and lock.joint else [],
        "blockers": [
            {"kind": str(one.kind), "requirement": one.requirement, "detail": one.detail, "hint": one.hint}
            for one in answer.blockers
        ],
    }
