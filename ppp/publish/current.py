"""`current.json`: content alone, without clock or node: who holds the same records publishes the same bytes."""

import hashlib
import json
from collections.abc import Mapping
from typing import Final

from sqlite_utils import Database

from ppp.ledger.published import Counts, Verdict, identities, newest_verdicts
from ppp.model.record import PHASES, Json, Result

SCHEMA: Final = "ppp-current-1"
NEWEST: Final = 1000


def current_document(db: Database, counts: Counts) -> dict[str, Json]:
    """Give the document that `current.schema.json` describes."""
    root, days = _digests(db)
    return {
        "schema": SCHEMA,
        "as_of": counts.as_of,
        "counts": {
            "records": counts.records,
            "cells": counts.cells,
            "packages": counts.packages,
            "releases": counts.releases,
            "results": _words(counts.by_result),
            "environments": {e: _words(by_result) for e, by_result in counts.by_environment.items()},
        },
        "root": root,
        "days": days,
        "results": [_flat(verdict) for verdict in newest_verdicts(db, NEWEST)],
    }


def current_bytes(document: dict[str, Json]) -> bytes:
    """Give the one serialisation that is published: keys sorted, and ASCII, so that no text can act on a terminal."""
    return (json.dumps(document, indent=1, sort_keys=True) + "\n").encode("ascii")


def _digests(db: Database) -> tuple[str, list[dict[str, Json]]]:
    root = hashlib.sha256()
    days: dict[str, tuple[int, hashlib._Hash]] = {}
    for record, day in identities(db):
        line = f"{record}\n".encode()
        root.update(line)
        count, digest = days.setdefault(day, (0, hashlib.sha256()))
        digest.update(line)
        days[day] = (count + 1, digest)
    return root.hexdigest(), [
        {"day": day, "records": count, "sha256": digest.hexdigest()} for day, (count, digest) in sorted(days.items())
    ]


def _words(by_result: Mapping[Result, int]) -> dict[str, int]:
    return {str(result): count for result, count in by_result.items()}


def _flat(verdict: Verdict) -> dict[str, Json]:
    return {
        "package": verdict.release.package,
        "version": verdict.release.version,
        "environment": verdict.environment,
        "result": verdict.result,
        **{f"phase_{p}": outcome for p, outcome in zip(PHASES, verdict.outcomes, strict=True)},
        "observed_at": verdict.observed_at,
        "cause": verdict.cause,
        "blame": verdict.blame,
        "detail": verdict.detail,
        "standin": verdict.standin,
        "record": verdict.record,
    }
