"""What a long-lived node has done of its schedule, in `schedule.json` of its data folder: it survives any kill.

The file is written after a step, so a step that was cut off is due again. It holds nothing that cannot be lost: without
it, the node does each step once that is due by then.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final, Self

from ppp.durability import replace_file
from ppp.model.errors import ConfigError
from ppp.model.schedule import Slot, Step
from ppp.storage_errors import translate_storage_errors

FILE: Final = "schedule.json"
SCHEMA: Final = "ppp-schedule-1"
MAX_BYTES: Final = 100_000


@dataclass(frozen=True, slots=True, kw_only=True)
class StepOutcome:
    """How a step went: its slot and its end, in epoch seconds; its exit status, and how often it was tried."""

    slot: int
    ended_at: int
    status: int
    attempts: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class ScheduleRecord:
    """By step: the slot that it was last done for, and how its last attempt went."""

    done: Mapping[Step, int] = field(default_factory=lambda: MappingProxyType({}))
    last: Mapping[Step, StepOutcome] = field(default_factory=lambda: MappingProxyType({}))

    def with_outcome(self, slot: Slot, status: int, *, now: int, max_attempts: int) -> Self:
        """Return the record after an attempt: the slot is done if it succeeded, or was tried `max_attempts` times."""
        before = self.last.get(slot.step)
        attempts = before.attempts + 1 if before and before.slot == slot.at and before.status else 1
        outcome = StepOutcome(slot=slot.at, ended_at=now, status=status, attempts=attempts)
        is_over = status == 0 or attempts >= max_attempts
        return replace(
            self,
            done={**self.done, **({slot.step: slot.at} if is_over else {})},
            last={**self.last, slot.step: outcome},
        )

    def to_json(self) -> dict[str, Any]:
        """Return the content of the file."""
        return {
            "schema": SCHEMA,
            "done": {step: self.done[step] for step in Step if step in self.done},
            "last": {
                step: {"slot": one.slot, "ended_at": one.ended_at, "status": one.status, "attempts": one.attempts}
                for step in Step
                if (one := self.last.get(step))
            },
        }


def read_record(data: Path) -> ScheduleRecord:
    """Return the record of a data folder, an empty one if there is none; raise `ConfigError` if it is damaged."""
    path = data / FILE
    try:
        with path.open("rb") as file:
            document = json.loads(file.read(MAX_BYTES))
        return _parse(document)
    except FileNotFoundError:
        return ScheduleRecord()
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise ConfigError(
            f"{path} cannot be read: {error}", hint="remove it: the node then does what is due by now"
        ) from error


def _parse(document: Any) -> ScheduleRecord:  # noqa: ANN401 - JSON of any form
    if document["schema"] != SCHEMA:
        raise ValueError("it has another schema")
    return ScheduleRecord(
        done={Step(step): int(slot) for step, slot in document["done"].items()},
        last={Step(step): StepOutcome(**{k: int(v) for k, v in one.items()}) for step, one in document["last"].items()},
    )


def write_record(data: Path, record: ScheduleRecord) -> None:
    """Replace the record of a data folder in one step; raise `DiskFullError` or `DataReadOnlyError`."""
    path = data / FILE
    with translate_storage_errors(path):
        replace_file(path, f"{json.dumps(record.to_json(), indent=2)}\n".encode())
