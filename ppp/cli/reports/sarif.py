"""Results as SARIF 2.1.0, which code scanning reads: a rule for each cause, a result for each that did not pass.

Source: OASIS, "Static Analysis Results Interchange Format (SARIF) Version 2.1.0".
"""

import json
from collections.abc import Collection, Mapping, Sequence
from typing import Any, Final
from urllib.parse import quote

import ppp
from ppp.check.cause_rules import cause_help
from ppp.cli.reports.item import ReportItem
from ppp.model.record import Result

SCHEMA: Final = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"
VERSION: Final = "2.1.0"
#: The rule of what has no cause of its own.
OTHER_RULE: Final = "unclassified"
NOTE_RULE: Final = "note"


def sarif_report(items: Sequence[ReportItem], fail_on: Collection[Result]) -> str:
    """Return a log with one run, as JSON; the bytes depend on the results alone."""
    rules: dict[str, dict[str, Any]] = {}
    results = []
    for item in items:
        if item.result is not Result.PASS:
            level, text = _level(item.result, fail_on), item.reason or str(item.result)
            results.append(_result(item, _rule(rules, item.cause or OTHER_RULE), level, text))
        results += [_result(item, _rule(rules, NOTE_RULE), "note", note) for note in item.notes]
    driver = {"name": "ppp", "semanticVersion": ppp.__version__, "rules": list(rules.values())}
    succeeded = not any(item.result is Result.ERROR for item in items)
    run = {
        "tool": {"driver": driver},
        "invocations": [{"executionSuccessful": succeeded}],
        "columnKind": "unicodeCodePoints",
        "results": results,
    }
    return json.dumps({"$schema": SCHEMA, "version": VERSION, "runs": [run]}, indent=2) + "\n"


def _rule(rules: dict[str, dict[str, Any]], cause: str) -> tuple[str, int]:
    """Return a rule's id and its place, after adding it where it is new."""
    if cause not in rules:
        known = cause_help().get(cause)
        rules[cause] = {"id": cause, "shortDescription": {"text": known.title if known else cause}}
        if known:
            rules[cause] |= {"fullDescription": {"text": known.meaning}, "help": {"text": known.maintainer}}
    return cause, list(rules).index(cause)


def _result(item: ReportItem, rule: tuple[str, int], level: str, text: str) -> Mapping[str, Any]:
    id_, index = rule
    properties = {"environment": item.environment, "result": str(item.result)}
    properties |= {"phase": str(item.phase)} if item.phase else {}
    properties |= {"blame": str(item.blame)} if item.blame else {}
    return {
        "ruleId": id_,
        "ruleIndex": index,
        "level": level,
        "message": {"text": _plain(f"{item.subject} in {item.environment}: {text}")},
        "locations": [_location(item)],
        "properties": properties,
    }


def _location(item: ReportItem) -> Mapping[str, Any]:
    logical = [{"name": _plain(item.subject), "kind": "module"}]
    if not item.path:
        return {"logicalLocations": logical}
    uri = quote(item.path.removeprefix("./").encode("utf-8", "surrogateescape"))
    physical = {"artifactLocation": {"uri": uri}, "region": {"startLine": 1}}
    return {"physicalLocation": physical, "logicalLocations": logical}


def _level(result: Result, fail_on: Collection[Result]) -> str:
    if result in fail_on:
        return "error"
    return "note" if result is Result.NA else "warning"


def _plain(text: str) -> str:
    return text.encode("utf-8", "replace").decode("utf-8")
