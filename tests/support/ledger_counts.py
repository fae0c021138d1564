"""What a ledger holds, added up from its packages as a build does."""

from sqlite_utils import Database

from ppp.ledger import published
from ppp.ledger.digests import read_day_digests
from ppp.ledger.published import Counts
from ppp.publish.builder.contribution import contribution_of
from ppp.publish.cache.build_cache import BuildCache
from ppp.publish.packages.read import read_packages
from ppp.publish.packages.summary import summarize
from ppp.publish.packages.totals import ledger_counts


def build_counts(db: Database) -> Counts:
    """Count what a ledger holds."""
    with BuildCache.open(None) as memory:
        for each in read_packages(db, published.list_packages(db), published.observed_environments(db)):
            memory.listings.replace(contribution_of(each, summarize(each)))
        return ledger_counts(
            memory.listings.sums, records=sum(day.records for day in read_day_digests(db)), as_of=published.as_of(db)
        )
