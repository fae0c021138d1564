"""A folder built step by step equals one that is built at once, whatever happens in between."""

import shutil
import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from journal_rows import add_event, name_release, queue_release, skip_release
from known_downloads import know_downloads
from memory_store import store_in_memory
from sqlite_utils import Database

from ppp.ledger import published
from ppp.ledger.batches import seal
from ppp.ledger.digests import read_day_digests
from ppp.ledger.downloads import DownloadsSource
from ppp.ledger.episodes import StoredEpisode, store_episode
from ppp.ledger.store import Store
from ppp.mesh.node import NodeKey
from ppp.model.canonical import sha256_hex
from ppp.model.record import ModuleFailure, Outcome, Phase, Record, Result, Submodules
from ppp.model.release import Release
from ppp.publish.build import build
from ppp.publish.builder.contribution import contribution_of
from ppp.publish.cache.build_cache import BuildCache
from ppp.publish.packages.read import read_packages
from ppp.publish.packages.summary import summarize
from ppp.publish.packages.totals import cells_by_cause, ledger_counts, packages_by_cause, top_causes
from ppp.publish.site.causes import cause_listing, newest_records
from ppp.publish.site.directory import PACKAGES_LISTING
from ppp.watch.exhibits import shipped_exhibits

DAY = 1_714_003_200
KEY = NodeKey.from_seed(b"\7" * 32)

DEEP = Submodules(tried=2, left_out=0, failed=())
PARTLY = replace(
    DEEP, failed=(ModuleFailure(module="x.c", outcome=Outcome.FAIL, cause="shared-library", detail="libz.so.1"),)
)


def observation(record: Callable[..., Record], fields: dict[str, Any]) -> Record:
    """Make the record of drawn fields: with a ground, a `PASS` has nothing to import."""
    made = record(**fields)
    if made.grounds and made.result is Result.PASS:
        return replace(made, outcomes=(*made.outcomes[:3], Outcome.SKIP), imports=())
    return made


observations = st.fixed_dictionaries(
    {
        "package": st.sampled_from(["six", "attrs", "needs-gcc"]),
        "version": st.sampled_from(["1.9", "1.10"]),
        "environment": st.sampled_from(["py39-slim", "py312-slim", "py312-alpine"]),
        "result": st.sampled_from([str(result) for result in Result]),
        "observed_at": st.sampled_from([DAY - 1, DAY, DAY + 90_000]),
        "node": st.sampled_from([KEY.id, "cd" * 32]),
        "cause": st.sampled_from([None, "no-compiler", "unclassified", "of-another-ppp", "withdrawn"]),
        "grounds": st.sampled_from([{}, {}, {Phase.IMPORT: "stubs"}]),
        "relies_on": st.sampled_from([(), (), ("setuptools",)]),
        "yanked": st.sampled_from([None, None, "broken"]),
        "submodules": st.sampled_from([None, DEEP, PARTLY]),
    }
)
#: What may happen to a journal: a release is named, named anew, queued, skipped, or no longer queued; or an event.
journaled = st.tuples(
    st.sampled_from(["name", "queue", "skip", "done", "event"]),
    st.sampled_from(["six", "attrs", "never-tested"]),
    st.sampled_from(["1.9", "1.10"]),
    st.sampled_from([DAY - 1, DAY, DAY + 90_000]),
)
#: An imported file of downloads: its period, whose numbers they are, and the numbers.
imported = st.tuples(
    st.sampled_from(["2024-03", "2024-04"]),
    st.sampled_from(["one", "another"]),
    st.dictionaries(st.sampled_from(["six", "attrs", "needs-gcc", "elsewhere"]), st.integers(0, 3), min_size=1),
)
#: What may happen between two builds: new records, a sealed batch, an episode, a step of the journal, an import of
#: downloads, damage to the folder or the cache.
events = st.one_of(
    journaled,
    imported,
    st.lists(observations, min_size=1, max_size=4),
    st.sampled_from(
        ["seal", "episode", "lose a page", "lose the lists", "lose the folder", "lose the cache", "nothing"]
    ),
)
steady = settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=12)


def tree(root: Path) -> dict[str, bytes]:
    return {str(p.relative_to(root)): p.read_bytes() for p in sorted(root.rglob("*")) if p.is_file()}


def apply_event(event: object, store: Store, root: Path, record: Callable[..., Record]) -> None:
    """Apply one event to the ledger, or to what was published."""
    public = root / "public"
    match event:
        case "seal":
            seal(store, node=KEY.id, sign=KEY.sign, verify=lambda _: None)
        case "episode":
            script = '[{"speaker": "A", "text": "said"}]'
            store_episode(store, StoredEpisode(period="2024-04-25", seed=1, writer="seeded", facts="[]", script=script))
        case "lose a page":
            for page in sorted(public.rglob("index.html"))[:1]:
                page.unlink()
        case "lose the lists":
            shutil.rmtree(public / "files", ignore_errors=True)
        case "lose the folder":
            shutil.rmtree(public, ignore_errors=True)
        case "lose the cache":
            (root / "cache.db").unlink(missing_ok=True)
        case list():
            for fields in event:
                store.add_record(observation(record, fields))


def source_of(words: str, numbers: dict[str, int]) -> DownloadsSource:
    """Return the source of a file with these numbers."""
    return DownloadsSource(source=words, file_sha256=sha256_hex(repr(sorted(numbers.items())).encode()))


def apply_journaled(store: Store, step: str, package: str, version: str, at: int) -> None:
    """Apply one step of a journal to the ledger."""
    match step:
        case "name":
            name_release(store, package, version, serial=at, at=at)
        case "queue":
            queue_release(store, package, version)
        case "skip":
            skip_release(store, package, version, at=at)
        case "done":
            store.db.execute("DELETE FROM queue WHERE package = ? AND version = ?", (package, version))
        case _:
            add_event(store, at, package, version, "yank", at=at)


@steady
@given(events_=st.lists(events, min_size=1, max_size=6))
def test_incremental_builds_equal_a_build_from_scratch(events_: list[object], record: Callable[..., Record]) -> None:
    with store_in_memory() as store, tempfile.TemporaryDirectory() as name:
        root = Path(name)
        for event in events_:
            if isinstance(event, tuple) and len(event) == len(("period", "source", "numbers")):
                period, source, numbers = event
                know_downloads(store, period, numbers, source=source_of(source, numbers))
            elif isinstance(event, tuple):
                with store.db.atomic():
                    apply_journaled(store, *event)
            else:
                apply_event(event, store, root, record)
            build(store.db, root / "public", cache_path=root / "cache.db")
        build(store.db, root / "from scratch")
        assert tree(root / "public") == tree(root / "from scratch")


@steady
@given(first=st.lists(observations, min_size=1, max_size=20), more=st.lists(observations, max_size=6))
def test_totals_are_what_the_ledger_counts(
    first: list[dict[str, Any]],
    more: list[dict[str, Any]],
    record: Callable[..., Record],
) -> None:
    with store_in_memory() as store, BuildCache.open(None) as cache:
        for records in (first, more):
            for fields in records:
                store.add_record(observation(record, fields))
            packages = sorted({fields["package"] for fields in records})
            for history in read_packages(store.db, packages, published.observed_environments(store.db)):
                cache.listings.replace(contribution_of(history, summarize(history)))
        total = sum(day.records for day in read_day_digests(store.db))
        listings = cache.listings
        assert ledger_counts(listings.totals, records=total, as_of=published.as_of(store.db)) == sql_counts(store.db)
        assert [
            (c.cause, c.environment, c.result, c.blame, c.blamed_by, c.cells) for c in cells_by_cause(listings.totals)
        ] == sql_explained(store.db)
        assert packages_by_cause(listings.totals) == sql_of_cause(store.db)
        assert [(c.cause, c.blame, c.cells, c.packages) for c in top_causes(listings.totals, 9)] == sql_top(store.db)
        assert [entry.package for entry in listings.by_rank(PACKAGES_LISTING)] == sql_worst(store.db)
        for cause in ("no-compiler", "unclassified"):
            assert newest_records(listings.by_rank(cause_listing(cause)), 5) == sql_newest(store.db, cause)


_CAUSE = "coalesce(cause, CASE WHEN result IN ('FAIL', 'TIMEOUT') THEN 'unclassified' END)"


def sql_counts(db: Database) -> published.Counts:
    by_environment: dict[str, dict[Result, int]] = {}
    for environment, result, count in db.execute(
        "SELECT environment, result, count(*) FROM current GROUP BY 1, 2 ORDER BY 1, 2"
    ):
        by_environment.setdefault(environment, dict.fromkeys(Result, 0))[Result(result)] = count
    exhibits = dict.fromkeys(Result, 0)
    for package, version, result in db.execute("SELECT package, version, result FROM current"):
        exhibits[Result(result)] += Release(package=package, version=version) in shipped_exhibits()
    bare = db.execute("SELECT environment, count(*) FROM nothing_to_import GROUP BY 1").fetchall()
    records, as_of = db.execute("SELECT count(*), max(observed_at) FROM records").fetchone()
    cells, packages = db.execute("SELECT count(*), count(DISTINCT package) FROM results").fetchone()
    (releases,) = db.execute("SELECT count(*) FROM (SELECT DISTINCT package, version FROM results)").fetchone()
    return published.Counts(
        records=records,
        cells=cells,
        packages=packages,
        releases=releases,
        as_of=as_of,
        by_environment=by_environment,
        nothing_to_import=dict(bare),
        exhibits=exhibits,
    )


def sql_explained(db: Database) -> list[tuple[object, ...]]:
    return db.execute(
        f"SELECT {_CAUSE} AS why, environment, result, blame, blamed_by, count(*) FROM judged"  # noqa: S608 - our own
        " WHERE result <> 'PASS' AND why IS NOT NULL GROUP BY 1, 2, 3, 4, 5 ORDER BY 1, 2, 3, 4, 5"
    ).fetchall()


def sql_of_cause(db: Database) -> dict[str, int]:
    return dict(
        db.execute(
            f"SELECT {_CAUSE} AS why, count(DISTINCT package) FROM current"  # noqa: S608 - our own
            " WHERE result <> 'PASS' AND why IS NOT NULL GROUP BY 1"
        ).fetchall()
    )


def sql_top(db: Database) -> list[tuple[object, ...]]:
    return db.execute(
        "SELECT coalesce(cause, 'unclassified') AS cause, blame, count(*) AS cells, count(DISTINCT package) AS packages"
        " FROM judged WHERE result IN ('FAIL', 'TIMEOUT') GROUP BY 1, blame"
        " ORDER BY cells DESC, packages DESC, 1, blame LIMIT 9"
    ).fetchall()


def sql_worst(db: Database) -> list[str]:
    rows = db.execute(
        "SELECT package FROM newest JOIN current USING (package, version) GROUP BY package"
        " ORDER BY sum(result = 'FAIL') DESC, sum(result = 'TIMEOUT') DESC, sum(result = 'ERROR') DESC, package"
    )
    return [package for (package,) in rows]


def sql_newest(db: Database, cause: str) -> list[str]:
    rows = db.execute(
        f"SELECT record FROM current WHERE {_CAUSE} = ? AND result <> 'PASS'"  # noqa: S608 - our own
        " ORDER BY observed_at DESC, package, version, environment LIMIT 5",
        (cause,),
    )
    return [record for (record,) in rows]
