"""`/api/v1/`: everything that a package's page shows, as data; and the index that names every file of the kind.

What several cells share (runs, files, images, modules, what was installed) stands once, and cells point at it.
What a cell has none of is left out of it: there is one such file for every package.
"""

import shlex
from collections.abc import Hashable, Iterable, Sequence
from itertools import groupby
from typing import Final

from ppp.ledger.published import Counts, Verdict
from ppp.model.matrix import Environment
from ppp.model.record import PHASES, Json, Record
from ppp.model.release import Release
from ppp.publish.api.encoding import document_bytes
from ppp.publish.packages.finding_kinds import FINDING_TEXTS, FindingKind
from ppp.publish.packages.history import CurrentRecord, PackageHistory, last_passing_versions
from ppp.publish.packages.summary import AffectedCell, PackageSummary, count_results

PACKAGE_SCHEMA: Final = "ppp-package-1"
INDEX_SCHEMA: Final = "ppp-api-1"
#: Releases whose tallies are told; the rest stands in the ledger.
HISTORY_RELEASES: Final = 100
_RUN: Final = ("arch", "network", "pip_version", "standin", "node")

#: Every file for programs: its path, its schema if it is one of ours, and what it is.
API_FILES: Final = (
    ("current.json", "current", "the newest 1,000 results, counts, and the digests that two nodes compare"),
    ("files.json", "files", "every published file with its size and sha256"),
    ("api/v1/index.json", "api", "this list"),
    ("api/v1/p/{package}.json", "package", "one package: every cell of its newest release, and its releases before"),
    ("api/v1/env/{environment}.json", "environment", "one environment: its tallies, causes, and what fails in it"),
    *(
        (f"api/v1/{kind}.json", "finding", f"packages whose newest release {FINDING_TEXTS[kind][1]}")
        for kind in FindingKind
    ),
    ("api/v1/dependency-chains.json", "chains", "the dependencies that break packages, by cause and platform"),
    ("api/v1/trends.json", "trends", "what the observations of each UTC day came to"),
    ("causes/index.json", "causes", "every cause, and how many cells it explains"),
    ("causes/{cause}.json", "cause", "one cause: what it means, what to do about it, and where it is"),
    ("search.json", "search", "which prefixes have a shard"),
    ("search/{prefix}.json", "search-shard", "the packages of which a word begins so"),
    ("badge/{package}.json", "badge", "a badge, as shields' endpoint reads it"),
    ("badge/{package}.svg", None, "the same badge as a picture"),
    ("snapshots/index.json", "snapshots", "every snapshot of the ledger, with what vouches for it"),
    ("snapshots/{snapshot}.json", "snapshot", "one snapshot; latest.json is the newest, window.json the newest days"),
    ("snapshots/{snapshot}.db", None, "the snapshot itself, a SQLite database; its sha256 stands beside it"),
    ("p/{package}/atom.xml", None, "Atom: one package's verdicts that changed"),
    ("findings/{finding}/feed.xml", None, "RSS: what came into a finding; atom.xml and feed.json beside it"),
    ("feed.xml", None, "RSS: every verdict that changed"),
    ("atom.xml", None, "Atom: the same"),
    ("feed.json", None, "JSON Feed: the same"),
)


def api_index(counts: Counts, environments: Sequence[Environment]) -> tuple[str, bytes]:
    """`/api/v1/index.json`: as of when, how much, and every file that programs read, with its schema."""
    document = {
        "schema": INDEX_SCHEMA,
        "as_of": counts.as_of,
        "packages": counts.packages,
        "cells": counts.cells,
        "environments": [environment.id for environment in environments],
        "findings": [str(kind) for kind in FindingKind],
        "files": [
            {"path": path, "schema": schema and f"schemas/{schema}.schema.json", "about": about}
            for path, schema, about in API_FILES
        ],
    }
    return "api/v1/index.json", document_bytes(document)


def package_file(history: PackageHistory, summary: PackageSummary) -> tuple[str, bytes]:
    """`/api/v1/p/<package>.json`: the newest release's cells, where each environment last worked, the history."""
    shared = _SharedValues()
    cells = [_cell_json(history, o, shared) for o in history.newest]
    releases = [(version, [*verdicts]) for version, verdicts in groupby(history.verdicts, lambda v: v.release.version)]
    document = {
        "schema": PACKAGE_SCHEMA,
        "package": history.package,
        "version": summary.version,
        "as_of": history.as_of,
        "results": {str(result): count for result, count in summary.result_counts},
        "findings": [str(kind) for kind in summary.findings],
        "cells": cells,
        "worked": last_passing_versions(history.verdicts),
        "reproduce": reproduce_command(history.verdicts[0].release, "{environment}"),
        **shared.lists,
        "history": [
            {"version": version, "results": _counts(verdicts)} for version, verdicts in releases[:HISTORY_RELEASES]
        ],
        "releases": len(releases),
    }
    return f"api/v1/p/{history.package}.json", document_bytes(document)


def reproduce_command(release: Release, environment: str) -> str:
    """Give the one command that checks a cell again on the reader's machine."""
    return f'scripts/nox -s "check({environment})" -- {shlex.quote(str(release))}'


class _SharedValues:
    """What several cells have alike, each once in the order in which cells first name it."""

    def __init__(self) -> None:
        self._indexes: dict[str, dict[Hashable, int]] = {
            name: {} for name in ("runs", "files", "images", "imports", "installed")
        }

    def index_of(self, name: str, value: Hashable) -> int | None:
        """Give where a value stands in its list; None for none."""
        held = self._indexes[name]
        return held.setdefault(value, len(held)) if value else None

    @property
    def lists(self) -> dict[str, Json]:
        """Give the lists themselves."""
        held = self._indexes
        return {
            "files": [{"filename": f.filename, "sha256": f.sha256, "size": f.size} for f in held["files"]],  # type: ignore[attr-defined]
            "images": [*held["images"]],
            "imports": [[*names] for names in held["imports"]],  # type: ignore[misc]
            "installed": [[[i.name, i.version, i.sha256] for i in one] for one in held["installed"]],  # type: ignore[attr-defined]
            "runs": [dict(zip(_RUN, run, strict=True)) for run in held["runs"]],  # type: ignore[call-overload]
        }


def _cell_json(history: PackageHistory, o: CurrentRecord, shared: _SharedValues) -> dict[str, Json]:
    record = o.record
    since = history.changed_at.get((record.release.version, record.environment), record.observed_at)
    fields: dict[str, Json | None] = {
        "environment": record.environment,
        "result": record.result,
        "phases": _phases(record),
        "phase": record.failed_phase,
        "cause": record.cause,
        "blame": o.judgement.blame,
        "blamed_by": o.judgement.source,
        "detail": record.detail,
        "observed_at": record.observed_at,
        "since": since if since != record.observed_at else None,
        "record": o.id,
        "seen": [o.agreement.agreeing, o.agreement.nodes, o.agreement.records],
        "python": record.python,
        "grounds": record.grounds or None,
        "log_sha256": record.log_sha256,
        "run": shared.index_of("runs", (record.arch, record.network, record.pip_version, record.standin, record.node)),
        "file": shared.index_of("files", record.file),
        "image": shared.index_of("images", record.image_digest),
        "imports": shared.index_of("imports", record.imports),
        "installed": shared.index_of("installed", record.installed),
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


def _counts(verdicts: Iterable[Verdict]) -> dict[str, int]:
    return {str(result): count for result, count in count_results(verdicts)}


def affected_json(cell: AffectedCell) -> dict[str, Json]:
    """Give a cell of a list as data."""
    return {
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
