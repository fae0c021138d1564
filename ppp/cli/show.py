"""`ppp show`: results that the ledger holds."""

from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

import click

from ppp.cli.options import data_option, json_option, make_context
from ppp.cli.results import print_results
from ppp.ledger import journal, queries
from ppp.ledger.schema import read_ledger
from ppp.model.errors import UnknownPackageError
from ppp.model.matrix import environment_sort_key
from ppp.model.on_index import OnIndex
from ppp.model.release import Release, parse_package
from ppp.model.standing import CheckedVersions
from ppp.watch.exhibits import shipped_exhibits


@click.command()
@click.argument("package", required=False)
@data_option
@json_option
def show(*, package: str | None, data: Path | None, as_json: bool) -> None:
    """Show the newest results, or all results of one package.

    The JSON of one package holds the logs too. Of releases that a journal named, it is told until when files may be
    added to them.
    """
    context = make_context(data)
    config = context.config
    with closing(read_ledger(config.data)) as db:
        releases = queries.releases_of(db, parse_package(package)) if package else queries.newest_releases(db)
        named = journal.announcements(db, ((r.package, r.version) for r in releases))
        listed = queries.on_index(db, releases[0].package) if package and releases else None
        environments = {e for r in releases for e in queries.current_by_environment(db, r)}
    if package and not releases:
        raise UnknownPackageError(
            f"the ledger holds no result of {package}", hint=f"check it with `ppp run --package {package}`"
        )
    if not releases and not as_json:
        click.echo("the ledger holds no result yet: `ppp run` checks releases, `ppp status` shows what is queued")
    announced = {r: named[r.package, r.version] for r in releases if (r.package, r.version) in named}
    if package and not as_json:
        click.echo(_standing_line(releases, listed))
    print_results(
        config,
        releases,
        sorted(environments, key=environment_sort_key),
        with_logs=bool(package),
        as_json=as_json,
        announced=announced if package else None,
        now=context.now,
    )


def _standing_line(releases: Sequence[Release], listed: OnIndex | None) -> str:
    # The same words as on the package's page.
    newest = releases[0]
    checked = CheckedVersions(newest=newest.version, on_index=listed, checked=[one.version for one in releases])
    exhibit = " It is on the watchlist for the failure that it shows." if newest in shipped_exhibits() else ""
    return f"{newest}: {checked.words} ({checked.count}). {checked.notice}".strip() + exhibit
