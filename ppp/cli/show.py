"""`ppp show`: results that the ledger holds."""

from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Final

import click
from sqlite_utils import Database

from ppp.cli.options import data_option, environments_option, json_option, make_context
from ppp.cli.results import print_results
from ppp.ledger import journal, published, queries
from ppp.ledger.schema import read_ledger
from ppp.ledger.selection import Selection, select_newest, select_of_packages
from ppp.model.errors import UnknownEnvironmentError, UnknownPackageError
from ppp.model.matrix import environment_sort_key
from ppp.model.near_names import near_names
from ppp.model.on_index import OnIndex
from ppp.model.printable import first_of
from ppp.model.release import Release, parse_package
from ppp.model.standing import CheckedVersions
from ppp.watch.exhibits import shipped_exhibits

#: How many releases a table has; JSON has all of them.
DEFAULT_LIMIT: Final = 50


@click.command()
@click.argument("packages", metavar="[PACKAGE]...", nargs=-1)
@environments_option("Show this environment only; may be repeated.")
@click.option("--failing", is_flag=True, help="Show releases that fail or time out in one of the environments.")
@click.option("--cause", "causes", metavar="CAUSE", multiple=True, help="Show what fails for it; may be repeated.")
@click.option("--after", metavar="PACKAGE", default="", help="Continue after this package, as the last line says.")
@click.option(
    "--limit",
    type=click.IntRange(min=0),
    help=f"How many releases at once, 0 for all; without packages {DEFAULT_LIMIT}, and all in JSON.",
)
@data_option
@json_option
def show(
    *,
    packages: Sequence[str],
    environments: Sequence[str],
    failing: bool,
    causes: Sequence[str],
    after: str,
    limit: int | None,
    data: Path | None,
    as_json: bool,
) -> None:
    """Show the newest results, or all results of some packages.

    The JSON of packages holds the logs too. Of releases that a journal named, it is told until when files may be added
    to them.
    """
    context = make_context(data)
    config = context.config
    names = [parse_package(package) for package in dict.fromkeys(packages)]
    selection = Selection(environments=tuple(environments), failing=failing or bool(causes), causes=tuple(causes))
    if limit is None and not (names or as_json):
        limit = DEFAULT_LIMIT
    with closing(read_ledger(config.data)) as db:
        _check(db, names, environments)
        releases, more = _select(db, names, selection, after=parse_package(after) if after else "", limit=limit or None)
        named = journal.announcements(db, ((r.package, r.version) for r in releases))
        standing = [_standing_line(db, name) for name in names]
        seen = {e for r in releases for e in queries.current_by_environment(db, r)}
    if not as_json:
        for line in [*standing, *([] if releases else [_nothing(selection, after)])]:
            click.echo(line)
    announced = {r: named[r.package, r.version] for r in releases if (r.package, r.version) in named}
    print_results(
        config,
        releases,
        sorted(set(environments) or seen, key=environment_sort_key),
        with_logs=bool(names),
        as_json=as_json,
        announced=announced if names else None,
        now=context.now,
    )
    if more and not as_json:
        click.echo(f"{len(releases)} releases are shown, and there are more: --after {releases[-1].package} continues")


def _check(db: Database, names: Sequence[str], environments: Sequence[str]) -> None:
    """Raise an error for packages and environments that the ledger has no result of."""
    known = sorted((id_ for (id_,) in db.execute("SELECT environment FROM environments")), key=environment_sort_key)
    if unknown := [e for e in environments if e not in known]:
        raise UnknownEnvironmentError(
            f"the ledger holds no result in {first_of(unknown, 5)}", hint=f"it has {first_of(known, 20)}"
        )
    missing = [name for name in names if not queries.releases_of(db, name)]
    if missing:
        listed = published.list_packages(db)
        near = {close for name in missing[:5] for close in near_names(name, listed)}
        did_you_mean = f"did you mean {', '.join(sorted(near))}? " if near else ""
        raise UnknownPackageError(
            f"the ledger holds no result of {first_of(missing, 5)}, which says nothing about it",
            hint=f"{did_you_mean}check it with `ppp run {' '.join(f'--package {name}' for name in missing[:5])}`",
        )


def _select(
    db: Database, names: Sequence[str], selection: Selection, *, after: str, limit: int | None
) -> tuple[list[Release], bool]:
    """Return the releases to show, and whether there are more."""
    more = None if limit is None else limit + 1
    if names:
        found = [one for one in select_of_packages(db, names, selection) if one.package > after][:more]
    else:
        found = select_newest(db, selection, after=after, limit=more)
    return found[:limit], len(found) > len(found[:limit])


def _nothing(selection: Selection, after: str) -> str:
    if selection == Selection() and not after:
        return "the ledger holds no result yet: `ppp run` checks releases, `ppp status` shows what is queued"
    return "no release has such a result"


def _standing_line(db: Database, name: str) -> str:
    # The same words as on the package's page.
    releases = queries.releases_of(db, name)
    newest = releases[0]
    listed: OnIndex | None = queries.on_index(db, name)
    checked = CheckedVersions(newest=newest.version, on_index=listed, checked=[one.version for one in releases])
    exhibit = " It is on the watchlist for the failure that it shows." if newest in shipped_exhibits() else ""
    return f"{newest}: {checked.words} ({checked.count}). {checked.notice}".strip() + exhibit
