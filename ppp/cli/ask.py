"""`ppp ask`: what is known about packages, requirements files and locks."""

import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

import click
from rich.console import Console
from rich.table import Table
from rich.text import Text

from ppp.cli.options import data_option, environments_option, json_option, make_context, parse_packages, print_answer
from ppp.cli.paths import NonEmptyPath
from ppp.cli.results import PIPE_WIDTH
from ppp.model.answers import Answer, AnswerState, CellAnswer
from ppp.model.printable import printable_line
from ppp.model.release import RequestedPackage
from ppp.runner.ask import ask as answers_of
from ppp.runner.ask import read_wanted

GLYPHS: Final = {
    AnswerState.WORKS: "✓",
    AnswerState.FAILS: "✗",
    AnswerState.NOT_CLAIMED: "–",  # noqa: RUF001 - the en dash is intended
    AnswerState.UNKNOWN: "?",
    AnswerState.NOT_NEEDED: " ",
}
STYLES: Final = {
    AnswerState.WORKS: "green",
    AnswerState.FAILS: "bold red",
    AnswerState.NOT_CLAIMED: "bold red",
    AnswerState.UNKNOWN: "dim",
    AnswerState.NOT_NEEDED: "dim",
}
#: What a number of cells is followed by.
COUNTED: Final = {
    AnswerState.WORKS: "pass",
    AnswerState.FAILS: "fail",
    AnswerState.NOT_CLAIMED: "not claimed",
    AnswerState.UNKNOWN: "unknown",
    AnswerState.NOT_NEEDED: "not needed",
}
#: States in which an installation fails.
FAILING: Final = frozenset({AnswerState.FAILS, AnswerState.NOT_CLAIMED})


@click.command()
@click.argument("packages", metavar="[PACKAGE]...", callback=parse_packages, nargs=-1)
@click.option(
    "-r",
    "--requirements",
    type=NonEmptyPath(),
    multiple=True,
    help="Ask about what this requirements file or pylock.toml names (may be repeated).",
)
@environments_option("Ask only about this environment (may be repeated).")
@click.option("--from", "url", metavar="URL", default="", help="Ask the node that publishes here, not this ledger.")
@data_option
@json_option
def ask(
    *,
    packages: tuple[RequestedPackage, ...],
    requirements: tuple[Path, ...],
    environments: tuple[str, ...],
    url: str,
    data: Path | None,
    as_json: bool,
) -> None:
    """Show what works where, what fails and why, of what was checked.

    The answer for a version range is about the newest checked version that pip would take there. Exit with 1 if
    something fails, or does not claim an environment. What was not checked is told and fails nothing.
    """
    context = make_context(data)
    entries, notes = read_wanted(packages, requirements)
    for note in notes:
        context.reporter.note(note)
    answers = answers_of(context.config, entries, environments, url=url)
    if as_json:
        print_answer({"answers": [answer_json(answer) for answer in answers]}, "", as_json=True)
    else:
        out = Console() if sys.stdout.isatty() else Console(width=PIPE_WIDTH)
        out.print(answer_table(answers))
        click.echo("\n".join(["", *explanations(answers)]))
    if any(cell.state in FAILING for answer in answers for cell in answer.cells):
        raise SystemExit(1)


def answer_table(answers: Sequence[Answer]) -> Table:
    """Return a table of requirements by environments: a glyph, and the version that the answer is about."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("package", overflow="fold")
    for cell in answers[0].cells:
        table.add_column(cell.environment.replace("-", "\n"), overflow="fold")
    for answer in answers:
        cells = [Text(f"{GLYPHS[c.state]} {c.version or ''}".rstrip(), style=STYLES[c.state]) for c in answer.cells]
        table.add_row(Text(str(answer.wanted)), *cells)
    return table


def explanations(answers: Sequence[Answer]) -> list[str]:
    """Return a line for each way in which something does not work or is not known, then a line that counts."""
    lines = [line for answer in answers for line in _explain(answer)]
    standins = sorted({c.environment for a in answers for c in a.cells if c.cell and c.cell.standin})
    if standins:
        lines.append(f"stand-ins, not the real images: {', '.join(standins)}")
    states = [cell.state for answer in answers for cell in answer.cells]
    counts = [f"{states.count(state)} {COUNTED[state]}" for state in AnswerState if state in states]
    return [*lines, f"cells: {', '.join(counts)}"]


def _explain(answer: Answer) -> Iterator[str]:
    groups: dict[tuple[str, ...], list[str]] = {}
    for cell in answer.cells:
        if cell.state in GLYPHS and cell.state not in {AnswerState.WORKS, AnswerState.NOT_NEEDED}:
            groups.setdefault((GLYPHS[cell.state], *_reason(answer, cell)), []).append(cell.environment)
    for (glyph, what, then), places in groups.items():
        more = f"; {then}" if then else ""
        yield printable_line(f"{glyph} {what} [{', '.join(places)}]{more}")


def _reason(answer: Answer, cell: CellAnswer) -> tuple[str, str]:
    """Return what is the matter in an environment, and what to do about it."""
    package = answer.wanted.package
    nearest = f"{package}=={cell.nearest} passes there" if cell.nearest else ""
    if cell.state is AnswerState.UNKNOWN:
        which = f"{package}=={cell.version}" if cell.version else str(answer.wanted)
        what = "" if answer.is_known else ": that says nothing about it"
        command = f"`ppp run --package '{which}'` checks it"
        return f"{which} was not checked{what}", f"{nearest}; {command}" if nearest else command
    release = f"{package}=={cell.version}"
    known = cell.cell
    why = ": ".join(word for word in (known.cause, known.detail) if word) if known else ""
    if cell.state is AnswerState.NOT_CLAIMED:
        return f"{release} does not claim{f' ({why})' if why else ''}", nearest
    word = known.result if known else "FAIL"
    blame = f", blame: {known.blame}" if known and known.blame else ""
    return f"{release} {word}{f' {why}' if why else ''}{blame}", nearest or "no checked version passes there"


def answer_json(answer: Answer) -> dict[str, object]:
    """Return an answer as the object that `--json` prints."""
    return {
        "requirement": str(answer.wanted),
        "package": answer.wanted.package,
        "known": answer.is_known,
        "environments": {
            cell.environment: {
                "state": cell.state,
                "version": cell.version,
                "result": cell.cell.result if cell.cell else None,
                "cause": (cell.cell.cause or None) if cell.cell else None,
                "detail": (cell.cell.detail or None) if cell.cell else None,
                "blame": cell.cell.blame if cell.cell else None,
                "standin": cell.cell.standin if cell.cell else None,
                "nearest": cell.nearest,
            }
            for cell in answer.cells
        },
    }
