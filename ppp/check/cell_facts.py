"""What the phases of one cell share: what is known before, and what they find out."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from ppp.check.causes import printable_line
from ppp.check.distributions import Distributions
from ppp.check.index.choose import IndexFile
from ppp.check.index.client import Index
from ppp.check.installation import Inspection
from ppp.check.modules import ModulesToImport
from ppp.check.phases import PhaseReport
from ppp.check.runtime import PreparedEnvironment, Runtime, Sandbox
from ppp.model.installed_files import RecordMismatch, SharedFiles
from ppp.model.matrix import Matrix
from ppp.model.on_index import OnIndex
from ppp.model.record import (
    Blame,
    DistributionFile,
    EntryPoints,
    Installed,
    ModuleFailure,
    Outcome,
    Phase,
    Submodules,
)
from ppp.model.release import Release


@dataclass(frozen=True, slots=True, kw_only=True)
class Expectations:
    """What is known of a release before the index's page of it is read.

    - `absence_is_final`: the index must have listed it by now, so that it has withdrawn one that it does not list.
    - `takes_yanked`: a person asked for this very version, as by a pin; pip takes a yanked file then, and only then.
    - `files_may_come`: it was announced minutes ago, so that a file for an environment may still be uploaded.
    - `withdrawn`: a clause if the index's journal says that it is gone, such as "the index has quarantined the
      release"; else `""`. `page_may_lag` says that a page which lists it nevertheless is not believed yet.
    """

    absence_is_final: bool = False
    takes_yanked: bool = True
    files_may_come: bool = False
    withdrawn: str = ""
    page_may_lag: bool = False


#: Of a release of which nothing is known.
NOTHING_EXPECTED: Final = Expectations()


@dataclass(frozen=True, slots=True, kw_only=True)
class CellContext:
    """What is known of a cell before it runs, and what it runs with; see `Checker` for `is_listed`."""

    release: Release
    prepared: PreparedEnvironment
    index: Index
    runtime: Runtime
    matrix: Matrix
    is_listed: Callable[[str, str], bool]
    expected: Expectations = NOTHING_EXPECTED


@dataclass(slots=True, kw_only=True)
class CellFacts:
    """What the phases find out, for the record and for later phases. Fields like those of a record mean the same.

    `listed` is the file as the index lists it, `index_metadata` a sentence if its copy of the wheel's metadata is none.
    `alone` describes the installation without dependencies, `last` the one whose modules are imported.
    """

    file: DistributionFile | None = None
    listed: IndexFile | None = None
    path: Path | None = None
    sandbox: Sandbox | None = None
    installed: tuple[Installed, ...] = ()
    alone: Inspection | None = None
    last: Inspection | None = None
    tampering: str | None = None
    index_metadata: str | None = None
    modules: ModulesToImport | None = None
    top_levels: tuple[str, ...] = ()
    distributions: Distributions = field(default_factory=Distributions)
    aliases: Mapping[str, str] = field(default_factory=dict)
    bytes: dict[Phase, int] = field(default_factory=dict)
    grounds: dict[Phase, str] = field(default_factory=dict)
    relies_on: tuple[str, ...] = ()
    import_failures: tuple[ModuleFailure, ...] = ()
    submodules: Submodules | None = None
    entry_points: EntryPoints | None = None
    record_mismatch: RecordMismatch | None = None
    shared_files: SharedFiles | None = None
    yanked: str | None = None
    project_status: str | None = None
    on_index: OnIndex | None = None


def infrastructure_error(cause: str, detail: str) -> PhaseReport:
    """Return the report of a phase that ended for a reason that is ours."""
    return PhaseReport(outcome=Outcome.ERROR, cause=cause, blame=Blame.INFRASTRUCTURE, detail=printable_line(detail))


def elapsed_ms(started: float) -> int:
    """Return the milliseconds since a time of `time.monotonic`."""
    return round((time.monotonic() - started) * 1000)
