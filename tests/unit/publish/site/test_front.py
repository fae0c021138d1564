"""All pages: well-formed, linked, small and without active content; and the content of the front page."""

import json
import re
from collections.abc import Callable
from itertools import product
from pathlib import Path

import pytest
from told_nights import told_night

from ppp.check.cause_rules import cause_help
from ppp.ledger.episodes import StoredEpisode, store_episode
from ppp.ledger.store import Store
from ppp.model.record import Record, Result
from ppp.publish.build import build
from ppp.publish.packages.finding_kinds import FindingKind
from ppp.publish.site.documentation import documentation_paths
from ppp.publish.site.missing import MISSING_PAGE
from ppp.watch.exhibits import shipped_exhibits

DAY = 1_714_003_200
PAGE_LIMIT = 50_000
#: Folders of pages that are our own prose: they alone link to other hosts.
PROSE = frozenset({"about", "docs"})
SCRIPT = re.compile(r'<script type="module" src="(?:\.\./)*[a-z/]+\.js"></script>')


def pages(out: Path) -> list[Path]:
    # Those in simple indexes are made for clients.
    return sorted(
        path for path in out.rglob("*.html") if not path.is_relative_to(out / "simple") or path.parent.name == "simple"
    )


def assert_sound(out: Path, page: Callable[[Path], object]) -> None:
    loaded = {path.resolve(): page(path) for path in pages(out)}
    for path, read in loaded.items():
        assert path.stat().st_size < PAGE_LIMIT, path
        assert {"html", "head", "title", "main", "h1", "nav"} <= read.tags  # type: ignore[attr-defined]
        # Without a server a form leads nowhere; those of these pages are their scripts'.
        forms = {"form"} if path.parent.name not in {"sql", "ask", "compare"} else set()
        assert not ({"iframe", "object", "style", "base"} | forms) & read.tags  # type: ignore[attr-defined]
        # The one script is ours, and a file: what strangers wrote cannot become another.
        assert path.read_text().count("<script") == len(SCRIPT.findall(path.read_text())), path
        assert not any(a == "style" or a.startswith("on") for a in read.attributes)  # type: ignore[attr-defined]
        assert len(read.ids) == len(set(read.ids)), path  # type: ignore[attr-defined]
        for link in read.links:  # type: ignore[attr-defined]
            if link.startswith("https://") and path.relative_to(out.resolve()).parts[0] in PROSE:
                continue
            target, _, fragment = link.partition("#")
            # It is shown at any depth.
            target = target.removeprefix("/").replace("../", "") if path.name == MISSING_PAGE else target
            assert ":" not in target and not target.startswith("/"), link  # noqa: PT018 - one thing: it is relative
            file = (path.parent / target).resolve() if target else path
            assert file.is_file(), f"{path} links to {link}"
            # What the console asks stands behind `#sql=`.
            if fragment and not fragment.startswith(("sql=", "episode=")):
                assert fragment in loaded[file].ids, f"{path} links to {link}"  # type: ignore[attr-defined]
        assert all(c.isprintable() or c in "\n\t" for c in path.read_text("utf-8")), path


def text_of(path: Path, page: Callable[[Path], object]) -> str:
    return " ".join(page(path).text.split())  # type: ignore[attr-defined]


def test_all_pages_of_a_small_ledger(small_public: Path, page: Callable[[Path], object]) -> None:
    help_pages = {f"causes/{cause}/index.html" for cause in cause_help()} | {"causes/index.html"}
    others = {"index.html", "about/index.html", "packages/index.html", "data/index.html", "sql/index.html"}
    others |= {"episodes/index.html"}
    others |= {MISSING_PAGE, "ask/index.html", "compare/index.html", "changed/index.html", "simple/index.html"}
    findings = {f"findings/{kind}/index.html" for kind in FindingKind} | {"findings/index.html", "env/index.html"}
    places = {f"env/py{python}-{on}/index.html" for python in ("39", "312") for on in ("slim", "alpine")}
    packages = {f"p/{name}/index.html" for name in ("needs-gcc", "old", "six", "slow", "wheels-only")}
    written = {str(path.relative_to(small_public)) for path in pages(small_public)}
    assert written == help_pages | others | packages | findings | places | {*documentation_paths()}
    assert_sound(small_public, page)


def test_all_pages_of_an_empty_ledger(store: Store, tmp_path: Path, page: Callable[[Path], object]) -> None:
    build(store.db, tmp_path / "public")
    assert_sound(tmp_path / "public", page)


def test_hostile_text_stays_text(hostile: Store, tmp_path: Path, page: Callable[[Path], object]) -> None:
    build(hostile.db, tmp_path / "public")
    assert_sound(tmp_path / "public", page)
    shown = text_of(tmp_path / "public" / "p" / "hostile" / "index.html", page)
    assert "<script>alert(1)</script>" in shown
    assert "\\u202egnp.exe" in shown
    assert "owned" not in shown
    assert "-- 'hostile==1!2.0+local.1'" in shown


@pytest.mark.heavy
def test_pages_stay_small_with_extreme_data(
    store: Store, record: Callable[..., Record], tmp_path: Path, page: Callable[[Path], object]
) -> None:
    places = [f"py{p}-{s}" for s in ("slim", "alpine", "host") for p in ("39", "311", "312")]
    for number in range(100):
        name = f"{number:03}" + "x" * 211
        for environment in places if number > 85 else places[:1]:
            made = record(
                name,
                "1.0",
                environment,
                result="FAIL",
                detail='"' * 500,
                cause="c" * 64,
                observed_at=DAY + 86_400 * number,
            )
            store.insert_record(made, None)
    for number in range(60):
        for environment in places if number > 54 else places[:1]:
            made = record("many", f"{number}.0", environment, result="FAIL", detail=f"{environment}" + "'" * 400)
            store.insert_record(made, None)
    script = json.dumps([{"speaker": "A" * 40, "text": "said " * 80}] * 40)
    store_episode(store, StoredEpisode(period="2024-04-25", seed=1, writer="seeded", facts="[]", script=script))
    for number, result in product(range(40, 100), Result):
        made = record("daily", f"{number}.{len(result)}", result=result, observed_at=DAY + 86_400 * number)
        store.insert_record(made, None)
    store.db.conn.commit()
    build(store.db, tmp_path / "public")
    assert_sound(tmp_path / "public", page)
    many = text_of(tmp_path / "public" / "p" / "many" / "index.html", page)
    assert "48.0 to 0.0 49 releases" in " ".join(many.split())
    lists = sorted((tmp_path / "public" / "packages").rglob("*.html"))
    assert len(lists) > 1
    listed = [link for path in lists for link in page(path).links if "/p/" in link]  # type: ignore[attr-defined]
    assert len(listed) == len(set(listed)) == 102


@pytest.mark.heavy
def test_pages_stay_small_with_many_environments(
    store: Store, record: Callable[..., Record], tmp_path: Path, page: Callable[[Path], object]
) -> None:
    invented = [f"py3{minor}-{platform}" for minor in range(100) for platform in ("alpine", "slim")]
    for number, environment in enumerate((*invented, "py312-slim")):
        changes = {"result": "FAIL", "cause": f"cause-{number}", "detail": "d" * 200} if number % 2 else {}
        store.insert_record(record("six", "1.0", environment, **changes), None)
        store.insert_record(record("old", f"1.{number % 3}", environment), None)
    store.db.conn.commit()
    build(store.db, tmp_path / "public")
    assert_sound(tmp_path / "public", page)
    front = text_of(tmp_path / "public" / "index.html", page)
    assert "182 more environments" in front
    assert "py312-slim Python 3.12" in front
    own = text_of(tmp_path / "public" / "p" / "six" / "index.html", page)
    assert "works in 100 environments; it fails in 100." in own
    assert "182 more cells are in the JSON file" in own
    assert '"check(py312-slim)"' in own


def test_the_front_page_shows_date_failures_causes_and_findings(
    small_public: Path, page: Callable[[Path], object]
) -> None:
    shown = text_of(small_public / "index.html", page)
    assert "12 of 16 cells pass, 4 fail. Data as of" in shown
    assert "Data as of 2024-04-25 00:10 UTC: 5 packages, 6 releases, 18 cells, 19 records" in shown
    assert "1 Fails on Alpine only" in shown
    assert "1 Broken by a newer Python" in shown
    assert "1 Phantom successes" in shown
    assert "1 Never on Alpine" in shown
    assert "no-compiler environment 2 1" in shown
    root = json.loads((small_public / "current.json").read_text())["root"]
    assert root in shown
    assert "stand-in" in shown


def test_what_changed_this_week_is_named(small_public: Path, page: Callable[[Path], object]) -> None:
    shown = text_of(small_public / "index.html", page).partition("Changed this week")[2].partition("Newest releases")[0]
    assert "needs-gcc 1.0 → 1.1 PASS → FAIL py39-alpine, py312-alpine no-compiler" in shown
    assert "old 3.0 checked again PASS → FAIL py312-slim distutils-removed" in shown
    assert "six" not in shown


def test_what_changed_earlier_is_not_named(
    small: Store, record: Callable[..., Record], tmp_path: Path, page: Callable[[Path], object]
) -> None:
    small.add_record(record("later", "1.0", observed_at=DAY + 8 * 86_400))
    build(small.db, tmp_path / "public")
    shown = text_of(tmp_path / "public" / "index.html", page)
    assert "No release passed or failed where the one before it did otherwise" in shown
    # Without downloads, what changed last comes first.
    newest = shown.partition("those that changed last first")[2]
    assert newest.index("later 1.0") < newest.index("slow 0.1") < newest.index("needs-gcc 1.1")


def test_a_release_that_fails_everywhere_takes_one_cell(
    small: Store, record: Callable[..., Record], tmp_path: Path
) -> None:
    for environment in ("py39-slim", "py312-slim", "py312-alpine"):
        failed = {"result": "FAIL", "cause": "no-compiler"}
        small.add_record(record("all-red", "1.0", environment, observed_at=DAY, **failed))
    build(small.db, tmp_path / "public")
    html = (tmp_path / "public" / "index.html").read_text()
    row = html.partition('<a href="p/all-red/index.html">all-red</a>')[2].partition("</tr>")[0]
    assert "in all 3 environments that were checked" in row
    assert row.count("<td") == 2
    assert "no-compiler" in row


def test_an_environment_that_is_only_queued_is_a_column_that_says_so(
    small: Store, tmp_path: Path, page: Callable[[Path], object]
) -> None:
    public, cache = tmp_path / "public", tmp_path / "build.db"
    build(small.db, public, cache_path=cache)
    columns = "package, version, environment, source, enqueued_at"
    queued = f"INSERT INTO queue ({columns}) VALUES ('six', '1.17.0', ?, 'named', 0)"  # noqa: S608 - our own words
    for environment in ("py311-slim", "py39-slim"):
        small.db.execute(queued, (environment,))
    small.db.conn.commit()
    assert build(small.db, public, cache_path=cache).written
    shown = text_of(public / "index.html", page)
    assert "3.9 3.11 queued 3.12 3.9 3.12" in shown
    assert "py311-slim Python 3.11, Debian slim queued, no result yet" in shown
    assert build(small.db, public, cache_path=cache).written == ()


def test_exhibits_are_no_headline(
    store: Store, record: Callable[..., Record], tmp_path: Path, page: Callable[[Path], object]
) -> None:
    exhibit = min(shipped_exhibits())
    for environment in ("py39-slim", "py312-slim"):
        store.add_record(record(exhibit.package, exhibit.version, environment, result="FAIL", observed_at=DAY))
    store.add_record(record("six-of-one", "1.0", observed_at=DAY))
    build(store.db, tmp_path / "public")
    shown = text_of(tmp_path / "public" / "index.html", page)
    assert "1 of 1 cell passes, 0 fail, apart from 2 cells of exhibits, which were chosen for what they show." in shown
    assert f"{exhibit.package} {exhibit.version}, exhibit" in shown


def test_the_newest_episode_links_to_the_packages_that_its_facts_are_about(small: Store, tmp_path: Path) -> None:
    store_episode(small, told_night("2024-04-25"))
    build(small.db, tmp_path / "public")
    html = (tmp_path / "public" / "index.html").read_text().partition('<h2 id="voice">')[2]
    assert html.startswith('<a href="episodes/2024-04-25/index.html">The night of 2024-04-25</a></h2>')
    assert '<a href="p/six/index.html">six</a> 1.17.0 passes' in html


@pytest.mark.parametrize(("days", "is_shown"), [(6, False), (7, True)])
def test_fewer_than_seven_days_are_no_trend(
    store: Store, record: Callable[..., Record], tmp_path: Path, days: int, *, is_shown: bool
) -> None:
    for day in range(days):
        store.add_record(record("six", f"1.{day}", observed_at=DAY + 86_400 * day))
    build(store.db, tmp_path / "public")
    assert ("Results by day" in (tmp_path / "public" / "index.html").read_text()) is is_shown


def test_every_number_agrees_with_current_json(small_public: Path, page: Callable[[Path], object]) -> None:
    counts = json.loads((small_public / "current.json").read_text())["counts"]
    shown = text_of(small_public / "index.html", page)
    for environment, by_result in counts["environments"].items():
        output = f"{environment} Python {environment[2]}.{environment[3:].split('-')[0]}, "
        row = shown.partition(output)[2]
        numbers = [int(word) for word in row.split()[:7] if word.isdigit()]
        assert numbers[:5] == [by_result[word] for word in ("PASS", "FAIL", "TIMEOUT", "ERROR", "NA")]


def test_an_unchecked_cell_is_not_a_failed_one(small_public: Path) -> None:
    html = (small_public / "index.html").read_text()
    row = html.partition('<a href="p/slow/index.html">slow</a>')[2].partition("</tr>")[0]
    assert row.count('class="none"') == 2
    assert row.count("FAIL") == 0


def test_a_ledger_without_failures(
    store: Store, record: Callable[..., Record], tmp_path: Path, page: Callable[[Path], object]
) -> None:
    store.add_record(record("six"))
    build(store.db, tmp_path / "public")
    shown = text_of(tmp_path / "public" / "index.html", page)
    assert "1 of 1 cell passes, 0 fail." in shown
    assert "No cell failed or timed out." in shown


def test_the_newest_summary_is_shown(small: Store, tmp_path: Path, page: Callable[[Path], object]) -> None:
    for period, reported in (("2024-04-24", "old news"), ("2024-04-25", "<b>needs-gcc</b> fails")):
        script = json.dumps([{"speaker": "play", "text": reported}])
        store_episode(small, StoredEpisode(period=period, seed=1, writer="seeded", facts="[]", script=script))
    build(small.db, tmp_path / "public")
    shown = text_of(tmp_path / "public" / "index.html", page)
    assert "The night of 2024-04-25 play> <b>needs-gcc</b> fails" in shown
    assert "old news" not in shown


@pytest.mark.parametrize("word", ["safe", "secure", "trusted", "verified"])
def test_no_page_promises_more_than_was_checked(word: str, small_public: Path) -> None:
    # The documentation explains what is not promised, in these words.
    for path in (path for path in pages(small_public) if not path.is_relative_to(small_public / "docs")):
        assert word not in path.read_text().lower().replace("wasm-unsafe-eval", ""), path
