"""Summaries of packages: which cells make a finding, and since when."""

from collections.abc import Callable, Mapping

import pytest

from ppp.ledger.store import Store
from ppp.model.blame import BlameSource
from ppp.model.matrix import Environment, Platform
from ppp.model.on_index import OnIndex
from ppp.model.record import Blame, Outcome, Record, Result
from ppp.publish.packages.finding_kinds import FindingKind
from ppp.publish.packages.history import PackageHistory
from ppp.publish.packages.read import read_packages
from ppp.publish.packages.summary import PackageSummary, summarize
from ppp.publish.packages.totals import ledger_counts, package_totals

DAY = 1_714_003_200
ENVIRONMENTS = [
    Environment(id=f"py{python.replace('.', '')}-{platform}", python=python, platform=platform)
    for platform in (Platform.SLIM, Platform.ALPINE)
    for python in ("3.9", "3.11", "3.12")
]
UNINSTALLED = (Outcome.PASS, Outcome.PASS, Outcome.FAIL, Outcome.SKIP)
Cells = Mapping[tuple[str, str], str]


def six(store: Store) -> PackageHistory:
    """Return the history of the only package."""
    (only,) = read_packages(store.db, ["six"], ENVIRONMENTS)
    return only


@pytest.fixture
def summary_of(store: Store, record: Callable[..., Record]) -> Callable[[Cells], PackageSummary]:
    """Make a summary from cells' results by version and environment; a `FAIL` is one of the phase `full`."""

    def make(cells: Cells, **changes: object) -> PackageSummary:
        for (version, environment), result in cells.items():
            more = {"outcomes": UNINSTALLED} if result == "FAIL" else {}
            store.add_record(record("six", version, environment, result=result, **more | changes))
        return summarize(six(store))

    return make


@pytest.mark.parametrize(
    ("before", "now", "kind"),
    [
        ("PASS", "FAIL", FindingKind.NEWLY_BROKEN),
        ("PASS", "TIMEOUT", FindingKind.NEWLY_BROKEN),
        ("FAIL", "PASS", FindingKind.FIXED),
        ("TIMEOUT", "PASS", FindingKind.FIXED),
        ("FAIL", "FAIL", FindingKind.STILL_BROKEN),
        ("PASS", "PASS", None),
        ("NA", "FAIL", None),
        ("ERROR", "FAIL", None),
        ("PASS", "ERROR", None),
        ("FAIL", "NA", None),
    ],
)
def test_findings_against_the_release_before(
    before: str, now: str, kind: FindingKind | None, summary_of: Callable[[Cells], PackageSummary]
) -> None:
    found = summary_of({("1.0", "py312-slim"): before, ("1.1", "py312-slim"): now}).findings
    assert set(found) == ({kind} if kind else set())
    if kind:
        (cell,) = found[kind]
        assert (cell.version, cell.environment, cell.result) == ("1.1", "py312-slim", now)
        assert cell.before
        assert (cell.before.version, cell.before.result) == ("1.0", before)


def test_an_error_does_not_count_as_the_result_before(summary_of: Callable[[Cells], PackageSummary]) -> None:
    summary = summary_of({("1.0", "py312-slim"): "PASS", ("1.1", "py312-slim"): "ERROR", ("1.2", "py312-slim"): "FAIL"})
    (cell,) = summary.findings[FindingKind.NEWLY_BROKEN]
    assert cell.before
    assert cell.before.version == "1.0"


def test_fails_on_alpine_only(summary_of: Callable[[Cells], PackageSummary]) -> None:
    summary = summary_of(
        {("1.0", "py312-slim"): "PASS", ("1.0", "py312-alpine"): "FAIL", ("1.0", "py39-alpine"): "FAIL"}
    )
    assert [cell.environment for cell in summary.findings[FindingKind.ALPINE_ONLY]] == ["py312-alpine"]
    assert [cell.environment for cell in summary.findings[FindingKind.NEVER_ON_ALPINE]] == [
        "py39-alpine",
        "py312-alpine",
    ]


def test_one_version_that_installs_on_alpine_is_no_never_on_alpine(
    summary_of: Callable[[Cells], PackageSummary],
) -> None:
    summary = summary_of({
        ("1.0", "py312-slim"): "PASS", ("1.0", "py312-alpine"): "PASS", ("1.1", "py312-alpine"): "FAIL",
    })  # fmt: skip
    assert FindingKind.NEVER_ON_ALPINE not in summary.findings


@pytest.mark.parametrize(("alpine", "found"), [("NA", True), ("ERROR", False)])
def test_never_on_alpine_with_and_without_a_verdict_there(
    alpine: str, *, found: bool, summary_of: Callable[[Cells], PackageSummary]
) -> None:
    summary = summary_of({("1.0", "py312-slim"): "PASS", ("1.0", "py312-alpine"): alpine})
    assert (FindingKind.NEVER_ON_ALPINE in summary.findings) == found


def test_fails_on_a_newer_python_only(summary_of: Callable[[Cells], PackageSummary]) -> None:
    summary = summary_of({("1.0", "py39-slim"): "PASS", ("1.0", "py312-slim"): "FAIL", ("1.0", "py311-alpine"): "FAIL"})
    assert [cell.environment for cell in summary.findings[FindingKind.PYTHON_REGRESSION]] == ["py312-slim"]


def test_an_older_python_is_no_regression(summary_of: Callable[[Cells], PackageSummary]) -> None:
    assert summary_of({("1.0", "py39-slim"): "FAIL", ("1.0", "py312-slim"): "PASS"}).findings == {}


def test_installs_but_does_not_import(store: Store, record: Callable[..., Record]) -> None:
    store.add_record(record("six", "1.0", "py312-slim", result="FAIL"))
    summary = summarize(six(store))
    assert set(summary.findings) == {FindingKind.PHANTOM_SUCCESS}


def test_a_dependency_to_blame(summary_of: Callable[..., PackageSummary]) -> None:
    summary = summary_of({("1.0", "py312-slim"): "FAIL"}, blame=Blame.DEPENDENCY, detail="cffi: no compiler")
    (cell,) = summary.findings[FindingKind.BROKEN_DEPENDENCY]
    assert (cell.blame, cell.blamed_by, cell.detail) == (Blame.DEPENDENCY, BlameSource.LOG, "cffi: no compiler")


def test_findings_are_about_the_newest_release_only(summary_of: Callable[[Cells], PackageSummary]) -> None:
    summary = summary_of({("1.0", "py312-slim"): "FAIL", ("1.1", "py39-slim"): "PASS"})
    assert summary.findings == {}
    assert summary.failing == ()
    assert summary.result_counts == ((Result.PASS, 1),)


def test_since_is_when_the_verdict_changed(store: Store, record: Callable[..., Record]) -> None:
    for at, result in ((DAY, "PASS"), (DAY + 10, "FAIL"), (DAY + 20, "ERROR"), (DAY + 30, "FAIL")):
        store.add_record(record("six", "1.0", result=result, observed_at=at))
    summary = summarize(six(store))
    assert [(cell.since, cell.observed_at) for cell in summary.failing] == [(DAY + 10, DAY + 30)]


def test_passing_and_claimed_environments(summary_of: Callable[[Cells], PackageSummary]) -> None:
    summary = summary_of({
        ("1.0", "py39-slim"): "NA", ("1.0", "py311-slim"): "PASS", ("1.0", "py312-slim"): "FAIL",
        ("1.0", "py312-alpine"): "ERROR", ("1.0", "py311-alpine"): "TIMEOUT",
    })  # fmt: skip
    assert (summary.passing, summary.claimed) == (1, 3)


def test_a_current_change_has_the_blame_that_sibling_cells_decide(store: Store, record: Callable[..., Record]) -> None:
    failed = {"result": "FAIL", "cause": "import-error", "blame": Blame.PACKAGE}
    store.add_record(record("six", "1.0", "py312-slim"))
    store.add_record(record("six", "1.0", "py312-alpine", **failed))
    (change,) = [c for c in six(store).changes if c.verdict.result is Result.FAIL]
    assert (change.verdict.blame, change.verdict.blamed_by) == (Blame.ENVIRONMENT, BlameSource.SIBLINGS)
    # A record that is no longer current keeps the blame that its log gave.
    store.add_record(record("six", "1.0", "py312-alpine", observed_at=DAY + 10_000, **failed))
    (change,) = [c for c in six(store).changes if c.verdict.result is Result.FAIL]
    assert (change.verdict.blame, change.verdict.blamed_by) == (Blame.PACKAGE, BlameSource.LOG)


SPLIT: Cells = {("1.0", "py312-slim"): "PASS", ("1.0", "py312-alpine"): "FAIL"}


@pytest.mark.parametrize(("newest", "expected"), [("1.0", None), ("2.0", "2.0"), ("0.9", "0.9")])
def test_a_finding_says_where_pip_takes_another_version(
    summary_of: Callable[..., PackageSummary], newest: str, expected: str | None
) -> None:
    summary = summary_of(SPLIT, on_index=OnIndex(newest=newest, versions=5))
    assert {cell.index_newest for cells in summary.findings.values() for cell in cells} == {expected}
    assert {cell.index_newest for cell in summary.failing} == {expected}


def test_the_newest_observation_says_what_the_index_listed(store: Store, record: Callable[..., Record]) -> None:
    # Whichever version it is of; and a record without it says nothing.
    for place, (version, listed) in enumerate((("2.0", "2.0"), ("1.0", "3.0"), ("2.0", None))):
        on_index = listed and OnIndex(newest=listed, versions=3)
        store.add_record(record("six", version, "py312-slim", observed_at=DAY + place, on_index=on_index))
    assert six(store).checked_versions.other_newest == "3.0"


def test_never_says_in_how_many_versions_of_how_many(summary_of: Callable[..., PackageSummary]) -> None:
    summary = summary_of({**SPLIT, ("0.9", "py312-alpine"): "FAIL"}, on_index=OnIndex(newest="1.0", versions=5))
    (cell,) = summary.findings[FindingKind.NEVER_ON_ALPINE]
    assert cell.remark == "2 versions checked of 5"


@pytest.mark.parametrize("version", ["5.4.1", "6.0.4", "5.4"])
def test_an_exhibit_is_in_no_finding(version: str, store: Store, record: Callable[..., Record]) -> None:
    is_exhibit = version == "5.4.1"
    for environment, result in (("py312-slim", "PASS"), ("py312-alpine", "FAIL")):
        more = {"outcomes": UNINSTALLED} if result == "FAIL" else {}
        store.add_record(record("pyyaml", version, environment, result=result, yanked="no", **more))
    (history,) = read_packages(store.db, ["pyyaml"], ENVIRONMENTS)
    summary = summarize(history)
    assert summary.is_exhibit == is_exhibit
    assert (not summary.findings) == is_exhibit
    assert summary.failing, "that is a result"
    exhibits = ledger_counts(package_totals(history).totals, records=2, as_of=DAY).exhibits
    assert (exhibits[Result.PASS], exhibits[Result.FAIL]) == ((1, 1) if is_exhibit else (0, 0))
