"""Options that several commands take, and what becomes of them: settings, environments of a matrix, answers."""

import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import click

from ppp import config as settings
from ppp import console
from ppp.check.sandbox.docker import connect_engine
from ppp.model.matrix import Environment, Matrix
from ppp.model.release import RequestedPackage
from ppp.runner.context import Context

if TYPE_CHECKING:
    _PackageParamType = click.ParamType[RequestedPackage]
else:
    # Generic only since click 8.4.
    _PackageParamType = click.ParamType

CommandFunction = TypeVar("CommandFunction", bound=Callable[..., object])


def data_option(command: CommandFunction) -> CommandFunction:
    """Add `--data` to a command."""
    path = click.Path(path_type=Path)
    return click.option("--data", type=path, help="The data folder (PPP_DATA, or ./data).")(command)


def matrix_option(command: CommandFunction) -> CommandFunction:
    """Add `--matrix` to a command that checks cells or queues them."""
    path = click.Path(path_type=Path)
    return click.option("--matrix", type=path, help="The matrix of environments, a TOML file.")(command)


def network_option(command: CommandFunction) -> CommandFunction:
    """Add `--network` to a command that checks cells."""
    return click.option(
        "--network",
        type=click.Choice([str(network) for network in settings.NETWORKS]),
        help="What package code can reach: only the index, through a gateway, or everything that this machine can"
        " (PPP_NETWORK, or gateway).",
    )(command)


def json_option(command: CommandFunction) -> CommandFunction:
    """Add `--json`, which reaches the command as `as_json`."""
    return click.option("--json", "as_json", is_flag=True, help="Print the answer as JSON.")(command)


def make_context(data: Path | None, *, network: str | None = None) -> Context:
    """Read the settings, and wire what a command needs; raise `ConfigError` if a setting is invalid."""
    config = settings.load(os.environ, data=data, network=network)
    settings.take_credentials(os.environ, config)
    return Context(
        config=config,
        reporter=console.make_reporter(sys.stderr),
        environ=os.environ,
        stop=threading.Event(),
    )


def _has_engine() -> bool:
    return connect_engine() is not None


def select_environments(
    matrix: Path | None, ids: Sequence[str], *, has_engine: Callable[[], bool] = _has_engine
) -> tuple[Matrix, tuple[Environment, ...]]:
    """Return a matrix and the environments of it that are named, all if none is.

    Without a matrix file it is the first shipped one that has them all; if none is named, the one that suits this
    machine: of containers if a Docker engine answers.
    """
    if matrix is None:
        on_host = all(id_.endswith("-host") for id_ in ids) if ids else not has_engine()
        matrix = settings.default_matrix(ids, on_host=on_host)
    loaded = settings.load_matrix(matrix)
    return loaded, loaded.select(ids)


def print_answer(data: object, text: str, *, as_json: bool) -> None:
    """Print `data` as JSON, or else `text` for a person."""
    click.echo(console.format_json(data) if as_json else console.printable(text))


class PackageType(_PackageParamType):
    """A package, optionally with a version: `six`, `six==1.17.0`, `six>=1.16`."""

    name = "package"

    def convert(
        self,
        value: str,
        param: click.Parameter | None,  # noqa: ARG002 - click's
        ctx: click.Context | None,  # noqa: ARG002 - click's
    ) -> RequestedPackage:
        """Parse it; raise `InvalidReleaseError`, which has an exit code of its own, if that cannot be done."""
        return RequestedPackage.parse(value)


@contextmanager
def stop_on_signals(stop: threading.Event) -> Iterator[None]:
    """Make the first SIGINT or SIGTERM request an orderly stop; a second one raises `KeyboardInterrupt`."""

    def request_stop(number: int, _frame: object) -> None:
        if stop.is_set():
            raise KeyboardInterrupt
        stop.set()
        print("\nstopping: finished cells are kept, running ones are ended", file=sys.stderr)  # noqa: T201
        signal.signal(number, signal.default_int_handler)

    before = {number: signal.signal(number, request_stop) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
