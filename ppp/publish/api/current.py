"""`current.json`: it contains no build time and no node, so nodes with the same records publish the same bytes.

The exception is `coverage`, which it has where a node follows a journal; `root` depends on records alone.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from ppp.ledger.digests import DayDigest, root_digest
from ppp.ledger.published import Counts, Verdict
from ppp.model.canonical import Json
from ppp.model.record import PHASES, Result
from ppp.model.shown import Shown
from ppp.publish.api.encoding import indented_bytes

SCHEMA: Final = "ppp-current-1"
NEWEST_RESULTS: Final = 1000


def current_document(
    counts: Counts, days: Sequence[DayDigest], newest: Iterable[Verdict], coverage: Mapping[str, Json] | None = None
) -> dict[str, Json]:
    """Return the document described by `current.schema.json`.

    `days` cover all records; `newest` are the newest `NEWEST_RESULTS` current results, newest first. `coverage` is what
    became of the releases that the index named, None where no journal is followed.
    """
    nothing_to_import = sum(counts.nothing_to_import.values())
    return {
        "schema": SCHEMA,
        "as_of": counts.as_of,
        "counts": {
            "records": counts.records,
            "cells": counts.cells,
            "packages": counts.packages,
            "releases": counts.releases,
            "results": _result_counts(counts.by_result),
            **({"nothing_to_import": nothing_to_import} if nothing_to_import else {}),
            "environments": {e: _result_counts(by_result) for e, by_result in counts.by_environment.items()},
        },
        "root": root_digest(days),
        "days": [{"day": day.day, "records": day.records, "sha256": day.sha256} for day in days],
        "results": [_verdict_json(verdict) for verdict in newest],
        **({} if coverage is None else {"coverage": dict(coverage)}),
    }


def current_bytes(document: dict[str, Json]) -> bytes:
    """Return the published serialization: sorted keys, and ASCII only, so that no text can control a terminal."""
    return indented_bytes(document)


def _result_counts(by_result: Mapping[Result, int]) -> dict[str, int]:
    return {str(result): count for result, count in by_result.items()}


def _verdict_json(verdict: Verdict) -> dict[str, Json]:
    fields: dict[str, Json] = {
        "package": verdict.release.package,
        "version": verdict.release.version,
        "environment": verdict.environment,
        "result": verdict.result,
        **{f"phase_{p}": outcome for p, outcome in zip(PHASES, verdict.outcomes, strict=True)},
        "observed_at": verdict.observed_at,
        "cause": verdict.cause,
        "blame": verdict.blame,
        "blamed_by": verdict.blamed_by,
        "detail": verdict.detail,
        "standin": verdict.standin,
        "record": verdict.record,
    }
    return fields | ({"nothing_to_import": True} if verdict.shown is Shown.INSTALLED else {})
