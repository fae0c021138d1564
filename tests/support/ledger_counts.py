"""The counts and the `current.json` of a ledger, from its packages as a build makes them."""

from typing import Any

from sqlite_utils import Database

from ppp.ledger import published
from ppp.ledger.digests import read_day_digests
from ppp.ledger.published import Counts
from ppp.publish.api.current import NEWEST_RESULTS, current_document
from ppp.publish.builder.contribution import contribution_of
from ppp.publish.cache.build_cache import BuildCache
from ppp.publish.packages.read import read_packages
from ppp.publish.packages.summary import summarize
from ppp.publish.packages.totals import ledger_counts


def build_counts(db: Database) -> Counts:
    """Return how much a ledger holds."""
    with BuildCache.open(None) as cache:
        for history in read_packages(db, published.list_packages(db), published.observed_environments(db)):
            cache.listings.replace(contribution_of(history, summarize(history)))
        return ledger_counts(
            cache.listings.totals, records=sum(day.records for day in read_day_digests(db)), as_of=published.as_of(db)
        )


def build_current(db: Database) -> dict[str, Any]:
    """Return the document of `current.json` for a ledger."""
    newest = published.newest_verdicts(db, NEWEST_RESULTS)
    return current_document(build_counts(db), read_day_digests(db), newest)
