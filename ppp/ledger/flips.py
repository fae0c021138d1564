"""Flips: verdicts that changed when a cell was checked again, each with what made the node check it.

A flip says what was observed, no more: after the trigger came, the same node checked the same release in the same
environment again, and the verdict was another one. A re-check may have several records, because a new regression is
confirmed by a second observation: its last one counts.
"""

import json
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import groupby

from sqlite_utils import Database

from ppp.ledger.regressions import FAILED_RESULTS
from ppp.model.record import Record, Result
from ppp.model.release import Release
from ppp.model.trigger import Trigger, TriggerKind


class FlipKind(StrEnum):
    """Which way a verdict changed: from `PASS` to a failure, or back."""

    BROKE = "broke"
    FIXED = "fixed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Flip:
    """A verdict that changed in a re-check. `record` and `record_before` are ids; `observed_at` is in epoch seconds.

    `confirmed` is False where nothing could be installed, so that no record shows which version of the dependency that
    was; `cause`, `detail` and `standin` (the image was not the official one) are those of the newer record.
    """

    kind: FlipKind
    trigger: Trigger
    release: Release
    environment: str
    result: Result
    result_before: Result
    cause: str | None
    detail: str | None
    observed_at: int
    node: str
    record: str
    record_before: str
    confirmed: bool
    standin: bool = False


def find_flips(records: Iterable[Record]) -> list[Flip]:
    """Return the flips among some records, by time and id: the rule that the view `flips` states in SQL."""
    verdicts = sorted(
        (record for record in records if record.result is not Result.ERROR), key=lambda r: (_cell(r), _moment(r))
    )
    flips = [flip for _, of_cell in groupby(verdicts, key=_cell) for flip in _flips_of_cell([*of_cell])]
    return sorted(flips, key=lambda flip: (flip.observed_at, flip.record))


def _cell(record: Record) -> tuple[str, str, str, str]:
    return record.release.package, record.release.version, record.environment, record.node


def _moment(record: Record) -> tuple[int, str]:
    return record.observed_at, record.id


def _flips_of_cell(verdicts: Sequence[Record]) -> Iterator[Flip]:
    last = {record.triggered_by: place for place, record in enumerate(verdicts)}
    for trigger, place in last.items():
        newer = verdicts[place]
        before = next((r for r in reversed(verdicts[:place]) if r.triggered_by != trigger), None)
        kind = before and _kind(before.result, newer.result)
        if trigger and before and kind and ran_with(newer, trigger):
            yield _flip(kind, trigger, newer, before)


def _kind(before: Result, now: Result) -> FlipKind | None:
    if before is Result.PASS and now in FAILED_RESULTS:
        return FlipKind.BROKE
    return FlipKind.FIXED if before in FAILED_RESULTS and now is Result.PASS else None


def ran_with(record: Record, trigger: Trigger) -> bool:
    """Return False where a record shows that it was made without its trigger, such as with an older dependency."""
    match trigger.kind:
        case TriggerKind.DEPENDENCY:
            found = {(one.name, one.version) for one in record.installed}
            return not found or (trigger.name, trigger.version) in found
        case TriggerKind.WITHDRAWAL:
            # Installers no longer take it: where it was installed, nothing has changed.
            return (trigger.name, trigger.version) not in {(one.name, one.version) for one in record.installed}
        case TriggerKind.IMAGE:
            return record.image_digest == trigger.version
        case TriggerKind.PIP:
            return record.pip_version == trigger.version
        case TriggerKind.LATE_FILE | TriggerKind.AGE:
            return True


def _flip(kind: FlipKind, trigger: Trigger, newer: Record, before: Record) -> Flip:
    return Flip(
        kind=kind,
        trigger=trigger,
        release=newer.release,
        environment=newer.environment,
        result=newer.result,
        result_before=before.result,
        cause=newer.cause,
        detail=newer.detail,
        observed_at=newer.observed_at,
        node=newer.node,
        record=newer.id,
        record_before=before.id,
        confirmed=bool(newer.installed) or trigger.kind not in {TriggerKind.DEPENDENCY, TriggerKind.WITHDRAWAL},
        standin=newer.standin,
    )


def read_flips(db: Database, dependencies: Collection[str]) -> list[Flip]:
    """Return the flips that new releases of some packages triggered, by time and id; by an index."""
    # The index is on the canonical JSON, in which a name is followed by a quote: all with one name are neighbours.
    starts = [f'{{"kind":"{TriggerKind.DEPENDENCY}","name":"{name}' for name in sorted(dependencies)]
    rows = db.query(
        "SELECT f.*, (SELECT d.standin FROM records AS d WHERE d.record = f.record) AS standin"
        " FROM json_each(?) AS n CROSS JOIN flips AS f"
        " WHERE f.triggered_by >= n.value || '\"' AND f.triggered_by < n.value || '#' ORDER BY f.observed_at, f.record",
        (json.dumps(starts),),
    )
    return [
        Flip(
            kind=FlipKind(row["flip"]),
            trigger=Trigger(kind=TriggerKind.DEPENDENCY, name=row["trigger_name"], version=row["trigger_version"]),
            release=Release(package=row["package"], version=row["version"]),
            environment=row["environment"],
            result=Result(row["result"]),
            result_before=Result(row["result_before"]),
            cause=row["cause"],
            detail=row["detail"],
            observed_at=row["observed_at"],
            node=row["node"],
            record=row["record"],
            record_before=row["record_before"],
            confirmed=bool(row["confirmed"]),
            standin=bool(row["standin"]),
        )
        for row in rows
    ]


def triggers_of_packages(db: Database, packages: Collection[str]) -> list[str]:
    """Return the packages with a result whose releases made any node check some packages again, sorted."""
    rows = db.execute(
        "SELECT DISTINCT c.triggered_by ->> 'name' FROM json_each(?) AS n CROSS JOIN records AS c"
        " WHERE c.package = n.value AND c.triggered_by ->> 'kind' = 'dependency'"
        " AND EXISTS (SELECT 1 FROM results AS r WHERE r.package = c.triggered_by ->> 'name') ORDER BY 1",
        (json.dumps(sorted(packages)),),
    )
    return [name for (name,) in rows.fetchall()]
