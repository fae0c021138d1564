"""`ppp changes`: what broke and what was fixed lately."""

import re
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import click

from ppp.cli.options import data_option, environments_option, json_option, make_context, print_answer
from ppp.console import format_time
from ppp.model.printable import printable_line
from ppp.model.record import Result
from ppp.publish.site.changed import ChangedPackage
from ppp.runner.changes import Changes, read_changes

DEFAULT_LIMIT: Final = 50
_UNITS: Final = {"h": 3_600, "d": 86_400, "w": 7 * 86_400}
_LENGTH: Final = re.compile(r"([1-9][0-9]{0,4})([hdw])")


def _parse_since(context: click.Context, parameter: click.Parameter, value: str) -> tuple[int | None, int]:
    """Return a length such as `7d` as (seconds, 0), a UTC day as (None, the second before it begins)."""
    if length := _LENGTH.fullmatch(value):
        return int(length[1]) * _UNITS[length[2]], 0
    try:
        return None, int(datetime.strptime(value, "%Y-%m-%d").replace(tzinfo=UTC).timestamp()) - 1
    except ValueError:
        raise click.BadParameter(
            f"{value!r} is neither a length such as 7d, 12h or 2w nor a day such as 2026-11-28", context, parameter
        ) from None


@click.command()
@click.option(
    "--since",
    metavar="LENGTH|DAY",
    callback=_parse_since,
    default="7d",
    show_default=True,
    help="How long before the newest record (12h, 7d, 2w), or the first UTC day (2026-11-28).",
)
@environments_option("Show this environment only; may be repeated.")
@click.option(
    "--limit",
    type=click.IntRange(min=0),
    default=DEFAULT_LIMIT,
    show_default=True,
    help="How many packages at once, 0 for all; JSON has all.",
)
@data_option
@json_option
def changes(
    *, since: tuple[int | None, int], environments: tuple[str, ...], limit: int, data: Path | None, as_json: bool
) -> None:
    """Show what broke and what was fixed lately.

    A package is shown if its newest release fails where the one before passed, or passes where that failed, or if a
    release that was checked again had another verdict. This is the rule of "changed this week" on the site's front
    page: the most downloaded come first, then the newest. `ppp show PACKAGE` says more about one.
    """
    within_s, first = since
    found = read_changes(make_context(data).config, within_s=within_s, since=first, environments=environments)
    shown = found.packages[: limit or None]
    left_out = len(found.packages) - len(shown)
    lines = [*_headline(found), *(line for package in shown for line in _lines(package))]
    if left_out:
        lines.append(f"{left_out:,} more packages changed: --limit 0 shows all")
    print_answer(_json(found), "\n".join(lines), as_json=as_json)


def _headline(found: Changes) -> Iterator[str]:
    if found.as_of is None:
        yield "the ledger holds no result yet: `ppp run` checks releases"
        return
    flips = [flip for package in found.packages for flip in package.flips]
    fixed = sum(flip.before is not Result.PASS for flip in flips)
    packages = f"{len(found.packages):,} package{'s' if len(found.packages) != 1 else ''}"
    when = f"from {format_time(found.start + 1)} to {format_time(found.as_of)}"
    yield f"{packages} changed {when}: {len(flips) - fixed:,} cells broke, {fixed:,} were fixed"


def _lines(package: ChangedPackage) -> Iterator[str]:
    versions = f"{package.new} checked again" if package.old == package.new else f"{package.old} → {package.new}"
    yield printable_line(f"{package.package} {versions}")
    for flip, places in package.groups:
        cause = f": {flip.cause}" if flip.cause else ""
        standin = " (stand-in image)" if flip.standin else ""
        yield printable_line(f"  {flip.before} → {flip.shown} {places}{standin}{cause}")


def _json(found: Changes) -> dict[str, object]:
    return {"after": found.start, "as_of": found.as_of, "packages": [*map(_package_json, found.packages)]}


def _package_json(package: ChangedPackage) -> dict[str, object]:
    cells: Sequence[dict[str, object]] = [
        {
            "environment": flip.environment,
            "before": flip.before,
            "shown": flip.shown,
            "cause": flip.cause,
            "since": flip.since,
            "standin": flip.standin,
        }
        for flip in package.flips
    ]
    return {
        "package": package.package,
        "old": package.old,
        "new": package.new,
        "downloads": package.downloads,
        "cells": cells,
    }
