"""Options that several commands take, and what becomes of them: settings, answers."""

import os
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Final, TypeVar

import click

from ppp import config as settings
from ppp import console
from ppp.cli.paths import NonEmptyPath
from ppp.log_lines import LogFormat, chosen_log_format
from ppp.model.printable import printable
from ppp.model.release import InvalidReleaseError, RequestedPackage
from ppp.run_logs import Verbosity, log_reporter
from ppp.runner.context import Context

#: Where the context of a command keeps the options of its log.
_LOG_META: Final = "ppp.log"
CommandFunction = TypeVar("CommandFunction", bound=Callable[..., object])


def environments_option(about: str) -> Callable[[CommandFunction], CommandFunction]:
    """Return a decorator that adds `--env`, which may be repeated and reaches a command as `environments`."""
    return click.option("-e", "--env", "environments", metavar="ENVIRONMENT", multiple=True, help=about)


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


def log_options(command: CommandFunction) -> CommandFunction:
    """Add `--log-format`, `--quiet` and `--verbose` to a command that reports how it proceeds: see `make_context`."""

    def keep(context: click.Context, parameter: click.Parameter, value: object) -> None:
        context.meta[f"{_LOG_META}.{parameter.name}"] = value
        if parameter.name == "log_format":
            chosen_log_format.set(LogFormat(str(value)))

    options = (
        click.option(
            "--log-format",
            type=click.Choice([str(each) for each in LogFormat]),
            default=str(LogFormat.TEXT),
            envvar=settings.LOG_FORMAT_VARIABLE,
            expose_value=False,
            callback=keep,
            help="Write to standard error as text, or as a JSON object in each line (PPP_LOG_FORMAT).",
        ),
        click.option(
            "-q", "--quiet", is_flag=True, expose_value=False, callback=keep, help="Write only warnings and errors."
        ),
        click.option(
            "-v", "--verbose", is_flag=True, expose_value=False, callback=keep, help="Write how long each phase took."
        ),
    )
    for option in reversed(options):
        command = option(command)
    return command


def _log_settings() -> tuple[LogFormat, Verbosity]:
    """Return what the options of `log_options` say; the defaults for a command that does not have them."""
    context = click.get_current_context(silent=True)
    meta = context.meta if context else {}
    quiet, verbose = meta.get(f"{_LOG_META}.quiet"), meta.get(f"{_LOG_META}.verbose")
    if quiet and verbose:
        raise click.UsageError("--quiet and --verbose contradict each other")
    verbosity = Verbosity.QUIET if quiet else Verbosity.VERBOSE if verbose else Verbosity.NORMAL
    return LogFormat(str(meta.get(f"{_LOG_META}.log_format", LogFormat.TEXT))), verbosity


def json_option(command: CommandFunction) -> CommandFunction:
    """Add `--json`, which reaches the command as `as_json`."""
    return click.option("--json", "as_json", is_flag=True, help="Print the answer as JSON.")(command)


def snapshot_option(command: CommandFunction) -> CommandFunction:
    """Add `--snapshot` to a command that publishes."""
    return click.option(
        "--snapshot", is_flag=True, help="Publish with a snapshot of the newest day; one that is there is kept."
    )(command)


def make_context(data: Path | None, *, network: str | None = None) -> Context:
    """Read the settings, and wire what a command needs; raise `ConfigError` if a setting is invalid."""
    log_format, verbosity = _log_settings()
    config = settings.load(os.environ, data=data, network=network)
    settings.take_credentials(os.environ, config)
    return Context(
        config=config,
        reporter=log_reporter(sys.stderr, log_format=log_format, verbosity=verbosity),
        environ=os.environ,
        stop=threading.Event(),
    )


def print_answer(data: object, text: str, *, as_json: bool) -> None:
    """Print `data` as JSON, or else `text` for a person."""
    if as_json:
        # Where standard output has no UTF-8, JSON's own escapes are understood by every reader.
        encoding = getattr(sys.stdout, "encoding", None) or "utf-8"
        click.echo(console.format_json(data, ascii_only=encoding.lower() not in {"utf-8", "utf8"}))
    else:
        click.echo(printable(text))


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
