"""`current.json`: content alone, without clock or node: who holds the same records publishes the same bytes."""

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from ppp.ledger.digests import DayDigest, root_digest
from ppp.ledger.published import Counts, Verdict
from ppp.model.record import PHASES, Json, Result

SCHEMA: Final = "ppp-current-1"
NEWEST_RESULTS: Final = 1000


def current_document(counts: Counts, days: Sequence[DayDigest], newest: Iterable[Verdict]) -> dict[str, Json]:
    """Give the document that `current.schema.json` describes; `days` are those of all records.

    `newest` are the newest `NEWEST_RESULTS` current results, newest first.
    """
    return {
        "schema": SCHEMA,
        "as_of": counts.as_of,
        "counts": {
            "records": counts.records,
            "cells": counts.cells,
            "packages": counts.packages,
            "releases": counts.releases,
            "results": _result_counts(counts.by_result),
            "environments": {e: _result_counts(by_result) for e, by_result in counts.by_environment.items()},
        },
        "root": root_digest(days),
        "days": [{"day": day.day, "records": day.records, "sha256": day.sha256} for day in days],
        "results": [_verdict_json(verdict) for verdict in newest],
    }


def current_bytes(document: dict[str, Json]) -> bytes:
    """Give the one serialisation that is published: keys sorted, and ASCII, so that no text can act on a terminal."""
    return (json.dumps(document, indent=1, sort_keys=True) + "\n").encode("ascii")


def _result_counts(by_result: Mapping[Result, int]) -> dict[str, int]:
    return {str(result): count for result, count in by_result.items()}


def _verdict_json(verdict: Verdict) -> dict[str, Json]:
    return {
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
