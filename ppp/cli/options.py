"""What all commands share: their common options, the matrix that suits them, answers in text or JSON, stopping."""

import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from ppp import config as settings
from ppp import console
from ppp.check.sandbox.docker import connect_engine
from ppp.model.matrix import Environment, Matrix
from ppp.model.release import RequestedPackage
from ppp.runner.context import Context


@dataclass(slots=True, kw_only=True)
class Options:
    """What stands before or behind any command."""

    data: Path | None = None
    matrix: Path | None = None
    json: bool = False
    network: str | None = None

    def context(self) -> Context:
        """Read the settings, and wire what a command needs."""
        return Context(
            config=settings.load(os.environ, data=self.data, network=self.network),
            reporter=console.make_reporter(sys.stderr),
            environ=os.environ,
            stop=threading.Event(),
        )

    def environments(self, ids: Sequence[str]) -> tuple[Matrix, tuple[Environment, ...]]:
        """Give the matrix that is named, or that suits the environments or this machine; and those environments."""
        path = self.matrix
        if path is None:
            on_host = all(id_.endswith("-host") for id_ in ids) if ids else connect_engine() is None
            path = settings.default_matrix(ids, on_host=on_host)
        matrix = settings.load_matrix(path)
        return matrix, matrix.select(ids)

    def print_answer(self, data: object, text: str) -> None:
        """Print an answer: `data` where JSON was asked for, else `text`."""
        click.echo(console.format_json(data) if self.json else console.printable(text))


def _store(context: click.Context, parameter: click.Parameter, value: object) -> None:
    if value not in {None, False}:
        setattr(context.ensure_object(Options), str(parameter.name), value)


def network_option(command: Callable[..., Any]) -> Callable[..., Any]:
    """Let a command that checks cells take `--network`."""
    told = "What cells may reach: the index through a gateway, or all that this machine does (PPP_NETWORK, or gateway)."
    kind = click.Choice([str(network) for network in settings.NETWORKS])
    return click.option("--network", type=kind, expose_value=False, callback=_store, help=told)(command)


def common(command: Callable[..., Any]) -> Callable[..., Any]:
    """Let a command take `--data`, `--matrix` and `--json` behind its name too."""
    path = click.Path(path_type=Path)
    for option in (
        click.option("--json", is_flag=True, expose_value=False, callback=_store, help="Answer in JSON."),
        click.option(
            "--matrix", type=path, expose_value=False, callback=_store, help="The matrix to use, a TOML file."
        ),
        click.option(
            "--data", type=path, expose_value=False, callback=_store, help="The data folder (PPP_DATA, or ./data)."
        ),
    ):
        command = option(command)
    return command


class WantedType(click.ParamType[RequestedPackage]):
    """A package, optionally with a version: `six`, `six==1.17.0`, `six>=1.16`."""

    name = "package"

    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> RequestedPackage:  # noqa: ARG002 - click's
        """Parse it; a bad one is an error with its own exit code, raised as it is."""
        return RequestedPackage.parse(value)


@contextmanager
def stop_on_signals(stop: threading.Event) -> Iterator[None]:
    """Let the first SIGINT or SIGTERM wish for an orderly stop, and a second one insist."""

    def wish(number: int, _frame: object) -> None:
        if stop.is_set():
            raise KeyboardInterrupt
        stop.set()
        print("\nstopping: finished cells are kept, running ones are ended", file=sys.stderr)  # noqa: T201
        signal.signal(number, signal.default_int_handler)

    before = {number: signal.signal(number, wish) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
