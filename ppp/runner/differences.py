"""What differs between two observations of one cell. Pure.

What decides is what a record claims: the result and the outcome of each phase, the cause, the file, the modules and
what was installed. Logs are compared too, without what changes from run to run, but decide nothing: a tool may say the
same in other words.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from difflib import unified_diff
from typing import Final

from ppp.check.recorded_text import CUT_NOTICE, comparable_line
from ppp.model.record import PHASES, DistributionFile, Record

#: How many lines of a comparison of logs are shown.
MAX_LOG_LINES: Final = 60


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """One thing that differs: what it is about, as it was, and as it is now; `""` where there is nothing."""

    about: str
    before: str
    now: str

    def __str__(self) -> str:
        """Return it as a line."""
        return f"{self.about}: {self.before or 'nothing'}, now {self.now or 'nothing'}"

    def to_json(self) -> dict[str, str]:
        """Return the object that an answer in JSON shows."""
        return {"about": self.about, "before": self.before, "now": self.now}


@dataclass(frozen=True, slots=True, kw_only=True)
class Differences:
    """What differs in phases (with the result and the cause) and in files (with the modules); lines about the logs."""

    phases: tuple[Difference, ...] = ()
    files: tuple[Difference, ...] = ()
    log: tuple[str, ...] = ()

    @property
    def is_same(self) -> bool:
        """Whether both observations make the same claims."""
        return not (self.phases or self.files)


def compare(before: Record, now: Record, *, log_before: str | None, log_now: str | None) -> Differences:
    """Return what differs between an earlier observation of a cell and a later one, with their logs, None for none."""
    return Differences(
        phases=tuple(_phases(before, now)),
        files=tuple(_files(before, now)),
        log=tuple(_log_lines(log_before or "", log_now or "")),
    )


def _phases(before: Record, now: Record) -> Iterator[Difference]:
    pairs = [("result", str(before.result), str(now.result))]
    pairs += [(str(phase), str(before.outcome(phase)), str(now.outcome(phase))) for phase in PHASES]
    # A cause that was proven is not what a single run suggests.
    if before.drift is None and now.drift is None:
        pairs.append(("cause", before.cause or "", now.cause or ""))
    yield from (Difference(about=about, before=old, now=new) for about, old, new in pairs if old != new)


def _files(before: Record, now: Record) -> Iterator[Difference]:
    if before.file != now.file:
        yield Difference(about="file", before=_named(before.file), now=_named(now.file))
    old, new = _installed(before), _installed(now)
    for name in sorted({*old, *new}):
        if old.get(name) != new.get(name):
            yield Difference(about=name, before=old.get(name, ""), now=new.get(name, ""))
    if before.imports != now.imports:
        yield Difference(about="modules", before=", ".join(before.imports), now=", ".join(now.imports))


def _named(file: DistributionFile | None) -> str:
    return "" if file is None else f"{file.filename} ({file.sha256[:12]})"


def _installed(record: Record) -> Mapping[str, str]:
    return {one.name: f"{one.version} ({(one.sha256 or 'no hash')[:12]})" for one in record.installed}


def _log_lines(before: str, now: str) -> list[str]:
    if not (before and now):
        # A cell that passed has none.
        return []
    compared = list(unified_diff(_comparable(before), _comparable(now), "recorded", "now", n=0, lineterm=""))
    return compared[:MAX_LOG_LINES]


def _comparable(log: str) -> list[str]:
    if log.startswith(CUT_NOTICE):
        # It was cut within a line.
        log = log.removeprefix(CUT_NOTICE).partition("\n")[2]
    return [comparable_line(line) for line in log.splitlines()]
