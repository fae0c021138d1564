"""`/api/v1/`: the data of a package's page as JSON, and the index of all JSON files.

There is one such file for each package, so it is kept small: values that several cells share (runs, files, images,
modules, installed distributions) are stored once and referred to by index, and empty fields are left out.
"""

import shlex
from collections.abc import Callable, Hashable, Mapping, Sequence
from itertools import groupby
from types import MappingProxyType
from typing import Any, Final

from ppp.ledger.published import Counts, Verdict
from ppp.model.canonical import Json
from ppp.model.installed_files import RecordMismatch, SharedFiles
from ppp.model.matrix import Environment
from ppp.model.record import PHASES, EntryPoints, Record, Submodules
from ppp.model.release import Release
from ppp.model.release_files import files_until
from ppp.model.shown import Shown, record_shown_as
from ppp.publish.api.encoding import document_bytes
from ppp.publish.api.older_batches import OLDER_PATH
from ppp.publish.packages.breaks import ReleaseFlips
from ppp.publish.packages.finding_kinds import FINDING_TEXTS, FindingKind
from ppp.publish.packages.fixes import cell_fixes
from ppp.publish.packages.history import CurrentRecord, PackageHistory, last_passing_versions
from ppp.publish.packages.locks import lock_path
from ppp.publish.packages.remarks import share_remarks
from ppp.publish.packages.summary import AffectedCell, PackageSummary, count_results

PACKAGE_SCHEMA: Final = "ppp-package-1"
INDEX_SCHEMA: Final = "ppp-api-1"
#: The most releases whose result counts are listed; the ledger has all.
HISTORY_RELEASES: Final = 100
_RUN: Final = ("arch", "network", "pip_version", "standin", "node")
#: Lists of shared values that are left out where they are empty, each with what makes a value JSON.
_OPTIONAL_LISTS: Final[Mapping[str, Callable[[Any], Json]]] = {
    "primary_modules": str,
    "relies_on": list,
    "import_failures": lambda failures: [failure.to_json() for failure in failures],
    "submodules": Submodules.to_json,
    "entry_points": EntryPoints.to_json,
    "record_mismatches": RecordMismatch.to_json,
    "shared_files": SharedFiles.to_json,
}

#: All files of the API: path, schema if there is one, and description.
API_FILES: Final = (
    ("current.json", "current", "the newest 1,000 results, counts, and the digests that two nodes compare"),
    ("files.json", "files", "all published files with size and sha256"),
    ("api/v1/index.json", "api", "this list"),
    ("api/v1/p/{package}.json", "package", "one package: all cells of its newest release, and earlier releases"),
    (
        "api/v1/env/{environment}.json",
        "environment",
        "one environment: result counts, causes, and the packages that fail in it",
    ),
    *(
        (f"api/v1/{kind}.json", "finding", f"packages whose newest release {FINDING_TEXTS[kind][1]}")
        for kind in FindingKind
    ),
    ("api/v1/dependency-chains.json", "chains", "the dependencies that break packages, by cause and platform"),
    (
        "api/v1/breaks/{package}.json",
        "breaks",
        "a package whose releases were followed by changed verdicts on other packages: which, where and when",
    ),
    ("api/v1/trends.json", "trends", "the results of the observations of each UTC day"),
    ("episodes/{period}/episode.json", "episode", "the narration of a night or a week: facts with SQL, and the script"),
    ("episodes/atom.xml", None, "Atom: the episodes; also feed.json"),
    ("causes/index.json", "causes", "all causes, and how many cells each explains"),
    ("causes/{cause}.json", "cause", "one cause: what it means, what to do about it, and where it occurs"),
    ("search.json", "search", "the prefixes of the search shards"),
    ("search/{prefix}.json", "search-shard", "the packages with a word that begins with the prefix"),
    ("badge/{package}.json", "badge", "a badge in the shields.io endpoint format"),
    ("badge/{package}.svg", None, "the same badge as an image"),
    ("snapshots/index.json", "snapshots", "all snapshots of the ledger, with their digests"),
    (
        "snapshots/{snapshot}.json",
        "snapshot",
        "one snapshot; latest.json is the newest, window.json the most recent days",
    ),
    ("snapshots/{snapshot}.db", None, "the snapshot itself, a SQLite database; its sha256 is beside it"),
    ("p/{package}/atom.xml", None, "Atom: changed results of one package"),
    (
        "p/{package}/preview.png",
        None,
        "an image of its results, for those who link to it; preview.png is the site's",
    ),
    ("p/{package}/log/{sha256}.txt", None, "the whole log of a failure of its newest release, named by its sha256"),
    ("findings/{finding}/feed.xml", None, "RSS: new entries of a finding; atom.xml and feed.json are beside it"),
    ("feed.xml", None, "RSS: all changed results"),
    ("atom.xml", None, "Atom: the same"),
    ("feed.json", None, "JSON Feed: the same"),
)


#: The files that exist where a journal is followed.
JOURNAL_FILES: Final = (
    ("api/v1/coverage.json", "coverage", "what became of every release that the index named"),
    ("journal/index.json", "journal", "the days of the journal, with digests and counts"),
    ("journal/{day}.json", "journal-day", "the releases that the index announced on a UTC day, with results so far"),
    ("journal/feed.atom", None, "Atom: the newest releases"),
)
#: What there is where not every package has a page.
LOOKUP_FILES: Final = (
    ("api/v1/lookup/{shard}.json", "lookup-shard", "every package in brief, in 2,048 files by the CRC-32 of its name"),
)
#: What there is where it is known what the index said of files.
LOCK_FILES: Final = (
    (
        "locks/{environment}/{package}/{version}/pylock.toml",
        None,
        "a lock of a PASS of a package's newest release (PEP 751); requirements.txt is beside it",
    ),
)
#: What there is where any file that passed has a known address.
SIMPLE_FILES: Final = (
    (
        "simple/{environment}/{package}/index.v1_json",
        "simple",
        "what passed of a package, for pip (PEP 691); index.html is beside it; also in {environment}-cooldown",
    ),
)
#: What there is where not every batch has room.
OLDER_FILES: Final = ((OLDER_PATH, "older-batches", "the older batches, which have no room on this site"),)


def api_index(
    counts: Counts,
    environments: Sequence[Environment],
    *,
    journal: bool = False,
    lookup: bool = False,
    older_batches: bool = False,
    locks: bool = False,
    simple: bool = False,
) -> tuple[str, bytes]:
    """Return `/api/v1/index.json`: the time of the newest record, counts, and all files of the API with schemas.

    `journal` says whether a journal is followed, `lookup` whether packages without a page are looked up,
    `older_batches` whether there are batches without room, `locks` whether locks are published, `simple` whether a
    simple index lists anything.
    """
    optional = (
        (journal, JOURNAL_FILES),
        (lookup, LOOKUP_FILES),
        (older_batches, OLDER_FILES),
        (locks, LOCK_FILES),
        (simple, SIMPLE_FILES),
    )
    files = (*API_FILES, *(file for there, group in optional if there for file in group))
    document = {
        "schema": INDEX_SCHEMA,
        "as_of": counts.as_of,
        "packages": counts.packages,
        "cells": counts.cells,
        "environments": [environment.id for environment in environments],
        "findings": [str(kind) for kind in FindingKind],
        "files": [
            {"path": path, "schema": schema and f"schemas/{schema}.schema.json", "about": about}
            for path, schema, about in files
        ],
    }
    return "api/v1/index.json", document_bytes(document)


def package_file(
    history: PackageHistory,
    summary: PackageSummary,
    releases: Sequence[ReleaseFlips] = (),
    logs: Mapping[str, str] = MappingProxyType({}),
) -> tuple[str, bytes]:
    """Return `/api/v1/p/<package>.json`: cells of the newest release, last passing versions, and earlier releases.

    `releases` are those that changed verdicts on other packages, `logs` the paths of published logs by their sha256.
    """
    shared = _SharedValues()
    fixes = cell_fixes(history.newest, history.logs)
    cells = [_cell_json(history, current, shared, fixes) for current in history.newest]
    checked = [(version, [*verdicts]) for version, verdicts in groupby(history.verdicts, lambda v: v.release.version)]
    document: dict[str, Json] = {
        "schema": PACKAGE_SCHEMA,
        "package": history.package,
        "version": summary.version,
        "as_of": history.as_of,
        "results": {str(result): count for result, count in summary.result_counts},
        "findings": [str(kind) for kind in summary.findings],
        **_remarks(summary),
        "cells": cells,
        "worked": last_passing_versions(history.verdicts),
        "reproduce": reproduce_command(history.verdicts[0].release, "{environment}"),
        **shared.lists,
        "history": [
            {"version": version, "results": _by_result(verdicts)} for version, verdicts in checked[:HISTORY_RELEASES]
        ],
        "releases": len(checked),
    }
    if history.on_index:
        document["on_index"] = {**history.on_index.to_json(), "standing": str(history.checked_versions.standing)}
    if history.queued:
        document["queued"] = [*history.queued]
    if summary.is_exhibit:
        document["exhibit"] = True
    if history.announced_at is not None:
        document["files_until"] = files_until(history.announced_at)
    if history.downloads:
        document["downloads"] = {"period": history.downloads.period, "count": history.downloads.downloads}
    if logs:
        document["logs"] = {**logs}
    if releases:
        document["breaks"] = [{"version": one.version, "broke": one.broke, "fixed": one.fixed} for one in releases]
    return f"api/v1/p/{history.package}.json", document_bytes(document)


def _remarks(summary: PackageSummary) -> dict[str, Json]:
    remarks: list[Json] = [
        {"finding": str(one.remark.kind), "environments": [*one.environments], "remark": one.remark.words}
        for one in share_remarks(summary.remarks)
    ]
    counted = {"nothing_to_import": summary.installed_only} if summary.installed_only else {}
    return counted | ({"remarks": remarks} if remarks else {})


def reproduce_command(release: Release, environment: str) -> str:
    """Return the command that re-checks one cell on the reader's machine."""
    return f'scripts/nox -s "check({environment})" -- {shlex.quote(str(release))}'


class _SharedValues:
    """Values that several cells share, each stored once, in order of first use."""

    def __init__(self) -> None:
        self._indexes: dict[str, dict[Hashable, int]] = {
            name: {} for name in ("runs", "files", "images", "imports", "installed", *_OPTIONAL_LISTS)
        }

    def index_of(self, name: str, value: Hashable) -> int | None:
        """Return the index of a value in its list, adding it if it is new; None for an empty value."""
        index = self._indexes[name]
        return index.setdefault(value, len(index)) if value else None

    @property
    def lists(self) -> dict[str, Json]:
        """Return the lists by name."""
        values = self._indexes
        lists: dict[str, Json] = {
            "files": [{"filename": f.filename, "sha256": f.sha256, "size": f.size} for f in values["files"]],  # type: ignore[attr-defined]
            "images": [*values["images"]],
            "imports": [[*names] for names in values["imports"]],  # type: ignore[misc]
            "installed": [[[i.name, i.version, i.sha256] for i in one] for one in values["installed"]],  # type: ignore[attr-defined]
            "runs": [dict(zip(_RUN, run, strict=True)) for run in values["runs"]],  # type: ignore[call-overload]
        }
        # Few packages have any of these.
        return lists | {
            name: [*map(to_json, values[name])] for name, to_json in _OPTIONAL_LISTS.items() if values[name]
        }


def _cell_json(
    history: PackageHistory, current: CurrentRecord, shared: _SharedValues, fixes: Mapping[str, str]
) -> dict[str, Json]:
    record = current.record
    since = history.changed_at.get((record.release.version, record.environment), record.observed_at)
    fields: dict[str, Json | None] = {
        "environment": record.environment,
        "result": record.result,
        "phases": _phases(record),
        "phase": record.failed_phase,
        "cause": record.cause,
        "blame": current.judgement.blame,
        "blamed_by": current.judgement.source,
        "detail": record.detail,
        "fix": fixes.get(record.environment),
        "observed_at": record.observed_at,
        "since": since if since != record.observed_at else None,
        "record": current.id,
        "seen": [current.agreement.agreeing, current.agreement.nodes, current.agreement.records],
        "python": record.python,
        "grounds": record.grounds or None,
        "log_sha256": record.log_sha256,
        "run": shared.index_of("runs", (record.arch, record.network, record.pip_version, record.standin, record.node)),
        "file": shared.index_of("files", record.file),
        "image": shared.index_of("images", record.image_digest),
        "imports": shared.index_of("imports", record.imports),
        "installed": shared.index_of("installed", record.installed),
        "nothing_to_import": True if record_shown_as(record) is Shown.INSTALLED else None,
        "primary_module": shared.index_of("primary_modules", record.primary_module),
        "relies_on": shared.index_of("relies_on", record.relies_on),
        "import_failures": shared.index_of("import_failures", record.import_failures),
        "submodules": shared.index_of("submodules", record.submodules),
        "entry_points": shared.index_of("entry_points", record.entry_points),
        "record_mismatch": shared.index_of("record_mismatches", record.record_mismatch),
        "shared_files": shared.index_of("shared_files", record.shared_files),
        "yanked": record.yanked,
        "lock": lock_path(history.package, record.release.version, record.environment)
        if record.environment in history.locks.locks
        else None,
        "project_status": record.project_status,
        "triggered_by": record.triggered_by and record.triggered_by.to_json(),
        "drift": record.drift and record.drift.to_json(),
    }
    return {name: value for name, value in fields.items() if value is not None}


def _phases(record: Record) -> list[Json]:
    took, received = record.duration_ms, record.bytes
    rows: list[Json] = []
    for phase, outcome in zip(PHASES, record.outcomes, strict=True):
        if phase in received:
            rows.append([outcome, took.get(phase), received[phase]])
        else:
            rows.append([outcome, took[phase]] if phase in took else [outcome])
    return rows


def _by_result(verdicts: Sequence[Verdict]) -> dict[str, Json]:
    """Return the environments that have each result: shorter than the results by environment."""
    return {
        str(result): [verdict.environment for verdict in verdicts if verdict.result is result]
        for result, _ in count_results(verdicts)
    }


def affected_json(cell: AffectedCell) -> dict[str, Json]:
    """Return a cell of a listing as a JSON object."""
    fields: dict[str, Json] = {
        "package": cell.package,
        "version": cell.version,
        "environment": cell.environment,
        "result": cell.result,
        "phase": cell.phase,
        "cause": cell.cause,
        "blame": cell.blame,
        "blamed_by": cell.blamed_by,
        "detail": cell.detail,
        "observed_at": cell.observed_at,
        "since": cell.since,
        "standin": cell.standin,
        "record": cell.record,
        "before": None if cell.before is None else {"version": cell.before.version, "result": cell.before.result},
    }
    if cell.nothing_to_import:
        fields["nothing_to_import"] = True
    if cell.remark is not None:
        fields["remark"] = cell.remark
    if cell.index_newest is not None:
        fields["index_newest"] = cell.index_newest
    return fields
