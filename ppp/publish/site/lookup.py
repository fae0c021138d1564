"""`/lookup/` and `/api/v1/lookup/`: every package, where a site's bound leaves no room for a page for each.

The page asks for a name and answers from one small file, chosen by the name's CRC-32: that needs no cryptography, which
browsers offer to https pages only, and nodes are also reached by plain http. A file is made of the listing entries of
its packages, so that only those whose packages changed are written again. They are plain JSON: see ADR 45.
"""

import json
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from ppp.model.canonical import Json
from ppp.model.matrix import environment_sort_key
from ppp.model.shown import Shown
from ppp.publish.api.encoding import EncodedJson, compact_json, document_bytes
from ppp.publish.listings.entries import ListingEntry
from ppp.publish.packages.history import MAX_ENVIRONMENTS, PackageHistory, last_passing_versions
from ppp.publish.packages.pages import LOOKUP_PAGE
from ppp.publish.site.deferred import Content
from ppp.publish.site.templates import render
from ppp.resources import resource

SHARD_SCHEMA: Final = "ppp-lookup-shard-1"
#: How many files there are; a package is in the one with the number that the low bits of its name's CRC-32 are.
SHARDS: Final = 2_048
#: The prefix of the names of the listings, one for each file.
LOOKUP_PREFIX: Final = "lookup/"
FOLDER: Final = "api/v1/lookup"
#: How a cell is shown, by the number that stands for it.
SHOWN: Final = tuple(str(shown) for shown in Shown)

#: A cell as listing entries have it: environment, shown, observed_at, cause, phase, blame, last passing version.
_Cell = tuple[str, str, int, str | None, str | None, str | None, str | None]


def shard_of(package: str) -> str:
    """Return the name of the file that a package is in: three hexadecimal digits."""
    return f"{zlib.crc32(package.encode()) % SHARDS:03x}"


def lookup_entry(history: PackageHistory) -> ListingEntry:
    """Return a package's entry: its newest release, the cells of it, and what passed last where they do not.

    Then the environments whose cell ran on a stand-in; and the version that pip takes, where that is another one and
    known, with whether it was checked.
    """
    last_passing = last_passing_versions(history.verdicts)
    shown = history.newest_verdicts[:MAX_ENVIRONMENTS]
    cells: list[_Cell] = [
        (
            verdict.environment,
            str(verdict.shown),
            verdict.observed_at,
            verdict.cause,
            verdict.failed_phase and str(verdict.failed_phase),
            verdict.blame and str(verdict.blame),
            None if (last := last_passing.get(verdict.environment)) == history.version else last,
        )
        for verdict in shown
    ]
    standins = [verdict.environment for verdict in shown if verdict.standin]
    versions = history.checked_versions
    other = versions.other_newest
    on_index = None if other is None else (other, int(other in versions.checked))
    body = compact_json([history.version, cells, standins, on_index])[1:-1]
    listing = f"{LOOKUP_PREFIX}{shard_of(history.package)}"
    cost = _row_bytes(history.package, history.version, cells, standins, on_index)
    return ListingEntry(history.package, listing, history.package, None, cost, len(cells), body)


def _row_bytes(
    package: str, version: str, cells: Sequence[_Cell], standins: Sequence[str], on_index: tuple[str, int] | None
) -> int:
    # The bytes of a row, a little on the high side: which numbers its words have depends on the others in its file.
    lengths = (100, 1, 100, 1, 1)
    numbers: list[dict[str, int]] = [
        {str(word): number for cell in cells if (word := cell[place])}
        for place, number in zip((0, 1, 3, 4, 5), lengths, strict=True)
    ]
    return len(compact_json(_row((package, 1, version, cells, standins, on_index), numbers))) + len(",\n")


@dataclass(frozen=True, slots=True, kw_only=True)
class LookupContent:
    """What the lookup page and its files show: how many packages there are, and how many have pages.

    `shards` are the files that changed, read as they are iterated over: name, and the packages in it, each with the
    body of its entry and whether it has a page.
    """

    packages: int
    pages: int
    shards: Iterable[tuple[str, Iterable[tuple[str, str, bool]]]]


def lookup_files(lookup: LookupContent) -> Iterator[tuple[str, Content]]:
    """Yield the page with its script, and each file that changed."""
    yield LOOKUP_PAGE, render("lookup.html", path=LOOKUP_PAGE, packages=lookup.packages, pages=lookup.pages)
    yield "lookup.js", resource("site/lookup/lookup.js").read_bytes()
    for name, rows in lookup.shards:
        # Rendered here: to hand the rows to another process would take as long.
        yield f"{FOLDER}/{name}.json", shard_bytes(name, rows)


def shard_bytes(name: str, rows: Iterable[tuple[str, str, bool]]) -> bytes:
    """Return the file of some packages, one a line, by name: words that recur are numbers, times are differences."""
    packages = [(package, int(has_page), *json.loads(f"[{body}]")) for package, body, has_page in rows]
    every: list[list[Any]] = [cell for each in packages for cell in each[3]]
    environments = sorted({cell[0] for cell in every}, key=environment_sort_key)
    causes, phases, blames = (sorted({cell[place] for cell in every} - {None}) for place in (3, 4, 5))
    tables = environments, [*SHOWN], causes, phases, blames
    numbers = [{word: number for number, word in enumerate(table)} for table in tables]
    lines = ",\n".join(compact_json(_row(each, numbers)) for each in packages)
    document: dict[str, Json] = {
        "schema": SHARD_SCHEMA,
        "shard": name,
        "environments": [*environments],
        "shown": [*SHOWN],
        "causes": [*causes],
        "phases": [*phases],
        "blames": [*blames],
        "packages": EncodedJson(f"[\n{lines}\n]"),
    }
    return document_bytes(document)


def _row(entry: Sequence[Any], numbers: Sequence[Mapping[str, int]]) -> list[Json]:
    package, has_page, version, cells, standins, on_index = entry
    newest = max((cell[2] for cell in cells), default=0)
    row: list[Json] = [package, version, has_page, newest, [_numbered(cell, newest, numbers) for cell in cells]]
    # Most packages have neither, and every byte counts for each of them.
    if standins or on_index:
        row.append([numbers[0][environment] for environment in standins])
    if on_index:
        row.append([*on_index])
    return row


def _numbered(cell: Sequence[Any], newest: int, numbers: Sequence[Mapping[str, int]]) -> list[Json]:
    environment, shown, observed_at, cause, phase, blame, last_passing = cell
    environments, shown_numbers, causes, phases, blames = numbers
    row: list[Json] = [
        environments[environment],
        shown_numbers[shown],
        newest - observed_at,
        causes.get(cause),
        phases.get(phase),
        blames.get(blame),
        last_passing,
    ]
    while row[-1] is None:
        row.pop()
    return row
