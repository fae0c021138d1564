"""Results as workflow commands of GitHub Actions, which it shows as annotations.

Source: "Workflow commands for GitHub Actions", and the toolkit's `command.ts` for what is escaped: in a message `%`, CR
and LF; in a property also `:` and `,`. Every line that is no command begins with a glyph, so that no text of a package
becomes one; and the older form, `##[` anywhere in a line, is taken apart.
"""

from collections.abc import Collection, Iterator, Sequence

from ppp.cli.reports.item import ReportItem
from ppp.model.record import Result


def annotations(items: Sequence[ReportItem], fail_on: Collection[Result]) -> str:
    """Return a line for each result, and one for each note: errors are those that `fail_on` names."""
    return "".join(f"{line}\n" for item in items for line in _lines(item, fail_on))


def _lines(item: ReportItem, fail_on: Collection[Result]) -> Iterator[str]:
    title = f"{item.result} in {item.environment}"
    if item.result is Result.PASS:
        yield item.line.replace("##[", "## [")
    else:
        yield _command(_level(item.result, fail_on), item.path, title, f"{item.subject}: {item.reason}")
    for note in item.notes:
        yield _command("notice", item.path, title, f"{item.subject}: {note}")


def _level(result: Result, fail_on: Collection[Result]) -> str:
    if result in fail_on:
        return "error"
    return "notice" if result is Result.NA else "warning"


def _command(level: str, path: str, title: str, message: str) -> str:
    properties = {"file": path, "title": title} if path else {"title": title}
    given = ",".join(f"{name}={_property(value)}" for name, value in properties.items())
    return f"::{level} {given}::{_data(message)}"


def _data(text: str) -> str:
    # Surrogates of a path that is no UTF-8 cannot be written everywhere.
    plain = text.encode("utf-8", "replace").decode("utf-8")
    return plain.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")
