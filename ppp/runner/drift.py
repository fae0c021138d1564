"""Examine the failures of a run for drift, within limits: see `ppp.check.drift`.

The runs for it belong to the job of the failed cell, and so between the canaries of its round. What was found for one
cell of a release is tried first in its others.
"""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace

from ppp.check.cell import Observation
from ppp.check.drift import examine, is_examined, proven
from ppp.check.examined_cell import ExaminedCell, RanCell
from ppp.check.index.view import IndexView
from ppp.model.drift import Culprit, DriftLimits
from ppp.model.errors import IndexUnreachableError, UnknownPackageError
from ppp.model.matrix import Cell
from ppp.model.record import Network, Record
from ppp.model.release import Release
from ppp.runner.environments import ReadyEnvironments
from ppp.runner.views import run_in_view


@dataclass(slots=True, kw_only=True)
class DriftExaminer:
    """Examines failed cells, from several threads at once, as many as the limits of the environments admit."""

    ready: ReadyEnvironments
    clock: Callable[[], float] = time.monotonic
    _known: dict[Release, tuple[Culprit, ...]] = field(default_factory=dict)
    _examined: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def examine(self, observation: Observation) -> Observation:
        """Return an observation, with what its failure shows with the index as it was, if it is to be examined."""
        record = observation.record
        prepared = self.ready.prepared[record.environment]
        limits = self.ready.drift_limits
        if limits is None or prepared.network is not Network.GATEWAY:
            return observation
        uploaded_at = self._uploaded_at(record)
        if uploaded_at is None or not is_examined(record, uploaded_at) or not self._take(limits):
            return observation
        deadline = self.clock() + limits.seconds
        failed = ExaminedCell(
            record=record,
            uploaded_at=uploaded_at,
            index=self.ready.index,
            prepared=prepared,
            run=lambda view: self._run(Cell.of(record), view),
            max_runs=limits.runs,
            is_over=lambda: self.clock() > deadline,
        )
        try:
            drift = examine(failed, known=self._known.get(record.release, ()))
        except IndexUnreachableError:
            return observation
        if drift and drift.culprits:
            self._known[record.release] = drift.culprits
        return replace(observation, record=proven(record, drift))

    def _take(self, limits: DriftLimits) -> bool:
        with self._lock:
            self._examined += 1
            return self._examined <= limits.cells

    def _uploaded_at(self, record: Record) -> int | None:
        if record.file is None:
            return None
        try:
            files = self.ready.index.files(record.release.package)
        except (UnknownPackageError, IndexUnreachableError):
            return None
        return next((file.uploaded_at for file in files if file.sha256 == record.file.sha256), None)

    def _run(self, cell: Cell, view: IndexView) -> RanCell:
        ran = run_in_view(self.ready, cell, view)
        return RanCell(record=ran.observation.record, asked=ran.asked)
