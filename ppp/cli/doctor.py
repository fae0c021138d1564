"""`ppp doctor`: examine this machine; an exit code of its own where something is broken."""

import os
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import click

from ppp import config as settings
from ppp.cli.options import Options, common, network_option
from ppp.doctor.canary import run_canaries, temporary_environments
from ppp.doctor.diagnosis import Diagnosis, broken_subjects
from ppp.doctor.examine import NodeSetup, Once, examine
from ppp.doctor.local_machine import LocalMachine
from ppp.doctor.report import format_report
from ppp.model.errors import UnhealthyError

#: Columns: what most terminals have, and what is still easy to read.
WIDTH: Final = 80
MAX_WIDTH: Final = 110
#: Where `ppp serve --mesh` listens unless told otherwise.
MESH_PORT: Final = 8001


@click.command()
@common
@network_option
@click.argument("environments", metavar="[ENVIRONMENT]...", nargs=-1)
@click.option("--canary", is_flag=True, help="Also check each environment with releases whose results are known.")
@click.pass_obj
def doctor(options: Options, *, environments: tuple[str, ...], canary: bool) -> None:
    """Find out what is wrong with this machine.

    Each line says what was found and how to fix it; nothing is changed. Without an environment, those that `ppp run`
    would use are examined.
    """
    config, mistakes = settings.load_valid(os.environ, data=options.data, network=options.network)
    machine = LocalMachine(environ=os.environ, user_agent=config.user_agent, mesh_port=MESH_PORT)
    engine = Once(machine.engine)
    if options.matrix is None:
        on_host = all(id_.endswith("-host") for id_ in environments) if environments else not engine().answers
        options.matrix = settings.default_matrix(environments, on_host=on_host)
    matrix, chosen = options.environments(environments)
    setup = NodeSetup(
        config=config,
        matrix=matrix,
        environments=chosen,
        setting_errors=mistakes,
        model=Path(os.environ["PPP_MODEL"]) if os.environ.get("PPP_MODEL") else None,
        environments_named=bool(environments),
        mesh_port=MESH_PORT,
    )

    def canaries() -> Sequence[Diagnosis]:
        return run_canaries(lambda: temporary_environments(config, matrix, chosen), chosen, jobs=config.jobs)

    _print_report(options, examine(setup, machine, engine, canary=canaries if canary else None))


def _print_report(options: Options, diagnoses: Sequence[Diagnosis]) -> None:
    broken = broken_subjects(diagnoses)
    if options.json:
        options.print_answer({"healthy": not broken, "checks": [d.to_json() for d in diagnoses]}, "")
    else:
        colour = sys.stdout.isatty() and not os.environ.get("NO_COLOR")
        click.echo(format_report(diagnoses, width=_width(), colour=colour))
    if broken:
        raise UnhealthyError(
            f"broken: {', '.join(broken)}", hint="follow the advice beside each, then run `ppp doctor` again"
        )


def _width() -> int:
    return min(shutil.get_terminal_size((WIDTH, 24)).columns, MAX_WIDTH) if sys.stdout.isatty() else WIDTH
