"""`ppp status`: what is queued, and what of it cannot be checked here."""

import os
import time
from contextlib import closing
from pathlib import Path

import click

from ppp.cli.environments import select_environments
from ppp.cli.options import data_option, json_option, make_context, matrix_option, print_answer
from ppp.cli.results import find_node_id
from ppp.doctor import probe_docker, probe_local
from ppp.doctor.machine import ImageAvailability
from ppp.ledger import staging
from ppp.ledger.queue_groups import QueueGroup, read_queue
from ppp.ledger.schema import read_ledger
from ppp.matrix_files import shipped_environments
from ppp.model.matrix import Environment, Matrix, Platform
from ppp.model.record import Network
from ppp.runner.sharing import work_share
from ppp.runner.waiting import Possibilities, explain_queue


@click.command()
@matrix_option
@data_option
@json_option
def status(*, matrix: Path | None, data: Path | None, as_json: bool) -> None:
    """Show what is queued, and what of it cannot be checked here.

    Images and Pythons are looked for, and nothing is started or pulled.
    """
    config = make_context(data).config
    loaded, _ = select_environments(matrix, [])
    with closing(read_ledger(config.data)) as db:
        node = find_node_id(config)
        share = work_share(config, node)
        elsewhere = share.elsewhere if share else None
        groups = read_queue(db, node=node or "", now=int(time.time()), elsewhere=elsewhere)
        pending = staging.pending_counts(db)
    confined = config.network is Network.GATEWAY
    state = explain_queue(
        groups,
        Possibilities(
            matrix=loaded,
            shipped=shipped_environments(),
            gatewayed=[environment.id for environment in loaded.environments if confined],
            unavailable=_unavailable(loaded, groups),
        ),
    )
    lines = [f"{state.due} cells are queued: `ppp run` checks them", *map(str, state.waiting)]
    lines += [f"{count} results of {e} wait for its canary: `ppp run` publishes them" for e, count in pending.items()]
    print_answer({**state.to_json(), "pending": dict(pending)}, "\n".join(lines), as_json=as_json)


def _unavailable(matrix: Matrix, groups: tuple[QueueGroup, ...]) -> dict[str, str]:
    """Return why environments that cells are queued for cannot be had here."""
    wanted = {group.environment for group in groups}
    reasons = {e.id: _why_unavailable(e) for e in matrix.environments if e.id in wanted}
    return {id_: reason for id_, reason in reasons.items() if reason}


def _why_unavailable(environment: Environment) -> str | None:
    if environment.platform is Platform.HOST:
        found = probe_local.python(environment.python, os.environ)
        return None if found else f"no working Python {environment.python} on this machine"
    availability, detail = probe_docker.image_availability(os.environ, environment.image)
    if availability is not ImageAvailability.UNAVAILABLE:
        return None
    return f"{environment.image} is not here and cannot be pulled{f': {detail}' if detail else ''}"
