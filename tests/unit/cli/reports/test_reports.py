"""Results of `ppp check` in each format, with text of packages and paths that try to be something else."""

import json
import xml.etree.ElementTree as ET
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import click
import pytest
from hostile_strings import HOSTILE_STRINGS
from jsonschema import Draft4Validator
from sample_record import SAMPLE_RECORD

from ppp.cli.reports.github import annotations
from ppp.cli.reports.item import ReportItem, failure, parse_fail_on
from ppp.cli.reports.junit import junit_report
from ppp.cli.reports.sarif import sarif_report
from ppp.cli.reports.text import json_report, text_of
from ppp.model.record import Blame, Outcome, Phase, Result, outcomes_in_order

#: As OASIS publishes it (errata 01).
SARIF: Final = json.loads(
    (Path(__file__).parents[3] / "support" / "sarif-2.1.0.schema.json").read_text("utf-8"),
)
FAIL_ON: Final = frozenset({Result.FAIL})


def item(result: str = "FAIL", path: str = "dist/lib-1.0.tar.gz", **changes: Any) -> ReportItem:
    failed = result != "PASS"
    passing = dict.fromkeys(Phase, Outcome.PASS)
    return replace(
        ReportItem(
            subject=path or "six==1.0",
            path=path,
            environment="py312-slim",
            result=Result(result),
            phase=Phase.IMPORT if failed else None,
            cause="module-missing" if failed else None,
            blame=Blame.PACKAGE if failed else None,
            detail="No module named 'x'" if failed else None,
            log="Traceback\nline" if failed else None,
            record=None if failed else replace(SAMPLE_RECORD, outcomes=outcomes_in_order(passing)),
        ),
        **changes,
    )


ALL: Final = [item(result) for result in ("PASS", "FAIL", "TIMEOUT", "ERROR", "NA")]


def hostile() -> Sequence[ReportItem]:
    return [
        item(detail=text, log=text, subject=text, path=text or "x", notes=(text,)) for text in HOSTILE_STRINGS.values()
    ]


# ---------------------------------------------------------------- --fail-on


@pytest.mark.parametrize(
    ("text", "results"),
    [
        ("FAIL", {Result.FAIL}),
        ("fail, TIMEOUT", {Result.FAIL, Result.TIMEOUT}),
        ("FAIL,TIMEOUT,ERROR,NA", {Result.FAIL, Result.TIMEOUT, Result.ERROR, Result.NA}),
        ("none", set()),
    ],
)
def test_results_that_fail_are_named_with_commas(text: str, results: set[Result]) -> None:
    assert parse_fail_on(click.Context(click.Command("x")), click.Option(["--x"]), text) == results


@pytest.mark.parametrize("text", ["", "PASS", "FAIL,", "none,FAIL", "all", "\x1b[31m"])
def test_any_other_word_is_an_error(text: str) -> None:
    with pytest.raises(click.BadParameter, match="FAIL, TIMEOUT, ERROR, NA"):
        parse_fail_on(click.Context(click.Command("x")), click.Option(["--x"]), text)


@pytest.mark.parametrize(
    ("results", "code"),
    [
        (["PASS"], None),
        (["PASS", "NA"], None),
        (["TIMEOUT"], None),
        (["NA", "NA"], 59),
        (["PASS", "ERROR"], 58),
        (["NA", "ERROR"], 58),
    ],
)
def test_a_check_that_checked_nothing_is_no_success(results: list[str], code: int | None) -> None:
    items = [item(result) for result in results]
    found = failure(items, FAIL_ON)
    assert (found and found.exit_code) == code
    assert failure(items, frozenset()) is None, "--fail-on none"


def test_an_environment_that_no_file_is_for_is_named() -> None:
    found = failure([item("NA"), item("NA", environment="py311-slim"), item(environment="py311-slim")], FAIL_ON)
    assert str(found).startswith("no file is for py312-slim: ")
    assert failure([item("NA", path="")], FAIL_ON) is None, "of a release, that is an answer"


# ---------------------------------------------------------------- annotations


def test_annotations_have_the_level_that_the_command_has() -> None:
    lines = annotations(ALL, FAIL_ON).splitlines()
    assert [line.partition(" ")[0] for line in lines] == ["✓", "::error", "::warning", "::warning", "::notice"]
    text = "dist/lib-1.0.tar.gz"
    assert lines[1] == f"::error file={text},title=FAIL in py312-slim::{text}: module-missing: No module named 'x'"


@pytest.mark.attack("inert-text")
def test_what_ends_a_command_or_a_property_is_escaped() -> None:
    found = item(path="a,b:c%\r\n.whl", subject="s", detail="100%: a, b", notes=("x\r\n::error::y",))
    assert annotations([found], FAIL_ON).splitlines() == [
        "::error file=a%2Cb%3Ac%25%0D%0A.whl,title=FAIL in py312-slim::s: module-missing: 100%25: a, b",
        "::notice file=a%2Cb%3Ac%25%0D%0A.whl,title=FAIL in py312-slim::s: x%0D%0A::error::y",
    ]


@pytest.mark.attack("inert-text")
def test_the_older_form_of_a_command_is_taken_apart() -> None:
    passed = item("PASS", subject="##[error]x", path="##[error]x")
    assert annotations([passed], FAIL_ON) == "✓ PASS    ## [error]x in py312-slim\n"


@pytest.mark.attack("inert-text")
def test_text_of_others_never_begins_a_command() -> None:
    for found in hostile():
        lines = annotations([found, replace(found, result=Result.PASS, notes=())], FAIL_ON).split("\n")
        starts = [line[:8] for line in lines]
        assert [start.partition(" ")[0] for start in starts] == ["::error", "::notice", "✓", ""]
        assert all(line.count("::") >= 1 for line in lines[:2])


# ---------------------------------------------------------------- SARIF


def faults(text: str) -> list[str]:
    return [error.message for error in Draft4Validator(SARIF).iter_errors(json.loads(text))]


def test_sarif_is_valid_by_the_published_schema() -> None:
    text = sarif_report([*ALL, item(path="", cause=None, blame=None, phase=None), item(notes=("odd",))], FAIL_ON)
    assert faults(text) == []
    (run,) = json.loads(text)["runs"]
    assert [(r["ruleId"], r["level"]) for r in run["results"]] == [
        ("module-missing", "error"),
        ("module-missing", "warning"),
        ("module-missing", "warning"),
        ("module-missing", "note"),
        ("unclassified", "error"),
        ("module-missing", "error"),
        ("note", "note"),
    ]
    ids = [rule["id"] for rule in run["tool"]["driver"]["rules"]]
    assert all(ids[result["ruleIndex"]] == result["ruleId"] for result in run["results"])
    assert run["invocations"] == [{"executionSuccessful": False}]
    assert faults(sarif_report([], FAIL_ON)) == []


def test_sarif_names_files_as_uris() -> None:
    (run,) = json.loads(sarif_report([item(path="./dist/a b#1.whl")], FAIL_ON))["runs"]
    assert run["results"][0]["locations"][0]["physicalLocation"]["artifactLocation"] == {"uri": "dist/a%20b%231.whl"}


@pytest.mark.attack("inert-text")
def test_sarif_is_valid_whatever_a_package_writes() -> None:
    assert faults(sarif_report(hostile(), FAIL_ON)) == []


# ---------------------------------------------------------------- JUnit


def parsed(text: str) -> ET.Element:
    return ET.fromstring(text)  # noqa: S314 - our own document


def test_junit_counts_what_it_holds() -> None:
    root = parsed(junit_report([*ALL, item("PASS", environment="py311-slim", notes=("odd",))]))
    assert root.tag == "testsuites"
    suites = {suite.attrib["name"]: suite for suite in root}
    counts = ("tests", "failures", "errors", "skipped")
    assert [suites["py312-slim"].attrib[name] for name in counts] == ["5", "2", "1", "1"]
    assert [root.attrib[name] for name in counts] == ["6", "2", "1", "1"]
    tags = [[child.tag for child in case] for case in suites["py312-slim"]]
    assert tags == [[], ["failure"], ["failure"], ["error"], ["skipped"]]
    failure = suites["py312-slim"][1][0]
    assert (failure.attrib, failure.text) == (
        {"message": "module-missing: No module named 'x'", "type": "module-missing"},
        "Traceback\nline",
    )
    assert suites["py311-slim"][0][0].text == "odd"


@pytest.mark.attack("inert-text")
def test_junit_is_well_formed_whatever_a_package_writes() -> None:
    found = hostile()
    root = parsed(junit_report(found))
    assert len(root[0]) == len(found)


# ---------------------------------------------------------------- JSON and text


def test_json_of_a_file_is_nobodys_record() -> None:
    (row,) = json.loads(json_report([item("PASS")]))["results"]
    assert (row["path"], row["package"], row["result"]) == ("dist/lib-1.0.tar.gz", "six", "PASS")
    assert {"node", "record"}.isdisjoint(row)
    (row,) = json.loads(json_report([item("PASS", path="")]))["results"]
    assert len(row["record"]) == 64
    assert json.loads(json_report(hostile()))["results"]


@pytest.mark.attack("inert-text")
def test_text_has_no_control_characters() -> None:
    for found in hostile():
        shown = text_of(found)
        assert all(character.isprintable() or character == "\n" for character in shown)
    shown = text_of(item("PASS", notes=("odd\x1b",)))
    assert "record    none, as no index has released this file" in shown
    assert shown.endswith("note      odd\N{REPLACEMENT CHARACTER}")
