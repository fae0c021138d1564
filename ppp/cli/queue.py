"""`ppp queue`: what is checked next, and where a package stands in the queue, and why."""

import time
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any, Final, assert_never

import click
from sqlite_utils import Database

from ppp.cli.options import data_option, json_option, make_context, print_answer
from ppp.cli.results import find_node_id
from ppp.console import format_time
from ppp.ledger.queue_order import read_policy
from ppp.ledger.queue_places import QueueCount, QueuePlace, expired_count, next_places, places_of, queue_counts
from ppp.ledger.schema import read_ledger
from ppp.model.matrix import environment_sort_key
from ppp.model.queue_policy import Part, QueuePolicy, Risk
from ppp.model.release import parse_package
from ppp.runner.sharing import work_share
from ppp.watch.shares import WorkShare

#: How many cells are shown of what is next.
SHOWN: Final = 20

_RISKS: Final = {
    Risk.FAILED_BEFORE_A_CHANGE: "it failed, and something that it rests on has changed",
    Risk.BEFORE_A_CHANGE: "something that its verdict rests on has changed",
    Risk.UNSTEADY: "of the package's two newest releases on record there, one failed and one did not",
    Risk.FAILING: "the package's newest releases on record there failed",
    Risk.UNKNOWN: "no release of the package is on record there",
    Risk.STEADY: "the package's newest releases on record there did not fail",
}


@click.command()
@click.option("--why", "package", metavar="PACKAGE", help="Show where this package stands in the queue, and why.")
@data_option
@json_option
def queue(*, package: str | None, data: Path | None, as_json: bool) -> None:
    """Show what is checked next, and why.

    The order is that of the table [queue] of the matrix that the last `ppp run` or `ppp watch` used.
    """
    config = make_context(data).config
    share = work_share(config, find_node_id(config))
    with closing(read_ledger(config.data)) as db:
        if package is None:
            _show_next(db, share, as_json=as_json)
        else:
            _show_package(db, parse_package(package), share, as_json=as_json)


# ---------------------------------------------------------------- what is next


def _show_next(db: Database, share: WorkShare | None, *, as_json: bool) -> None:
    policy = read_policy(db)
    counts = queue_counts(db, now=int(time.time()), elsewhere=share.elsewhere if share else None)
    environments = {count.environment for count in counts}
    places = next_places(db, environments, limit=SHOWN, share=share)
    expired = expired_count(db)
    answer = {
        "policy": policy.to_json(),
        "next": [_place_json(place, policy) for place in places],
        "counts": [_count_json(count) for count in _sorted(counts)],
        "expired": expired,
    }
    lines = [f"{sum(count.cells for count in counts)} cells are queued, in the order {_order(policy)}"]
    lines += [f"  {_count_line(count)}" for count in _sorted(counts)]
    lines += ["next:"] if places else []
    lines += [f"  {number}. {place.cell}: {_reason(place)}" for number, place in enumerate(places, 1)]
    if expired:
        lines.append(f"{expired} cells were dropped because they waited for more than {policy.keep_days} days")
    print_answer(answer, "\n".join(lines), as_json=as_json)


def _sorted(counts: Sequence[QueueCount]) -> list[QueueCount]:
    return sorted(counts, key=lambda count: (environment_sort_key(count.environment), count.kind))


def _order(policy: QueuePolicy) -> str:
    return ", ".join(policy.parts)


def _count_line(count: QueueCount) -> str:
    names = {"asked": "asked for by a person", "watchlist": "of the watchlist", "others": "that nobody asked for"}
    delayed = f", {count.delayed} of them delayed after an error" if count.delayed else ""
    given_up = f", {count.given_up} of them given up after too many errors" if count.given_up else ""
    elsewhere = f", {count.elsewhere} of them left to other nodes" if count.elsewhere else ""
    return f"{count.environment}: {count.cells} {names[count.kind]}{delayed}{given_up}{elsewhere}"


def _count_json(count: QueueCount) -> dict[str, Any]:
    numbers = {
        "cells": count.cells,
        "delayed": count.delayed,
        "given_up": count.given_up,
        "elsewhere": count.elsewhere,
    }
    return {"environment": count.environment, "class": count.kind, **numbers}


def _reason(place: QueuePlace) -> str:
    """Return in a few words why a cell is where it is."""
    if place.values.get(Part.ASKED) == 0:
        return "a person asked for it"
    if place.values.get(Part.WATCHLIST) == 0:
        return "of the watchlist"
    parts = [f"source {place.source}"]
    if Part.TURN in place.values:
        parts.append(f"turn {place.values[Part.TURN] + 1} of {_publisher(place)}")
    parts.append(_downloads(place))
    return ", ".join(parts)


# ---------------------------------------------------------------- where a package stands


def _show_package(db: Database, package: str, share: WorkShare | None, *, as_json: bool) -> None:
    policy = read_policy(db)
    places = places_of(db, package)
    answer = {
        "package": package,
        "policy": policy.to_json(),
        "cells": [{**_place_json(place, policy), **_checked_by_json(place, share)} for place in places],
        "skipped": _skips(db, package),
    }
    lines = [line for place in places for line in (*_explanation(place, policy), *_checked_by(place, share))]
    if not places:
        lines.append(f"nothing of {package} is queued: `ppp run --package {package}` checks it")
    lines += [
        f"{package} {skip['version']} was skipped in {skip['environment'] or 'every environment'}: {skip['reason']}"
        f" ({skip['detail']})"
        for skip in _skips(db, package)
    ]
    print_answer(answer, "\n".join(lines), as_json=as_json)


def _skips(db: Database, package: str) -> list[dict[str, Any]]:
    return [
        *db.query(
            "SELECT version, environment, reason, detail, skipped_at FROM skips WHERE package = ? ORDER BY 1, 2",
            (package,),
        )
    ]


def _explanation(place: QueuePlace, policy: QueuePolicy) -> Iterator[str]:
    if place.position is None:
        again = f"to try it again, name it: -p {place.cell.release}"
        yield f"{place.cell}: ended in an error {place.attempts} times and is not tried again ({again})"
        return
    yield f"{place.cell}: number {place.position} there, source {place.source}{_waits(place)}"
    if place.attempts or place.fewer_attempts:
        yield f"  attempts: {place.attempts}: {_cells(place.fewer_attempts)} before it because of that"
    for part in policy.parts:
        yield f"  {part}: {_words(part, place, policy)}: {_cells(place.before[part])} before it because of that"
    if same := place.position - 1 - place.fewer_attempts - sum(place.before.values()):
        yield f"  {_cells(same)} before it: equal in all of this, and earlier by name"


def _checked_by(place: QueuePlace, share: WorkShare | None) -> Iterator[str]:
    """Yield a line that says which nodes check a cell, where that is not this one."""
    release = place.cell.release
    if share and share.elsewhere(release.package, release.version, place.source):
        yield f"  left to {', '.join(_checked_by_json(place, share)['checked_by'])} (PPP_SHARE_NODES)"


def _checked_by_json(place: QueuePlace, share: WorkShare | None) -> dict[str, list[str]]:
    """Return which nodes check a cell, where several share the work."""
    if share is None or share.node is None:
        return {}
    release = place.cell.release
    owners = share.node.owners(release.package, release.version)
    is_left = share.elsewhere(release.package, release.version, place.source) is not None
    return {"checked_by": owners if is_left or share.node.own in owners else [share.node.own]}


def _waits(place: QueuePlace) -> str:
    if place.leased_until is not None:
        return f", a run has it until {format_time(place.leased_until)} at most"
    if place.waits_until is not None:
        return f", not before {format_time(place.waits_until)}, because it ended in an error"
    return ""


def _cells(count: int) -> str:
    return "1 cell" if count == 1 else f"{count} cells"


def _words(part: Part, place: QueuePlace, policy: QueuePolicy) -> str:
    """Return what a part of a place means."""
    value = place.values[part]
    match part:
        case Part.ASKED:
            words = "no person asked for it" if value else "a person asked for it"
        case Part.WATCHLIST:
            words = "it is not of the watchlist" if value else "it is of the watchlist"
        case Part.TURN:
            turn = f"turn {value + 1} of {_publisher(place)}, of {policy.fair_share} releases each"
            words = turn if place.publisher else "it waits for no turn"
        case Part.DOWNLOADS:
            words = _downloads(place)
        case Part.RISK:
            words = _RISKS[Risk(value)]
        case Part.AGE:
            words = f"queued {format_time(place.queued_at)}"
        case _:
            assert_never(part)
    return words


def _publisher(place: QueuePlace) -> str:
    """Return who a release shares its turns with."""
    if place.publisher.endswith("*"):
        return f"packages whose name begins with {place.publisher.removesuffix('*')}"
    return place.publisher or "nobody"


def _downloads(place: QueuePlace) -> str:
    return "downloads unknown" if place.downloads is None else f"{place.downloads:,} downloads"


def _place_json(place: QueuePlace, policy: QueuePolicy) -> dict[str, Any]:
    release = place.cell.release
    parts = [
        {"part": str(part), "value": place.values[part], "means": _words(part, place, policy)}
        | ({"before": place.before[part]} if part in place.before else {})
        for part in policy.parts
    ]
    counted = {"position": place.position, "fewer_attempts": place.fewer_attempts} if place.before else {}
    return {
        "package": release.package,
        "version": release.version,
        "environment": place.cell.environment,
        "source": place.source,
        "queued_at": place.queued_at,
        "attempts": place.attempts,
        "waits_until": place.waits_until,
        "leased_until": place.leased_until,
        "publisher": place.publisher,
        "downloads": place.downloads,
        **counted,
        "parts": parts,
    }
