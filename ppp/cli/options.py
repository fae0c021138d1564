"""Options that several commands take, and what becomes of them: settings, environments of a matrix, answers."""

import os
import sys
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar

import click

from ppp import config as settings
from ppp import console
from ppp.check.sandbox.docker import connect_engine
from ppp.model.matrix import Environment, Matrix
from ppp.model.release import InvalidReleaseError, RequestedPackage
from ppp.runner.context import Context

CommandFunction = TypeVar("CommandFunction", bound=Callable[..., object])


class NonEmptyPath(click.Path):
    """The path of a file or a folder. An empty text is an error: `--data "$UNSET"` must not mean this folder."""

    def __init__(self) -> None:
        """Convert what is typed into a `Path`."""
        super().__init__(path_type=Path)

    def convert(
        self, value: str | os.PathLike[str], param: click.Parameter | None, ctx: click.Context | None
    ) -> str | bytes | os.PathLike[str]:
        """Return the path; fail if the text is empty."""
        if not os.fspath(value):
            self.fail("the path is empty: name a file or a folder", param, ctx)
        return super().convert(value, param, ctx)


def data_option(command: CommandFunction) -> CommandFunction:
    """Add `--data` to a command."""
    return click.option("--data", type=NonEmptyPath(), help="The data folder (PPP_DATA, or ./data).")(command)


def matrix_option(command: CommandFunction) -> CommandFunction:
    """Add `--matrix` to a command that checks cells or queues them."""
    return click.option("--matrix", type=NonEmptyPath(), help="The matrix of environments, a TOML file.")(command)


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
    if as_json:
        # Where standard output has no UTF-8, JSON's own escapes are understood by every reader.
        encoding = getattr(sys.stdout, "encoding", None) or "utf-8"
        click.echo(console.format_json(data, ascii_only=encoding.lower() not in {"utf-8", "utf8"}))
    else:
        click.echo(console.printable(text))


def parse_packages(
    _ctx: click.Context, _parameter: click.Parameter, texts: tuple[str, ...]
) -> tuple[RequestedPackage, ...]:
    """Return packages, each optionally with a version: `six`, `six==1.17.0`, `six>=1.16`.

    Raise `InvalidReleaseError`, which has an exit code of its own, for all texts of which that cannot be said.
    """
    parsed: list[RequestedPackage] = []
    mistakes: list[InvalidReleaseError] = []
    for text in texts:
        try:
            parsed.append(RequestedPackage.parse(text))
        except InvalidReleaseError as error:
            mistakes.append(error)
    if mistakes:
        raise InvalidReleaseError("; ".join(error.message for error in mistakes), hint=mistakes[0].hint)
    return tuple(parsed)
