"""Help pages of causes: texts, numbers that agree with the rest of the build, and escaping."""

import hashlib
import json
import re
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import pytest

from ppp.check.cause_rules import cause_help
from ppp.ledger.store import Store
from ppp.model.record import Blame, Record, Result
from ppp.publish.build import build
from ppp.publish.site.causes import NEWEST_CELLS, explain_causes
from ppp.publish.text import with_code_spans
from ppp.schemas import schema_errors

DAY: Final = 1_714_003_200
Read = Callable[[str], Any]


@pytest.fixture
def shown(small_public: Path, page: Callable[[Path], object]) -> Callable[[str], str]:
    """The text of a page of causes, after a build of the small ledger."""

    def read(path: str) -> str:
        return " ".join(page(small_public / "causes" / path).text.split())  # type: ignore[attr-defined]

    return read


@pytest.fixture
def document(small_public: Path) -> Read:
    """A JSON file of causes, after a build of the small ledger."""
    return lambda path: json.loads((small_public / "causes" / path).read_text("ascii"))


def test_a_cause_page_explains_and_advises(shown: Callable[[str], str]) -> None:
    output = shown("no-compiler/index.html")
    loaded = cause_help()["no-compiler"]
    assert "No compiler no-compiler explains 2 current cells of 1 package: 2 FAIL" in output
    for words in (loaded.meaning, loaded.maintainer, loaded.user):
        assert words.replace("`", "") in output
    assert "environment environment cells py39-alpine 1 1 py312-alpine 1 1 all 2 2" in output
    assert "FAIL needs-gcc 1.1 py312-alpine during install alone, blame: environment, 2024-04-25 00:03Z" in output


def test_a_cause_that_explains_nothing_still_helps(shown: Callable[[str], str]) -> None:
    output = shown("conflict/index.html")
    assert "explains no current cell." in output
    assert "If you maintain the package" in output
    assert "Where, and who is to blame" not in output


def test_the_index_counts_cells_and_unclassified_failures(shown: Callable[[str], str]) -> None:
    output = shown("index.html")
    assert "Of 4 cells that failed or timed out, 0 (0.0 %) are unclassified" in output
    assert output.index("no-compiler No compiler 2 0 0 0 2 1 environment") < output.index("distutils-removed")
    assert all(cause in output for cause in cause_help())


def test_without_any_failure(store: Store, record: Callable[..., Record], tmp_path: Path) -> None:
    store.add_record(record("six"))
    build(store.db, tmp_path / "public")
    assert "No cell has failed or timed out." in (tmp_path / "public" / "causes" / "index.html").read_text()
    assert explain_causes((), {}, {}, dict.fromkeys(Result, 0)).unclassified_percent is None


@pytest.mark.parametrize("cause", cause_help())
def test_each_file_is_valid(document: Read, cause: str) -> None:
    loaded = document(f"{cause}.json")
    assert schema_errors("site/schemas/cause.schema.json", loaded) == []
    assert loaded["cells"] == sum(loaded["results"].values()) == sum(loaded["blames"].values())
    places: Counter[str] = Counter()
    for by_blame in loaded["environments"].values():
        places.update(by_blame)
    assert places == loaded["blames"]
    assert len(loaded["newest"]) == min(loaded["cells"], NEWEST_CELLS)
    assert schema_errors("site/schemas/cause.schema.json", {**loaded, "node": "ab" * 32}) != []


def test_the_numbers_of_all_files_agree(document: Read, small_public: Path) -> None:
    index = document("index.json")
    current = json.loads((small_public / "current.json").read_text())
    assert schema_errors("site/schemas/causes.schema.json", index) == []
    assert index["as_of"] == current["as_of"]
    by_result: Counter[str] = Counter()
    for row in index["causes"]:
        by_result.update(row["results"])
        whole = document(f"{row['cause']}.json")
        assert {key: whole[key] for key in row} == row
    assert by_result == {word: n for word, n in current["counts"]["results"].items() if word != "PASS"}
    assert index["failed"] == by_result["FAIL"] + by_result["TIMEOUT"]
    # Each of the newest cells equals its entry in current.json.
    output = {row["record"]: row for row in current["results"]}
    for row in index["causes"]:
        for cell in document(f"{row['cause']}.json")["newest"]:
            assert {key: cell[key] for key in cell if key != "phase"} == {
                key: output[cell["record"]][key] for key in cell if key != "phase"
            }


def test_blame_judged_by_siblings_is_shown_everywhere(
    store: Store, record: Callable[..., Record], tmp_path: Path, page: Callable[[Path], object]
) -> None:
    unsure = {"result": "FAIL", "cause": "import-error", "blame": Blame.PACKAGE}
    store.add_record(record("six", "1.0", "py312-slim"))
    store.add_record(record("six", "1.0", "py312-alpine", **unsure))
    build(store.db, tmp_path / "public")
    out = tmp_path / "public"
    loaded = json.loads((out / "causes" / "import-error.json").read_text())
    assert (loaded["blames"], loaded["by_siblings"]) == ({"environment": 1}, 1)
    assert [(c["blame"], c["blamed_by"]) for c in loaded["newest"]] == [("environment", "siblings")]
    results = json.loads((out / "current.json").read_text())["results"]
    assert sorted((r["blame"], r["blamed_by"]) for r in results if r["blame"]) == [("environment", "siblings")]
    assert "(import-error, blame: environment)" in (out / "feed.xml").read_text()
    assert "import-error environment 1 1" in " ".join(page(out / "index.html").text.split())  # type: ignore[attr-defined]
    output = " ".join(page(out / "causes" / "import-error" / "index.html").text.split())  # type: ignore[attr-defined]
    assert "for 1 the log alone is not conclusive" in output
    (kept,) = store.db.execute("SELECT blame FROM records WHERE blame IS NOT NULL").fetchall()
    assert kept == ("package",), "the record keeps what its log said"


def test_a_failure_without_a_cause_is_unclassified(store: Store, record: Callable[..., Record], tmp_path: Path) -> None:
    store.add_record(record("six", result="FAIL", cause=None, blame=None))
    store.add_record(record("idna", result="NA", cause=None, blame=None))
    build(store.db, tmp_path / "public")
    index = json.loads((tmp_path / "public" / "causes" / "index.json").read_text())
    assert (index["failed"], index["unclassified"], index["others"]) == (1, 1, 0)
    assert "1 is unclassified" in (tmp_path / "public" / "index.html").read_text()


def test_causes_of_no_cell_are_no_rows_of_the_table(
    store: Store, record: Callable[..., Record], tmp_path: Path
) -> None:
    store.add_record(record("six", result="FAIL", cause="crash"))
    build(store.db, tmp_path / "public")
    table, _, others = (tmp_path / "public/causes/index.html").read_text().partition("</table>")
    assert re.findall(r'<th scope="row"><a href="([^/]+)/', table) == ["crash"]
    assert set(re.findall(r'<li><a href="([^/]+)/', others)) == {*cause_help()} - {"crash"}


def test_only_the_newest_cells_are_listed(store: Store, record: Callable[..., Record], tmp_path: Path) -> None:
    for number in range(NEWEST_CELLS + 5):
        made = record(f"p{number:02}", "1.0", result="FAIL", cause="crash", observed_at=DAY + number % 7)
        store.insert_record(made, None)
    store.insert_record(record("other", "1.0", result="FAIL", cause="exits"), None)
    store.db.conn.commit()
    build(store.db, tmp_path / "public")
    html = (tmp_path / "public" / "causes" / "crash" / "index.html").read_text()
    assert f"The newest {NEWEST_CELLS} cells" in html
    newest = json.loads((tmp_path / "public" / "causes" / "crash.json").read_text())["newest"]
    assert len(newest) == NEWEST_CELLS
    order = [(-cell["observed_at"], cell["package"]) for cell in newest]
    assert order == sorted(order)


def test_hostile_text_stays_text(hostile: Store, tmp_path: Path) -> None:
    build(hostile.db, tmp_path / "public")
    folder = tmp_path / "public" / "causes"
    html = (folder / "unclassified" / "index.html").read_text()
    assert re.findall("<script[^>]*>", html) == ['<script type="module" src="../../site.js">']
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in html
    assert "\u202e" not in html
    data = (folder / "unclassified.json").read_bytes()
    assert all(byte >= 0x20 or byte == 0x0A for byte in data)


def test_the_longest_names_fit_on_a_page(store: Store, record: Callable[..., Record], tmp_path: Path) -> None:
    for number in range(NEWEST_CELLS):
        name = f"{number:03}" + "x" * 211
        store.insert_record(record(name, "1.0", result="FAIL", cause="crash", detail='"' * 500), None)
    store.db.conn.commit()
    build(store.db, tmp_path / "public")
    assert (tmp_path / "public" / "causes" / "crash" / "index.html").stat().st_size < 50_000


def test_publishing_again_changes_no_byte(small: Store, small_shuffled: Store, tmp_path: Path) -> None:
    def digests(out: Path) -> dict[str, str]:
        files = sorted((out / "causes").rglob("*.*"))
        return {str(f.relative_to(out)): hashlib.sha256(f.read_bytes()).hexdigest() for f in files}

    build(small.db, tmp_path / "a")
    build(small_shuffled.db, tmp_path / "b")
    assert digests(tmp_path / "a") == digests(tmp_path / "b")
    assert len(digests(tmp_path / "a")) == 2 * (1 + len(cause_help()))


@pytest.mark.parametrize(
    ("words", "html"),
    [
        ("run `pip <x>` & see", "run <code>pip &lt;x&gt;</code> &amp; see"),
        ("a ` alone", "a ` alone"),
        ("`<script>`", "<code>&lt;script&gt;</code>"),
    ],
)
def test_code_spans_in_help_texts(words: str, html: str) -> None:
    assert with_code_spans(words) == html
