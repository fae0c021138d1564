"""How a long-lived node is: how its steps went, what is queued, how old its newest record is, how much disk is left.

It is printed by `ppp health`, kept in `health.json` of the data folder, which each step replaces, and served as
metrics. None of these holds a path, or anything else that is not for everybody.
"""

import json
import shutil
from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from ppp.durability import replace_file
from ppp.ledger.schema import LEDGER_NAME, read_ledger
from ppp.model.errors import PPPError
from ppp.model.schedule import Step, newest_slot
from ppp.runner.context import Reporter
from ppp.runner.schedule_record import ScheduleRecord, StepOutcome, read_record
from ppp.storage_errors import translate_storage_errors

if TYPE_CHECKING:
    from prometheus_client import CollectorRegistry, Metric

#: The file of the data folder that says how the node was after its last step.
FILE: Final = "health.json"
#: A step is late if it was not done so many seconds after its time: watching may take until the next slot.
LATE_S: Final = 7 * 3600


class StepState(StrEnum):
    """How a step of the schedule is."""

    OK = "ok"
    FAILED = "failed"
    LATE = "late"
    NEVER = "never"


@dataclass(frozen=True, slots=True, kw_only=True)
class StepHealth:
    """How a step is, and its last attempt if there was one."""

    state: StepState
    last: StepOutcome | None


@dataclass(frozen=True, slots=True, kw_only=True)
class LedgerHealth:
    """What the ledger holds: how many cells are queued, and when the newest record was observed (epoch seconds)."""

    queued: int
    newest_record_at: int | None
    size: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Health:
    """How a node is at a time, in epoch seconds; `ledger` is None if there is none, sizes are in bytes."""

    at: int
    steps: Mapping[Step, StepHealth]
    ledger: LedgerHealth | None
    free: int

    @property
    def problems(self) -> tuple[str, ...]:
        """Return what is wrong, in words; a step that was never tried is no problem: its time may be to come."""
        return step_problems(self.steps)

    def to_json(self) -> dict[str, Any]:
        """Return it as `ppp health --json` prints it."""
        ledger = self.ledger
        return {
            "schema": "ppp-health-1",
            "healthy": not self.problems,
            "problems": [*self.problems],
            "at": self.at,
            "steps": {step: _step_json(one) for step, one in self.steps.items()},
            "queued": ledger.queued if ledger else None,
            "newest_record_at": ledger.newest_record_at if ledger else None,
            "ledger_bytes": ledger.size if ledger else None,
            "free_bytes": self.free,
        }


def _step_json(one: StepHealth) -> dict[str, Any]:
    last = one.last
    tried = {"ended_at": last.ended_at, "status": last.status, "attempts": last.attempts} if last else {}
    return {"state": one.state, **tried}


def read_health(data: Path, *, now: int) -> Health:
    """Return how the node of a data folder is at `now`, in epoch seconds.

    Raise `ConfigError` if the record of the schedule is damaged, and what `read_ledger` raises but for a missing one.
    """
    return Health(
        at=now,
        steps=judge_steps(read_record(data), now=now),
        ledger=_read_ledger(data) if (data / LEDGER_NAME).exists() else None,
        free=shutil.disk_usage(data if data.exists() else data.absolute().parent).free,
    )


def judge_steps(record: ScheduleRecord, *, now: int) -> dict[Step, StepHealth]:
    """Return how each step is at `now`, in epoch seconds."""
    return {step: StepHealth(state=_judge(step, record, now), last=record.last.get(step)) for step in Step}


def step_problems(steps: Mapping[Step, StepHealth]) -> tuple[str, ...]:
    """Return what is wrong with steps, in words."""
    return tuple(
        f"{step} failed with exit status {one.last.status}" if one.state is StepState.FAILED else f"{step} is late"
        for step, one in steps.items()
        if one.last is not None and one.state in {StepState.FAILED, StepState.LATE}
    )


def _judge(step: Step, record: ScheduleRecord, now: int) -> StepState:
    last, due = record.last.get(step), newest_slot(step, now - LATE_S)
    if last is None:
        return StepState.NEVER
    if last.status != 0:
        return StepState.FAILED
    return StepState.LATE if due and last.slot < due.at else StepState.OK


def _read_ledger(data: Path) -> LedgerHealth:
    with closing(read_ledger(data)) as db:
        (queued,) = db.execute("SELECT count(*) FROM queue").fetchone()
        (newest,) = db.execute("SELECT max(observed_at) FROM records").fetchone()
    return LedgerHealth(queued=queued, newest_record_at=newest, size=(data / LEDGER_NAME).stat().st_size)


def update_health(data: Path, reporter: Reporter, *, now: int) -> None:
    """Replace `health.json` of a data folder, at once; a failure is reported, because the step itself is done.

    `now` is in epoch seconds.
    """
    path = data / FILE
    try:
        document = read_health(data, now=now).to_json()
        with translate_storage_errors(path):
            replace_file(path, f"{json.dumps(document, indent=2)}\n".encode())
    except PPPError as error:
        reporter.warn(f"{path} is not up to date: {error}")


# A registry tells its collectors apart by their identity.
@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class HealthCollector:
    """The health of a node as metrics of Prometheus; times are epoch seconds, sizes bytes."""

    health: Health

    def collect(self) -> "Iterator[Metric]":
        """Yield the metrics; what is not known has none."""
        # Only here, because every command imports this module, and the library takes as long as all of click.
        from prometheus_client.core import GaugeMetricFamily  # noqa: PLC0415

        tried = GaugeMetricFamily(
            "ppp_step_ended_time_seconds", "When the last attempt of a step ended.", labels=["step"]
        )
        status = GaugeMetricFamily("ppp_step_exit_status", "The exit status of a step's last attempt.", labels=["step"])
        for step, one in self.health.steps.items():
            if one.last:
                tried.add_metric([step], one.last.ended_at)
                status.add_metric([step], one.last.status)
        yield from (tried, status)
        for name, text, value in self._numbers():
            if value is not None:
                yield GaugeMetricFamily(name, text, value=value)

    def _numbers(self) -> Iterator[tuple[str, str, float | None]]:
        yield "ppp_healthy", "1 if no step failed or is late, else 0.", float(not self.health.problems)
        if ledger := self.health.ledger:
            yield "ppp_queued_cells", "Cells that are queued.", ledger.queued
            yield "ppp_newest_record_time_seconds", "When the newest record was observed.", ledger.newest_record_at
            yield "ppp_ledger_bytes", "The size of the ledger.", ledger.size
        yield "ppp_free_bytes", "Free space where the data folder is.", self.health.free


def metrics_registry(health: Health) -> "CollectorRegistry":
    """Return what the functions of prometheus-client expose the health of a node from."""
    from prometheus_client import CollectorRegistry  # noqa: PLC0415 - as above

    registry = CollectorRegistry()
    registry.register(HealthCollector(health=health))
    return registry


def format_metrics(health: Health) -> bytes:
    """Return it in the text format of Prometheus."""
    from prometheus_client import generate_latest  # noqa: PLC0415 - as above

    text: bytes = generate_latest(metrics_registry(health))
    return text
