"""What a page says of stand-in images: once, wherever it shows a result of one."""

from collections.abc import Callable
from pathlib import Path

import pytest
from journal_rows import follow, name_release

from ppp.ledger.store import Store
from ppp.model.record import Installed, Record
from ppp.model.trigger import Trigger, TriggerKind
from ppp.publish.build import build
from ppp.publish.site.standins import find_standins

DAY = 1_714_003_200


@pytest.mark.parametrize(
    ("cells", "environments", "marked"),
    [
        ([("py39-alpine", True), ("py39-slim", False)], ("py39-alpine",), set()),
        ([("py312-alpine", True), ("py39-alpine", True)], ("py39-alpine", "py312-alpine"), set()),
        # Of one environment, an earlier release ran on the official image: only a mark tells the cells apart.
        ([("py39-alpine", True), ("py39-alpine", False)], ("py39-alpine",), {"py39-alpine"}),
    ],
)
def test_standins(cells: list[tuple[str, bool]], environments: tuple[str, ...], marked: set[str]) -> None:
    found = find_standins(cells)
    assert found is not None
    assert found.environments == environments
    assert found.mixed == frozenset(marked)


def test_nothing_is_said_without_any() -> None:
    assert find_standins([("py39-alpine", False)]) is None


def test_every_page_and_badge_that_shows_one_says_so_once(
    store: Store, record: Callable[..., Record], tmp_path: Path, page: Callable[[Path], object]
) -> None:
    failing = {"result": "FAIL", "cause": "no-compiler", "standin": True}
    for version, at in (("1.0", DAY), ("2.0", DAY + 9)):
        store.add_record(record("six", version, "py312-alpine", observed_at=at, **failing))
        store.add_record(record("six", version, "py312-slim", observed_at=at))
    _break_another(store, record)
    follow(store, 90, DAY + 900)
    name_release(store, "six", "2.0", serial=10, at=DAY)
    build(store.db, tmp_path)
    listed = ("p/six", "findings/alpine-only", "env/py312-alpine", "causes/no-compiler", "packages")
    for path in (*listed, "journal", "journal/2024-04-25", "p/numpy/breaks/2.0"):
        text = page(tmp_path / path / "index.html").text  # type: ignore[attr-defined]
        assert text.count("stand-in") == 1, path
    for badge in ("badge/six.svg", "badge/six.json"):
        assert "1/2 environments, 1 stand-in" in (tmp_path / badge).read_text(), badge


def test_cells_are_marked_where_an_environment_has_both(
    store: Store, record: Callable[..., Record], tmp_path: Path, page: Callable[[Path], object]
) -> None:
    store.add_record(record("six", "1.0", "py312-alpine", observed_at=DAY))
    store.add_record(record("six", "2.0", "py312-alpine", observed_at=DAY + 9, standin=True))
    build(store.db, tmp_path)
    words = " ".join(page(tmp_path / "p/six/index.html").text.split())  # type: ignore[attr-defined]
    assert "PASS stand-in" in words
    assert "stand-in py312-alpine, of some only the marked cells: ran on substitutes" in words
    assert words.count("stand-in") == 2


def _break_another(store: Store, record: Callable[..., Record]) -> None:
    # On a stand-in, six fails when it is checked again after a release of numpy.
    environment = "py312-alpine"
    store.add_record(record("numpy", "2.0", environment, observed_at=DAY))
    for at, version in ((20, "1.26"), (30, "2.0")):
        installed = (Installed(name="numpy", version=version, sha256=None),)
        failed = version == "2.0"
        trigger = Trigger(kind=TriggerKind.DEPENDENCY, name="numpy", version=version) if failed else None
        result = {"result": "FAIL", "cause": "no-compiler"} if failed else {}
        again = record("six", "2.0", environment, observed_at=DAY + at, installed=installed, triggered_by=trigger,
                       standin=True, **result)  # fmt: skip
        store.add_record(again)
