"""Episodes for tests of what is published: with facts whose SQL runs on a ledger, and sentences about packages."""

import json
from typing import Any

from ppp.ledger.episodes import StoredEpisode
from ppp.model.period import Period

_CELLS = "SELECT count(*) AS cells FROM current WHERE observed_at >= :start AND observed_at < :end"
_PACKAGE = "SELECT package, version FROM current WHERE package = :package LIMIT 1"


def told_facts(period: str, package: str = "six", version: str = "1.17.0", *, cells: int = 4) -> list[dict[str, Any]]:
    """Return the facts of an episode: how many cells a period has, and one package."""
    whole = Period.parse(period)
    return [
        {
            "id": "cells",
            "kind": "cells",
            "slots": {"cells": cells},
            "sql": _CELLS,
            "params": {"start": whole.start, "end": whole.end},
        },
        {
            "id": f"named/{package}",
            "kind": "named",
            "slots": {"package": package, "version": version},
            "sql": _PACKAGE,
            "params": {"package": package},
        },
    ]


def told_night(period: str, *, package: str = "six", **changes: Any) -> StoredEpisode:
    """Return an episode of a period about a package; `changes` are other fields of it."""
    facts = told_facts(period, package)
    script = [
        {
            "speaker": "relay",
            "text": "4 cells on this channel.",
            "pattern": "a",
            "facts": ["cells"],
            "chapter": "Count",
        },
        {"speaker": "static", "text": "And what of it?", "pattern": "b", "facts": [], "chapter": None},
        {
            "speaker": "relay",
            "text": f"{package} 1.17.0 passes, and {package} is quiet about it.",
            "pattern": "c",
            "facts": [f"named/{package}"],
            "chapter": "One package",
        },
        {"speaker": "static", "text": "Carrier lost. Good night.", "pattern": "d", "facts": [], "chapter": None},
    ]
    fields: dict[str, Any] = {
        "period": period,
        "kind": Period.parse(period).kind,
        "title": "",
        "seed": 7,
        "writer": "seeded",
        "facts": json.dumps(facts),
        "script": json.dumps(script),
    }
    return StoredEpisode(**fields | changes)
