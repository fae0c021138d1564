"""Results as text for a person, and as JSON."""

from collections.abc import Mapping, Sequence

from ppp import console
from ppp.cli.reports.item import ReportItem
from ppp.cli.results import record_json
from ppp.model.printable import printable, printable_line


def text_of(item: ReportItem) -> str:
    """Return what happened in each phase, as printable text of several lines."""
    if item.record is None:
        return item.line
    lines = [console.cell_report(item.record, item.log, is_stored=not item.path)]
    lines = [f"{item.path}", *lines] if item.path else lines
    return "\n".join([*map(printable, lines), *(f"  note      {note}" for note in map(_line, item.notes))])


def _line(text: str) -> str:
    return printable_line(text)


def json_of(item: ReportItem) -> Mapping[str, object]:
    """Return a result as an object: a release's is the published record, with its id as `record`, and its log.

    A file's has the same fields as far as they apply, without a node and an id, as it is nobody's record; `path` says
    which file it is about.
    """
    if not item.path and item.record:
        return {**record_json(item.record), "log": item.log}
    own: dict[str, object] = {
        "path": item.path,
        "environment": item.environment,
        "result": str(item.result),
        "cause": item.cause,
        "blame": item.blame and str(item.blame),
        "detail": item.detail,
        "failed_phase": item.phase and str(item.phase),
        "notes": list(item.notes),
        "log": item.log,
    }
    known = item.record.to_json() if item.record else {}
    return {**{key: value for key, value in known.items() if key != "node"}, **own}


def json_report(items: Sequence[ReportItem]) -> str:
    """Return all results as one JSON document."""
    return console.format_json({"results": [json_of(item) for item in items]}) + "\n"
