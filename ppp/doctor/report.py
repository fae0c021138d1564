"""Lay out diagnoses as text for a person: a glyph, a word and a line for each, and below it what to do."""

import textwrap
from collections import Counter
from collections.abc import Sequence
from typing import Final

import click

from ppp.doctor.diagnosis import Diagnosis, State
from ppp.model.printable import printable

#: A glyph beside each word, so that nothing depends on colour alone.
GLYPHS: Final = {State.OK: "✓", State.NOTE: "·", State.WARN: "!", State.BROKEN: "✗"}
#: The word in the total, for one and for several.
NOUNS: Final = {
    State.OK: ("ok", "ok"),
    State.NOTE: ("note", "notes"),
    State.WARN: ("warning", "warnings"),
    State.BROKEN: ("broken", "broken"),
}
COLOURS: Final = {State.OK: "green", State.NOTE: "blue", State.WARN: "yellow", State.BROKEN: "red"}


def format_report(diagnoses: Sequence[Diagnosis], *, width: int, colour: bool) -> str:
    """Return the diagnoses as lines of at most `width` columns, and below them how many there are of each kind."""
    margin = max(len(d.subject) for d in diagnoses) + 10
    lines = [line for d in diagnoses for line in _lines(d, width=width, margin=margin, colour=colour)]
    counts = Counter(d.state for d in diagnoses)
    total = ", ".join(f"{counts[state]} {NOUNS[state][counts[state] != 1]}" for state in State if counts[state])
    return "\n".join([*lines, "", f"{len(diagnoses)} checks: {total}"])


def _lines(diagnosis: Diagnosis, *, width: int, margin: int, colour: bool) -> list[str]:
    state = f"{GLYPHS[diagnosis.state]} {diagnosis.state:6}"
    shown = click.style(state, fg=COLOURS[diagnosis.state]) if colour else state
    begin = f"{diagnosis.subject:{margin - len(state) - 2}} "
    found = _wrapped(diagnosis.found, begin, width=width - len(state) - 1, indent=margin - len(state) - 1)
    advice = _wrapped(diagnosis.remedy, "→ ", width=width - margin, indent=2) if diagnosis.remedy else []
    rest = [" " * (len(state) + 1) + line for line in found[1:]] + [" " * margin + line for line in advice]
    return [f"{shown} {found[0]}", *rest]


def _wrapped(text: str, begin: str, *, width: int, indent: int) -> list[str]:
    # Text from outside is shown without control characters; a word is broken only if it alone is wider than a line.
    one_line = " ".join(printable(text).split())
    return textwrap.wrap(
        one_line, width, initial_indent=begin, subsequent_indent=" " * indent, break_on_hyphens=False
    ) or [begin.rstrip()]
