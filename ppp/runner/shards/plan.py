"""A plan: which cells of a node's queue are checked by which shard, and what a shard must know of them. Pure.

A plan needs no secret: it is read on machines that run package code. Each release belongs to one shard, in every
environment, because its files are fetched once for all of its cells.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, NoReturn, Self

from ppp.ledger.queue import QueuedCell
from ppp.ledger.regressions import PriorResults
from ppp.model.canonical import Json, canonical_json, sha256_hex
from ppp.model.errors import RejectedDataError
from ppp.model.matrix import Cell
from ppp.model.printable import printable_reason
from ppp.model.record import Result
from ppp.model.release import InvalidReleaseError, Release
from ppp.model.trigger import Trigger
from ppp.schemas import schema_errors
from ppp.watch.shares import parse_shard

PLAN_SCHEMA: Final = "ppp-shard-plan-1"
SCHEMA_FILE: Final = "site/shards/plan.schema.json"
#: How many shards an environment has at most, and how many cells one of them is given in one environment. Each cell has
#: two records at most, so that what a shard observed fits into one batch.
MAX_SHARDS: Final = 99
MAX_SHARD_CELLS: Final = 2_500
#: How many cells a plan has at most, and how large its file is.
MAX_PLAN_CELLS: Final = 50_000
MAX_PLAN_BYTES: Final = 64 * 1024 * 1024
MAX_NAMED_MISTAKES: Final = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedCell:
    """A cell as it is queued, with the earlier results that a regression is judged by.

    `was_fetched` says whether a file of the release was fetched before; the rest is what the journal knew of it when
    the plan was made. See `CellJob`.
    """

    queued: QueuedCell
    prior: PriorResults
    was_fetched: bool
    files_may_come: bool = False
    withdrawn: str = ""

    @property
    def cell(self) -> Cell:
        """The cell itself."""
        return self.queued.cell


@dataclass(frozen=True, slots=True, kw_only=True)
class ShardId:
    """One shard of an environment: a job of the plan. Shards are numbered from 1."""

    environment: str
    number: int
    count: int

    def __str__(self) -> str:
        """Return it as people see it."""
        return f"shard {self.number}/{self.count} of {self.environment}"


@dataclass(frozen=True, slots=True, kw_only=True)
class ShardPlan:
    """The cells of a plan, in the order in which they are checked. `created_at` is in epoch seconds."""

    created_at: int
    shards: int
    cells: tuple[PlannedCell, ...]

    @property
    def id(self) -> str:
        """Return the sha256 (hex) of the plan's file."""
        return sha256_hex(self.encode())

    def by_shard(self) -> Mapping[ShardId, Mapping[Cell, PlannedCell]]:
        """Return what each shard is given; a shard without cells is left out."""
        numbers = {cell.cell.release: self._number(cell.cell.release) for cell in self.cells}
        given: dict[ShardId, dict[Cell, PlannedCell]] = {}
        for planned in self.cells:
            cell = planned.cell
            shard = ShardId(environment=cell.environment, number=numbers[cell.release], count=self.shards)
            given.setdefault(shard, {})[cell] = planned
        return given

    def _number(self, release: Release) -> int:
        for number in range(1, self.shards + 1):
            if parse_shard(f"{number}/{self.shards}")(release.package, release.version):
                return number
        raise AssertionError(f"no shard has {release}")

    def limited(self) -> Self:
        """Return the plan without the cells that are more than a shard may be given: they stay queued."""
        kept = {cell for given in self.by_shard().values() for cell in [*given][:MAX_SHARD_CELLS]}
        cells = tuple(planned for planned in self.cells if planned.cell in kept)
        return type(self)(created_at=self.created_at, shards=self.shards, cells=cells)

    def encode(self) -> bytes:
        """Return the plan's file: canonical JSON."""
        cells: list[Json] = [_cell_json(planned) for planned in self.cells]
        document = {"schema": PLAN_SCHEMA, "created_at": self.created_at, "shards": self.shards, "cells": cells}
        return canonical_json(document)

    @classmethod
    def decode(cls, data: bytes) -> Self:
        """Return the plan of a file; raise `RejectedDataError` if it is none."""
        if len(data) > MAX_PLAN_BYTES:
            _reject([f"it is larger than {MAX_PLAN_BYTES:,} bytes"])
        try:
            document = json.loads(data)
        except (ValueError, RecursionError) as error:
            _reject([f"it is not valid JSON: {error}"])
        if mistakes := schema_errors(SCHEMA_FILE, document, limit=MAX_NAMED_MISTAKES):
            _reject(mistakes)
        try:
            cells = tuple(_planned_cell(row) for row in document["cells"])
        except InvalidReleaseError as error:
            _reject([error.message])
        plan = cls(created_at=document["created_at"], shards=document["shards"], cells=cells)
        if plan.encode() != data:
            _reject(["it is not in canonical form"])
        return plan


def _reject(mistakes: Sequence[str]) -> NoReturn:
    raise RejectedDataError(
        f"the plan is invalid: {printable_reason('; '.join(mistakes))}", hint="make one with `ppp shard plan`"
    )


def _cell_json(planned: PlannedCell) -> dict[str, Json]:
    queued, prior = planned.queued, planned.prior
    return {
        "package": queued.cell.release.package,
        "version": queued.cell.release.version,
        "environment": queued.cell.environment,
        "source": queued.source,
        "attempts": queued.attempts,
        "triggered_by": queued.triggered_by and queued.triggered_by.to_json(),
        "current": prior.current and str(prior.current),
        "previous_version": prior.previous_version and str(prior.previous_version),
        "was_fetched": planned.was_fetched,
        "files_may_come": planned.files_may_come,
        "withdrawn": planned.withdrawn,
    }


def _planned_cell(row: Mapping[str, Json]) -> PlannedCell:
    trigger, current, before = row["triggered_by"], row["current"], row["previous_version"]
    return PlannedCell(
        queued=QueuedCell(
            cell=Cell(release=Release.parse(row["package"], row["version"]), environment=row["environment"]),
            source=row["source"],
            attempts=row["attempts"],
            triggered_by=trigger and Trigger.from_json(trigger),
        ),
        prior=PriorResults(current=current and Result(current), previous_version=before and Result(before)),
        was_fetched=row["was_fetched"],
        files_may_come=row["files_may_come"],
        withdrawn=row["withdrawn"],
    )
