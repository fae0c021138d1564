"""`ppp doctor`: examine this machine; an exit code of its own where something is broken."""

import os
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import click

from ppp import config as settings
from ppp.cli.environments import select_environments
from ppp.cli.options import (
    data_option,
    json_option,
    matrix_option,
    network_option,
    print_answer,
)
from ppp.config import DEFAULT_PORT
from ppp.doctor.canary import run_canaries, temporary_environments
from ppp.doctor.diagnosis import Diagnosis, broken_subjects
from ppp.doctor.examine import NodeSetup, Once, examine
from ppp.doctor.local_machine import LocalMachine
from ppp.doctor.report import format_report
from ppp.model.errors import UnhealthyError

#: Columns: what most terminals have, and what is still easy to read.
WIDTH: Final = 80
MAX_WIDTH: Final = 110


@click.command()
@click.argument("environments", metavar="[ENVIRONMENT]...", nargs=-1)
@click.option("--canary", is_flag=True, help="Also check each environment with releases whose results are known.")
@network_option
@matrix_option
@data_option
@json_option
def doctor(
    *,
    environments: tuple[str, ...],
    canary: bool,
    network: str | None,
    matrix: Path | None,
    data: Path | None,
    as_json: bool,
) -> None:
    """Find out what is wrong with this machine.

    Each line says what was found and how to fix it; nothing is changed. Without an environment, those that `ppp run`
    would use are examined.
    """
    config, mistakes = settings.load_valid(os.environ, data=data, network=network)
    settings.take_credentials(os.environ, config)
    machine = LocalMachine(environ=os.environ, user_agent=config.user_agent, mesh_port=DEFAULT_PORT)
    engine = Once(machine.engine)
    loaded, chosen = select_environments(matrix, environments, has_engine=lambda: engine().answers)
    setup = NodeSetup(
        config=config,
        matrix=loaded,
        environments=chosen,
        setting_errors=mistakes,
        model=Path(os.environ["PPP_MODEL"]) if os.environ.get("PPP_MODEL") else None,
        environments_named=bool(environments),
        mesh_port=DEFAULT_PORT,
    )

    def canaries() -> Sequence[Diagnosis]:
        return run_canaries(lambda: temporary_environments(config, loaded, chosen), chosen, jobs=config.jobs)

    _print_report(examine(setup, machine, engine, canary=canaries if canary else None), as_json=as_json)


def _print_report(diagnoses: Sequence[Diagnosis], *, as_json: bool) -> None:
    broken = broken_subjects(diagnoses)
    if as_json:
        print_answer({"healthy": not broken, "checks": [d.to_json() for d in diagnoses]}, "", as_json=True)
    else:
        colour = sys.stdout.isatty() and not os.environ.get("NO_COLOR")
        click.echo(format_report(diagnoses, width=_width(), colour=colour))
    if broken:
        raise UnhealthyError(
            f"broken: {', '.join(broken)}", hint="follow the advice beside each, then run `ppp doctor` again"
        )


def _width() -> int:
    return min(shutil.get_terminal_size((WIDTH, 24)).columns, MAX_WIDTH) if sys.stdout.isatty() else WIDTH
