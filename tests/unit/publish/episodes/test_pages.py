"""The files of episodes in a site: written once, linked, valid, small, and the same from scratch."""

import json
import sqlite3
from collections.abc import Callable
from contextlib import closing
from datetime import date, timedelta
from pathlib import Path

from told_nights import told_night

from ppp.ledger.episodes import store_episode
from ppp.ledger.schema import LEDGER_NAME
from ppp.ledger.store import Store
from ppp.model.record import Record
from ppp.narrate.episode import narrate
from ppp.publish.build import build
from ppp.publish.snapshots.retention import RetentionPolicy
from ppp.publish.snapshots.take import take
from ppp.schemas import schema_errors

URL = "https://place.example/"
NIGHT = "2024-04-25"


def tree(root: Path) -> dict[str, bytes]:
    return {str(p.relative_to(root)): p.read_bytes() for p in sorted(root.rglob("*")) if p.is_file()}


def written(store: Store, folder: Path) -> set[str]:
    result = build(store.db, folder / "public", base_url=URL, cache_path=folder / "cache.db")
    return {path for path in result.written if path.startswith("episodes/")}


def nights(count: int) -> list[str]:
    return [(date(2024, 4, 25) - timedelta(days=days)).isoformat() for days in range(count)]


def test_the_page_shows_sentences_facts_and_who_wrote_it(
    small: Store, tmp_path: Path, page: Callable[[Path], object]
) -> None:
    store_episode(small, told_night(NIGHT, writer="tiny.gguf@abc", fallback="it hung"))
    build(small.db, tmp_path, base_url=URL)
    html = (tmp_path / f"episodes/{NIGHT}/index.html").read_text()
    assert '<a href="../../p/six/index.html">six</a> 1.17.0 passes, and six is quiet about it.' in html
    assert '<a class="fact" href="#f1" aria-label="Fact 2">[2]</a>' in html
    assert f'href="../../sql/index.html#episode={NIGHT}&amp;fact=1"' in html
    text = " ".join(page(tmp_path / f"episodes/{NIGHT}/index.html").text.split())  # type: ignore[attr-defined]
    for words in ("by Relay (play-by-play) and Static (colour)", "tiny.gguf@abc", "did not write: it hung"):
        assert words in text


def test_the_document_is_valid_and_its_sql_gives_what_was_said(
    fill_small: Callable[[Store], None], tmp_path: Path
) -> None:
    data = tmp_path / "node"
    with Store.open(data) as store:
        fill_small(store)
        period = narrate(store, seed=3).period.id
        take(data / LEDGER_NAME, data / "public", RetentionPolicy(days=7, weeks=4, window_bytes=10_000_000))
        build(store.db, data / "public", base_url=URL)
    path = data / f"public/episodes/{period}/episode.json"
    document = json.loads(path.read_text())
    assert not schema_errors("site/schemas/episode.schema.json", document)
    assert len(document["facts"]) > 5
    snapshot = data / "public/snapshots/latest.db"
    with closing(sqlite3.connect(f"file:{snapshot}?mode=ro", uri=True)) as db:
        db.row_factory = sqlite3.Row
        for fact in document["facts"]:
            (row,) = [dict(row) for row in db.execute(fact["sql"])]
            found = {name: row[name] for name in fact["slots"]}
            lists = {name: sorted(json.loads(found[name])) for name, v in fact["slots"].items() if isinstance(v, list)}
            said = {name: sorted(v) if isinstance(v, list) else v for name, v in fact["slots"].items()}
            assert found | lists == said, fact["sql"]


def test_an_episode_is_written_once_and_again_when_one_beside_it_is_new(small: Store, tmp_path: Path) -> None:
    store_episode(small, told_night("2024-04-23"))
    assert written(small, tmp_path) >= {"episodes/2024-04-23/index.html", "episodes/2024-04-23/episode.json"}
    assert written(small, tmp_path) == set()
    store_episode(small, told_night("2024-04-24"))
    about_all = {"episodes/index.html", "episodes/2024-04/index.html", "episodes/atom.xml", "episodes/feed.json"}
    new = {"episodes/2024-04-24/index.html", "episodes/2024-04-24/episode.json"}
    assert written(small, tmp_path) == {*about_all, *new, "episodes/2024-04-23/index.html"}
    store_episode(small, told_night("2024-04-25"))
    changed = written(small, tmp_path)
    assert "episodes/2024-04-23/index.html" not in changed
    build(small.db, tmp_path / "anew", base_url=URL)
    assert tree(tmp_path / "anew") == tree(tmp_path / "public")


def test_records_alone_write_no_episode_again(small: Store, record: Callable[..., Record], tmp_path: Path) -> None:
    for period in (*nights(3), "2024-W17"):
        store_episode(small, told_night(period))
    written(small, tmp_path)
    small.insert_record(record("new-here", "1.0", observed_at=1_714_040_000), None)
    assert written(small, tmp_path) == set()


def test_an_episode_that_is_narrated_again_or_gone_changes_its_files(small: Store, tmp_path: Path) -> None:
    for period in ("2024-03-31", "2024-04-25"):
        store_episode(small, told_night(period))
    written(small, tmp_path)
    store_episode(small, told_night("2024-04-25", package="old"))
    assert "episodes/2024-04-25/episode.json" in written(small, tmp_path)
    small.db.execute("DELETE FROM episodes WHERE period = '2024-03-31'")
    written(small, tmp_path)
    left = {path.name for path in (tmp_path / "public/episodes").iterdir() if path.is_dir()}
    assert left == {"2024-04", "2024-04-25"}


def test_neighbours_and_the_week_are_linked(small: Store, tmp_path: Path) -> None:
    for period in (*nights(3), "2024-W17"):
        store_episode(small, told_night(period))
    build(small.db, tmp_path, base_url=URL)
    html = (tmp_path / "episodes/2024-04-24/index.html").read_text()
    for words in ('../2024-04-23/index.html" rel="prev"', '../2024-04-25/index.html" rel="next"', "../2024-W17/"):
        assert words in html
    assert 'rel="next"' not in (tmp_path / "episodes/2024-W17/index.html").read_text()


def test_the_archive_has_every_episode_and_stays_small(small: Store, tmp_path: Path) -> None:
    long = json.dumps([{"speaker": "relay", "text": "<&>" * 300}] * 90)
    for period in nights(400):
        store_episode(small, told_night(period, script=long, title="'" * 300))
    build(small.db, tmp_path, base_url=URL)
    pages = sorted((tmp_path / "episodes").glob("*/index.html"))
    assert len(pages) == 400 + 14
    assert max(path.stat().st_size for path in [*pages, tmp_path / "episodes/index.html"]) < 50_000
    months = "".join(path.read_text() for path in pages if len(path.parent.name) == len("2024-04"))
    assert all(f'episodes/{period}/index.html"' in months for period in nights(400))
    assert f"{URL}episodes/2024-04-25/index.html" in (tmp_path / "sitemaps/pages.xml").read_text()


def test_facts_and_queries_without_room_are_in_the_document(small: Store, tmp_path: Path) -> None:
    facts = [
        {
            "id": f"f{n}",
            "kind": "k" * 60,
            "slots": {"package": "x" * 200},
            "sql": f"SELECT {n}, '{'<' * 900}'",
            "params": {},
        }
        for n in range(90)
    ]
    store_episode(small, told_night(NIGHT, facts=json.dumps(facts)))
    build(small.db, tmp_path, base_url=URL)
    page = tmp_path / f"episodes/{NIGHT}/index.html"
    assert page.stat().st_size < 50_000
    assert 'more are in <a href="episode.json">' in page.read_text()


def test_the_feeds_have_every_episode_with_a_lasting_id(small: Store, tmp_path: Path) -> None:
    for period in nights(2):
        store_episode(small, told_night(period))
    build(small.db, tmp_path, base_url=URL)
    feed = json.loads((tmp_path / "episodes/feed.json").read_text())
    assert [item["url"] for item in feed["items"]] == [f"{URL}episodes/{period}/index.html" for period in nights(2)]
    assert feed["items"][0]["date_published"] == "2024-04-25T23:00:00Z"
    assert feed["items"][0]["content_text"].endswith("and 1 more sentence")
    ids = [item["id"] for item in feed["items"]]
    store_episode(small, told_night(NIGHT, package="old", title="Another"))
    build(small.db, tmp_path, base_url=URL)
    again = json.loads((tmp_path / "episodes/feed.json").read_text())
    assert [item["id"] for item in again["items"]] == ids
