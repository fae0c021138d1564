"""Measure the gathering of facts: a week of 36,000 cells a day, of a ledger of a million records.

The ledger is that of `scripts/synthetic-ledger`, in fewer days. What counts is processor time, the best of three; what
one look at the week's records takes is shown beside it, because that is what a faster machine changes.

    scripts/nox -s bench -- facts [--records N] [--data FOLDER]
"""

import argparse
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import closing
from importlib.machinery import SourceFileLoader
from importlib.util import module_from_spec, spec_from_loader
from pathlib import Path
from types import ModuleType

from sqlite_utils import Database

from ppp.ledger.schema import LEDGER_NAME, open_ledger
from ppp.model.period import Period, PeriodKind
from ppp.narrate.facts import gather_facts

SCRIPT = Path(__file__).parents[2] / "scripts" / "synthetic-ledger"
#: So many days make the busiest week one of about 36,000 cells a day.
DAYS = 52
COPIES = 10
MAX_SECONDS = 2.0


def synthetic_ledger() -> ModuleType:
    """Return the script as a module, which spreads its records over `DAYS`."""
    # Nothing is left beside the script.
    sys.dont_write_bytecode = True
    spec = spec_from_loader("synthetic_ledger", SourceFileLoader("synthetic_ledger", str(SCRIPT)))
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    module.__dict__["DAYS"] = DAYS
    return module


def fill(db: Database, records: int) -> None:
    """Write made-up records: one package in so many, and copies of it under other names."""
    script = synthetic_ledger()
    with script.in_bulk(db):
        script.fill(db, 60_000 * records // 1_000_000 // COPIES, records // COPIES, 1)
        script.copy_records(db, COPIES)
        script.choose_results(db)


def busiest_week(db: Database) -> Period:
    """Return the week with the most records."""
    ((at,),) = db.execute(
        "SELECT min(observed_at) FROM records GROUP BY (observed_at + 259200) / 604800 ORDER BY count(*) DESC LIMIT 1"
    ).fetchall()
    return Period.at(PeriodKind.WEEK, at)


def seconds(work: Callable[[], object]) -> float:
    """Return the seconds of processor time that some work takes: the best of three."""
    taken = []
    for _ in range(3):
        began = time.process_time()
        work()
        taken.append(time.process_time() - began)
    return min(taken)


def main() -> int:
    """Measure, print, and return 1 if the limit is exceeded."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--records", type=int, default=1_000_000)
    parser.add_argument("--data", type=Path, help="a folder with a ledger, instead of a made-up one")
    parser.add_argument("--fill", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.fill:
        with closing(open_ledger(options.fill)) as db:
            fill(db, options.records)
        return 0
    with tempfile.TemporaryDirectory() as folder:
        if not options.data:
            # In a process of its own, as a narration has one, too.
            words = [f"--records={options.records}", f"--fill={folder}"]
            subprocess.run([sys.executable, __file__, *words], check=True)
        db = open_ledger(options.data or Path(folder))
        period = busiest_week(db)
        window = {"start": period.start, "end": period.end}
        # The node is in no index by time: each row is read.
        look = (
            "SELECT count(*), count(*) FILTER (WHERE result = 'FAIL'), count(DISTINCT node) FROM records"
            " WHERE observed_at >= :start AND observed_at < :end"
        )
        ((found, failed, _),) = db.execute(look, window).fetchall()
        reference = seconds(lambda: db.execute(look, window).fetchall())
        taken = seconds(lambda: gather_facts(db, period))
        ledger = ((options.data or Path(folder)) / LEDGER_NAME).stat().st_size / 1e6
        told = len(gather_facts(db, period).facts)
        print(f"ledger of {ledger:,.0f} MB; {period.id}: {found:,} records, {failed:,} of them failures; {told} facts")
        print(f"{'one look at the records of the week':40} {reference:8.2f} s")
        print(f"{'gathering the facts of the week':40} {taken:8.2f} s  (at most {MAX_SECONDS:.1f})")
        db.close()
    return int(taken > MAX_SECONDS)


if __name__ == "__main__":
    sys.exit(main())
