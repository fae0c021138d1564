"""Check files that no index has yet: wheels and sdists of this machine, with dependencies from the index.

Nothing of it is stored: a record says what an index's release does, and no index has released these bytes. Only the
lock of the data folder is taken, as the caches in it are shared with other commands. Each environment's canary runs
before the files and after them, and no result counts without both.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Final

from ppp.check.causes import one_line
from ppp.check.cell import Checker, Observation
from ppp.check.given.index import GivenIndex
from ppp.check.given.reading import GivenFile, copied_files
from ppp.check.given.sandbox import GivenFilesRuntime
from ppp.check.given.verdict import explained, notes, proven
from ppp.ledger.lock import writer_lock
from ppp.model.matrix import Cell, Environment, Matrix
from ppp.model.record import Blame, Phase, Record, Result, to_infrastructure_error
from ppp.model.release import Release
from ppp.runner.context import LOCK_WAIT_S, Context
from ppp.runner.environments import NO_NODE, ReadyEnvironments, open_index, prepare_environments
from ppp.runner.rounds import LASTING_ERRORS

#: How often a file is checked whose check ends in an `ERROR`.
ATTEMPTS: Final = 2
UNHEALTHY: Final = "unhealthy-environment"


@dataclass(frozen=True, slots=True, kw_only=True)
class FileResult:
    """What resulted for a file in an environment.

    `record` is in the form of a node's records, but no node's, and stored nowhere; it is None where nothing was run,
    because of the file's name or for want of the environment. `notes` are sentences about what the result leaves
    unsaid.
    """

    file: GivenFile
    environment: str
    result: Result
    phase: Phase | None = None
    cause: str | None = None
    blame: Blame | None = None
    detail: str | None = None
    record: Record | None = None
    log: str | None = None
    notes: tuple[str, ...] = ()


def check_files(
    context: Context, matrix: Matrix, environments: Sequence[Environment], paths: Sequence[str]
) -> tuple[FileResult, ...]:
    """Check files in environments, and return the results: environment by environment, the files in their order.

    Raise `GivenFileError` for what is no file to check, and as `prepare_environments` does.
    """
    cache, max_bytes = context.config.cache, matrix.limits.file_mb * 1024**2
    with (
        writer_lock(context.config.data, wait_s=LOCK_WAIT_S),
        copied_files(paths, parent=cache, max_bytes=max_bytes) as files,
    ):
        index = open_index(context.config)
        with prepare_environments(context, index, matrix, environments) as ready:
            return tuple(
                result for each in environments for result in check_in_environment(context, ready, each, files)
            )


def check_in_environment(
    context: Context, ready: ReadyEnvironments, environment: Environment, files: Sequence[GivenFile]
) -> Iterator[FileResult]:
    """Yield the result of each file in an environment, between two runs of its canary."""
    id_ = environment.id
    reason = ready.unavailable.get(id_) or _canary(ready, id_)
    if reason:
        yield from (_unchecked(file, id_, reason) for file in files)
        return
    checker = ready.checkers(NO_NODE)[id_]
    results = []
    context.reporter.begin(len(files))
    try:
        for file in files:
            results.append(result := _check(ready, checker, id_, file, files))
            if result.record:
                context.reporter.checked(result.record)
    finally:
        context.reporter.end()
    faults = _canary(ready, id_)
    yield from (_rejected(result, faults) if faults else result for result in results)


def _canary(ready: ReadyEnvironments, environment: str) -> str:
    faults = ready.canary(ready.prepared[environment])
    return one_line(f"the canary says: {'; '.join(faults)}") if faults else ""


def _check(
    ready: ReadyEnvironments, checker: Checker, environment: str, file: GivenFile, files: Sequence[GivenFile]
) -> FileResult:
    if file.release is None:
        return FileResult(
            file=file,
            environment=environment,
            result=Result.FAIL,
            phase=Phase.DOWNLOAD,
            cause="bad-wheel" if file.is_wheel else "bad-sdist",
            blame=Blame.PACKAGE,
            detail=file.fault,
        )
    others = tuple(other for other in files if other is not file)
    own = _file_checker(checker, file, others)
    for _ in range(ATTEMPTS):
        observation = own.check(_cell(file.release, environment), ready.prepared[environment])
        observation = replace(observation, record=proven(observation.record, file))
        if observation.record.result is not Result.ERROR or observation.record.cause in LASTING_ERRORS:
            break
        # On a full disk every other cell would end in an error too.
        ready.check_room()
    return _checked(observation, file, others)


def _file_checker(checker: Checker, file: GivenFile, others: Sequence[GivenFile]) -> Checker:
    """Return a checker whose index has the given files too, and whose sandboxes show them to pip."""
    known = {(other.release.package, other.sha256) for other in (file, *others) if other.release}
    is_listed = checker.gateway_lists

    def lists(project: str, sha256: str) -> bool | None:
        return True if (project, sha256) in known else is_listed(project, sha256) if is_listed else None

    return replace(
        checker,
        index=GivenIndex(file=file, others=others, fallback=checker.index),
        runtime=GivenFilesRuntime(runtime=checker.runtime),
        gateway_lists=lists if is_listed else None,
    )


def _cell(release: Release, environment: str) -> Cell:
    return Cell(release=release, environment=environment)


def _checked(observation: Observation, file: GivenFile, others: Sequence[GivenFile]) -> FileResult:
    record = replace(observation.record, detail=explained(observation.record, file))
    return FileResult(
        file=file,
        environment=record.environment,
        result=record.result,
        phase=record.failed_phase,
        cause=record.cause,
        blame=record.blame,
        detail=record.detail,
        record=record,
        log=observation.log if record.log_sha256 else None,
        notes=notes(record, file, others),
    )


def _unchecked(file: GivenFile, environment: str, reason: str) -> FileResult:
    return FileResult(
        file=file,
        environment=environment,
        result=Result.ERROR,
        phase=Phase.DOWNLOAD,
        cause=UNHEALTHY,
        blame=Blame.INFRASTRUCTURE,
        detail=one_line(reason),
    )


def _rejected(checked: FileResult, reason: str) -> FileResult:
    """Return the `ERROR` that replaces a result that the canary after it makes worthless."""
    if checked.record is None:
        return checked
    record = to_infrastructure_error(checked.record, cause=UNHEALTHY, detail=reason)
    return _checked(Observation(record=record, log=None), checked.file, ())
