"""Run the cell of a record again, with what the record names: image, pip, files, limits; and compare.

- The image is taken by its digest, and never pulled under another one.
- Of every project that the record names, the gateway serves exactly the file that it names, whatever has been released
  since. Anything else, such as what a build needs, is as it was when the cell was observed.
- `as_of` asks another question: what results now, or with the index as it was at some time.

The environment's canary runs before and after. Nothing is stored, unless that was asked for.
"""

from dataclasses import dataclass, replace
from typing import Final

from ppp.check.cell import Observation
from ppp.check.images import ImageReference, ImageUnavailableError, has_image
from ppp.check.index.client import Index, SimpleIndex
from ppp.check.index.pinned_pip import find_pip
from ppp.check.index.view import IndexView, recorded_view, view_as_of
from ppp.check.runtime import PreparedEnvironment
from ppp.check.sandbox.docker import connect_engine
from ppp.ledger.lock import writer_lock
from ppp.model.errors import (
    NotReproducibleError,
    UndecidedError,
    UnknownPackageError,
)
from ppp.model.matrix import Cell, Environment, Matrix
from ppp.model.printable import first_of
from ppp.model.record import Network, Record, Result
from ppp.runner.between_canaries import between_canaries, prepared_of, unhealthy
from ppp.runner.check import check_now
from ppp.runner.context import LOCK_WAIT_S, Context, open_node
from ppp.runner.differences import Differences, compare
from ppp.runner.environments import open_index, prepare_environments
from ppp.runner.views import run_in_view

#: The time in `AsOf` for an index as it is.
NOW: Final = "now"
MAX_NAMED: Final = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Reproduction:
    """A record, what was observed when its cell was run again, and what differs.

    `as_of` is what the index was taken as: None for the record's own files, `now`, or a time in epoch seconds.
    `untimed` are projects of which the index gave no times of upload, so that they could not be judged by a time.
    """

    before: Observation
    now: Observation
    differences: Differences
    as_of: int | str | None
    untimed: tuple[str, ...]


def reproduce(
    context: Context,
    before: Observation,
    matrix: Matrix,
    environment: Environment,
    *,
    as_of: int | str | None,
    store: bool = False,
) -> Reproduction:
    """Run the cell of a record again and compare; `store` adds what was observed `now` as a record of this node.

    Raise `NotReproducibleError` if something that the record names is not here, `NoEnvironmentError` if the environment
    is not healthy, and `UndecidedError` if the cell ended in an `ERROR`.
    """
    record = before.record
    _refuse(context, record, environment)
    index = open_index(context.config)
    if as_of is None:
        _require_files(index, record)
    pinned = matrix.pip if matrix.pip.version == record.pip_version else find_pip(index, record.pip_version)
    matrix = replace(matrix, pip=pinned)
    environment = replace(environment, image=record.image_digest or "")
    view = _view(record, as_of)
    if store:
        with open_node(context) as node, prepare_environments(context, index, matrix, [environment]) as ready:
            _require_same_python(record, prepared_of(ready, environment))
            if ready.gateway:
                ready.gateway.use_fresh_pages()
            report = check_now(node, ready, [Cell.of(record)])
            if not report.observations:
                raise unhealthy("; ".join(report.unhealthy.values()), environment)
            return _reproduction(before, report.observations[0], as_of, ())
    with (
        writer_lock(context.config.data, wait_s=LOCK_WAIT_S),
        prepare_environments(context, index, matrix, [environment]) as ready,
    ):
        prepared = prepared_of(ready, environment)
        _require_same_python(record, prepared)
        with between_canaries(ready, prepared):
            ran = run_in_view(ready, Cell.of(record), view)
        return _reproduction(before, ran.observation, as_of, ran.untimed)


def _reproduction(
    before: Observation, now: Observation, as_of: int | str | None, untimed: tuple[str, ...]
) -> Reproduction:
    if now.record.result is Result.ERROR:
        raise UndecidedError(
            f"{Cell.of(now.record)} ended without a verdict: {now.record.detail}", hint="run the same command again"
        )
    differences = compare(before.record, now.record, log_before=before.log, log_now=now.log)
    return Reproduction(before=before, now=now, differences=differences, as_of=as_of, untimed=untimed)


def _view(record: Record, as_of: int | str | None) -> IndexView:
    if as_of == NOW:
        # All that is there, and no page of it from a cache.
        return IndexView()
    return recorded_view(record) if as_of is None else view_as_of(record, int(as_of))


# ---------------------------------------------------------------- what has to be here


def _refuse(context: Context, record: Record, environment: Environment) -> None:
    """Raise `NotReproducibleError` for a record that cannot be reproduced with these settings, or on this machine."""
    cell = Cell.of(record)
    if record.result is Result.ERROR:
        raise NotReproducibleError(
            f"the record of {cell} is an ERROR, which says nothing about the release",
            hint=f"`ppp check {record.environment} {record.release}` checks it",
        )
    if context.config.network is Network.OPEN:
        raise NotReproducibleError(
            f"with the open network {cell} gets whatever the index has today",
            hint="use --network gateway, which needs nginx and, on the host, bubblewrap",
        )
    if record.image_digest is not None:
        _require_image(record, record.image_digest, ImageReference.parse(environment.image).repository)


def _require_image(record: Record, digest: str, repository: str) -> None:
    client = connect_engine()
    if client is None:
        raise NotReproducibleError(
            f"{record.environment} needs the image {digest}, and no Docker engine answers", hint="start Docker"
        )
    try:
        is_here = has_image(client, digest)
    except ImageUnavailableError as error:
        raise NotReproducibleError(str(error), hint="start Docker") from error
    finally:
        client.close()
    if not is_here:
        kind = "a stand-in that was built on another machine" if record.standin else "an image of a registry"
        pull = (
            "" if record.standin else f"`docker pull {repository}@{digest}` if a registry has it by that digest; else "
        )
        raise NotReproducibleError(
            f"{record.environment} was the image {digest}, {kind}, which is not here",
            hint=f"bring it here: {pull}`docker save {digest}` where it is, and `docker load` here; or see what results"
            f" in today's image: `ppp check {record.environment} {record.release}`",
        )


def _require_files(index: SimpleIndex, record: Record) -> None:
    """Raise `NotReproducibleError` if the index has removed a file that a record names."""
    named = [(record.release.package, record.release.version, record.file.sha256)] if record.file else []
    named += [(one.name, one.version, one.sha256) for one in record.installed if one.sha256]
    missing = [f"{name} {version}" for name, version, sha256 in dict.fromkeys(named) if not _has(index, name, sha256)]
    if missing:
        raise NotReproducibleError(
            f"the index no longer has the files of {first_of(missing, MAX_NAMED)} that the record names",
            hint="--as-of TIME resolves anew, with the index as it was then",
        )


def _has(index: Index, project: str, sha256: str) -> bool:
    try:
        return any(file.sha256 == sha256 for file in index.files(project))
    except UnknownPackageError:
        return False


def _require_same_python(record: Record, prepared: PreparedEnvironment) -> None:
    wanted, here = (record.python, record.arch), (prepared.python, prepared.arch)
    if record.python is not None and wanted != here:
        raise NotReproducibleError(
            f"the record is of Python {wanted[0]} on {wanted[1]}, and {record.environment} here is"
            f" {here[0]} on {here[1]}",
            hint="install that Python, or reproduce it where it was observed",
        )
