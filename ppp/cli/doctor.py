"""`ppp doctor`: what is examined, and how it is told; an exit code of its own where something is broken."""

import os
import shutil
import sys
import textwrap
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

import click

from ppp import config as settings
from ppp.cli.options import Options, common, network_option
from ppp.config import Config
from ppp.console import printable
from ppp.doctor.canary import run_canaries, temporary_environments
from ppp.doctor.diagnosis import Diagnosis, State, broken_subjects
from ppp.doctor.examine import NodeSetup, Once, examine
from ppp.doctor.look import LocalMachine
from ppp.model.errors import ConfigError, UnhealthyError
from ppp.resources import resource

#: A word for the eye beside the word for the mind; never colour alone.
GLYPHS: Final = {State.OK: "✓", State.NOTE: "·", State.WARN: "!", State.BROKEN: "✗"}
NOUNS: Final = {State.OK: "ok", State.NOTE: "to note", State.WARN: "to be wary of", State.BROKEN: "broken"}
COLOURS: Final = {State.OK: "green", State.NOTE: "blue", State.WARN: "yellow", State.BROKEN: "red"}
#: Columns: what most terminals have, and what is still easy to read.
WIDTH: Final = 80
MAX_WIDTH: Final = 110
#: Where `ppp serve --mesh` listens if nobody says otherwise.
MESH_PORT: Final = 8001


@click.command()
@common
@network_option
@click.argument("environments", metavar="[ENVIRONMENT]...", nargs=-1)
@click.option("--canary", is_flag=True, help="Check each environment with releases that must end in a known way.")
@click.pass_obj
def doctor(options: Options, *, environments: tuple[str, ...], canary: bool) -> None:
    """Say what is wrong with this machine, and how to mend it; change nothing.

    Without an environment, what `ppp run` would use is examined.
    """
    config, mistakes = usable_settings(os.environ, data=options.data, network=options.network)
    machine = LocalMachine(environ=os.environ, user_agent=config.user_agent, mesh_port=MESH_PORT)
    engine = Once(machine.engine)
    if options.matrix is None:
        on_host = all(id_.endswith("-host") for id_ in environments) if environments else not engine().answers
        options.matrix = resource("matrices/host.toml" if on_host else "matrices/default.toml")
    matrix, chosen = options.environments(environments)
    patient = NodeSetup(
        config=config,
        matrix=matrix,
        environments=chosen,
        mistakes=mistakes,
        model=Path(os.environ["PPP_MODEL"]) if os.environ.get("PPP_MODEL") else None,
        named=bool(environments),
        mesh_port=MESH_PORT,
    )

    def sung() -> Sequence[Diagnosis]:
        return run_canaries(lambda: temporary_environments(config, matrix, chosen), chosen, jobs=config.jobs)

    _tell(options, examine(patient, machine, engine, canary=sung if canary else None))


def _tell(options: Options, diagnoses: Sequence[Diagnosis]) -> None:
    ill = broken_subjects(diagnoses)
    if options.json:
        options.print_answer({"healthy": not ill, "checks": [d.to_json() for d in diagnoses]}, "")
    else:
        click.echo(
            format_report(diagnoses, width=_width(), colour=sys.stdout.isatty() and not os.environ.get("NO_COLOR"))
        )
    if ill:
        raise UnhealthyError(
            f"broken: {', '.join(ill)}", hint="do what is said beside each, then run `ppp doctor` again"
        )


def usable_settings(
    environ: Mapping[str, str], *, data: Path | None = None, network: str | None = None
) -> tuple[Config, str]:
    """Give the settings without those that cannot be used, and what is wrong with these."""
    try:
        return settings.load(environ, data=data, network=network), ""
    except ConfigError as error:
        good = {name: value for name, value in environ.items() if _is_usable(name, value)}
        return settings.load(good, data=data, network=network), error.what


def _is_usable(name: str, value: str) -> bool:
    try:
        settings.load({name: value})
    except ConfigError:
        return False
    return True


def format_report(diagnoses: Sequence[Diagnosis], *, width: int, colour: bool) -> str:
    """Give the diagnoses as lines of at most `width` columns, and how many there are of each kind."""
    margin = max(len(d.subject) for d in diagnoses) + 10
    lines = [line for d in diagnoses for line in _lines(d, width=width, margin=margin, colour=colour)]
    counts = Counter(d.state for d in diagnoses)
    total = ", ".join(f"{counts[state]} {NOUNS[state]}" for state in State if counts[state])
    return "\n".join([*lines, "", f"{len(diagnoses)} checks: {total}"])


def _lines(diagnosis: Diagnosis, *, width: int, margin: int, colour: bool) -> list[str]:
    state = f"{GLYPHS[diagnosis.state]} {diagnosis.state:6}"
    shown = click.style(state, fg=COLOURS[diagnosis.state]) if colour else state
    begin = f"{diagnosis.subject:{margin - len(state) - 2}} "
    told = _wrapped(diagnosis.found, begin, width=width - len(state) - 1, indent=margin - len(state) - 1)
    advice = _wrapped(diagnosis.remedy, "→ ", width=width - margin, indent=2) if diagnosis.remedy else []
    rest = [" " * (len(state) + 1) + line for line in told[1:]] + [" " * margin + line for line in advice]
    return [f"{shown} {told[0]}", *rest]


def _wrapped(text: str, begin: str, *, width: int, indent: int) -> list[str]:
    # What came from outside is shown as text; a word is broken only where it alone is wider than a line.
    one_line = " ".join(printable(text).split())
    return textwrap.wrap(
        one_line, width, initial_indent=begin, subsequent_indent=" " * indent, break_on_hyphens=False
    ) or [begin.rstrip()]


def _width() -> int:
    return min(shutil.get_terminal_size((WIDTH, 24)).columns, MAX_WIDTH) if sys.stdout.isatty() else WIDTH
