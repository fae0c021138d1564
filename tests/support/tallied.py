"""What a ledger holds, added up from its packages as a build does."""

from sqlite_utils import Database

from ppp.ledger import published
from ppp.ledger.digests import days
from ppp.ledger.published import Counts
from ppp.publish.builder.contribution import brought_of
from ppp.publish.cache.build_cache import BuildCache
from ppp.publish.packages.read import held
from ppp.publish.packages.summary import part_of
from ppp.publish.packages.totals import counts_of


def counts(db: Database) -> Counts:
    """Count what a ledger holds."""
    with BuildCache.open(None) as memory:
        for each in held(db, published.packages(db), published.environments(db)):
            memory.shelves.bring(brought_of(each, part_of(each)))
        return counts_of(memory.shelves.sums, records=sum(day.records for day in days(db)), as_of=published.as_of(db))
