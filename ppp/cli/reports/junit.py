"""Results as JUnit XML, in the form that CI systems have in common: a suite for each environment, a case for each file.

Text of a package has no character that XML lacks: what is not printable is replaced.
"""

import xml.etree.ElementTree as ET
from collections.abc import Sequence
from typing import assert_never

from ppp.cli.reports.item import ReportItem
from ppp.model.printable import printable, printable_line
from ppp.model.record import Result


def junit_report(items: Sequence[ReportItem]) -> str:
    """Return the XML document."""
    suites: dict[str, list[ReportItem]] = {}
    for item in items:
        suites.setdefault(item.environment, []).append(item)
    root = ET.Element("testsuites", {"name": "ppp check", **_counts(items)})
    for environment, cases in suites.items():
        suite = ET.SubElement(root, "testsuite", {"name": environment, **_counts(cases)})
        for item in cases:
            _add_case(suite, item)
    ET.indent(root)
    return ET.tostring(root, encoding="unicode", xml_declaration=False).join(
        ('<?xml version="1.0" encoding="UTF-8"?>\n', "\n")
    )


def _counts(items: Sequence[ReportItem]) -> dict[str, str]:
    results = [item.result for item in items]
    return {
        "tests": str(len(results)),
        "failures": str(results.count(Result.FAIL) + results.count(Result.TIMEOUT)),
        "errors": str(results.count(Result.ERROR)),
        "skipped": str(results.count(Result.NA)),
        "time": _seconds(sum(item.duration_ms for item in items)),
    }


def _seconds(duration_ms: int) -> str:
    return f"{duration_ms / 1000:.3f}"


def _add_case(suite: ET.Element, item: ReportItem) -> None:
    name = printable_line(item.subject)
    about = {"classname": item.environment, "name": name, "time": _seconds(item.duration_ms)}
    case = ET.SubElement(suite, "testcase", about)
    if tag := _tag(item.result):
        reason = item.reason or str(item.result)
        given = {"message": reason} if tag == "skipped" else {"message": reason, "type": item.cause or str(item.result)}
        ET.SubElement(case, tag, given).text = printable(item.log or "") or None
    if item.notes:
        ET.SubElement(case, "system-out").text = "\n".join(map(printable_line, item.notes))


def _tag(result: Result) -> str | None:
    """Return the element that says that a case did not pass; None for one that did."""
    match result:
        case Result.PASS:
            return None
        case Result.FAIL | Result.TIMEOUT:
            return "failure"
        case Result.ERROR:
            return "error"
        case Result.NA:
            return "skipped"
        case _:
            assert_never(result)
