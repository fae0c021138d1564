"""What a package's page says about modules and commands: which were tried, and which of them cannot be had, and why.

Names and lines come from packages: they are shortened and escaped, and what does not fit is counted.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from ppp.model.record import BrokenEntryPoint, EntryPoints, ModuleFailure, Outcome, Phase, Record
from ppp.publish import text
from ppp.publish.packages.fixes import command_for

NAME_LIMIT: Final = 80
DETAIL_LIMIT: Final = 160
#: Bytes of HTML for the names of imported modules, and for everything that cannot be had.
NAMES_BUDGET: Final = 1_500
FAILURES_BUDGET: Final = 5_000
#: What the HTML of one entry has besides its texts, in bytes.
_ENTRY_BYTES: Final = 180


@dataclass(frozen=True, slots=True, kw_only=True)
class Missing:
    """A module or command that cannot be had: its outcome, its cause's id (None if it has none), one line of why.

    `fix` is the command that installs what it lacks, None where that is not known.
    """

    name: str
    outcome: Outcome
    cause: str | None
    detail: str
    fix: str | None

    @property
    def estimated_bytes(self) -> int:
        """Return an upper estimate of the size of its HTML in bytes."""
        fix = 80 + len(self.fix) if self.fix else 0
        return fix + _ENTRY_BYTES + text.html_size(self.name) + text.html_size(self.detail) + 2 * len(self.cause or "")


@dataclass(frozen=True, slots=True, kw_only=True)
class ModuleReport:
    """What was tried in some environments, all with the same outcome.

    `modules` are the names of the imported ones, the one that decides first if `primary`; `submodules` and `commands`
    are sentences, None where none was tried. `omitted` counts what is missing and not shown.
    """

    environments: tuple[str, ...]
    modules: str
    primary: str | None
    submodules: str | None
    commands: str | None
    missing: tuple[Missing, ...]
    omitted: int


#: What makes two environments alike.
_Tried = tuple[tuple[str, ...], Outcome, str | None, tuple[ModuleFailure, ...], object, EntryPoints | None]


def module_reports(records: Iterable[Record]) -> list[ModuleReport]:
    """Return what was tried of one release in its environments, those that are alike together, in their order.

    Environments of which there is nothing to say are left out.
    """
    alike: dict[_Tried, list[Record]] = {}
    for record in records:
        if record.submodules or record.entry_points or _was_imported(record):
            key = (
                _imports(record),
                record.outcome(Phase.IMPORT),
                record.primary_module,
                record.import_failures,
                record.submodules,
                record.entry_points,
            )
            alike.setdefault(key, []).append(record)
    budget = FAILURES_BUDGET // max(1, len(alike))
    reports = (_report(group, budget) for group in alike.values())
    # Where the one module fails, the page has said so already.
    return [one for one in reports if one.modules or one.missing or one.omitted or one.submodules or one.commands]


def _was_imported(record: Record) -> bool:
    return record.outcome(Phase.IMPORT) is not Outcome.SKIP and bool(record.imports)


def _imports(record: Record) -> tuple[str, ...]:
    return record.imports if _was_imported(record) else ()


def _report(records: Sequence[Record], budget: int) -> ModuleReport:
    record = records[0]
    environments = tuple(each.environment for each in records)
    missing = [*_missing(record, environments)]
    shown = text.fit_budget(missing, budget, lambda one: one.estimated_bytes)
    return ModuleReport(
        environments=environments,
        modules=_imported_names(record),
        primary=_primary(record),
        submodules=_submodules_sentence(record),
        commands=_commands_sentence(record.entry_points),
        missing=tuple(shown),
        omitted=len(missing) - len(shown),
    )


def _primary(record: Record) -> str | None:
    # Of one module, it goes without saying.
    alone = record.primary_module is None or len(record.imports) < 2  # noqa: PLR2004 - two
    return None if alone else text.single_line(record.primary_module or "", NAME_LIMIT)


def _imported_names(record: Record) -> str:
    if record.outcome(Phase.IMPORT) is not Outcome.PASS:
        return ""
    failed = {failure.module for failure in record.import_failures}
    names = [text.single_line(name, NAME_LIMIT) for name in record.imports if name not in failed]
    shown = text.fit_budget(names, NAMES_BUDGET, lambda name: text.html_size(name) + 2)
    more = len(names) - len(shown)
    return ", ".join(shown) + (f" and {more} more" if more else "")


def _missing(record: Record, environments: Sequence[str]) -> Iterator[Missing]:
    for failure in (*record.import_failures, *(record.submodules.failed if record.submodules else ())):
        yield _missing_module(failure, environments)
    yield from map(_missing_command, record.entry_points.broken if record.entry_points else ())


def _missing_module(failure: ModuleFailure, environments: Sequence[str]) -> Missing:
    return Missing(
        name=text.single_line(failure.module, NAME_LIMIT),
        outcome=failure.outcome,
        cause=failure.cause,
        detail=text.single_line(failure.detail or "", DETAIL_LIMIT),
        fix=command_for(failure.cause, failure.detail, environments),
    )


def _missing_command(point: BrokenEntryPoint) -> Missing:
    return Missing(
        name=text.single_line(f"{point.name} = {point.value}", NAME_LIMIT),
        outcome=Outcome.FAIL,
        cause=None,
        detail=text.single_line(point.detail, DETAIL_LIMIT),
        fix=None,
    )


def _submodules_sentence(record: Record) -> str | None:
    tried = record.submodules
    if tried is None or not (tried.tried or tried.left_out):
        return None
    load = tried.tried - sum(failure.outcome is not Outcome.SKIP for failure in tried.failed)
    sentence = f"{load} of {tried.tried} load" if tried.tried else "none was tried"
    return f"{sentence}; {tried.left_out} more were not tried" if tried.left_out else sentence


def _commands_sentence(points: EntryPoints | None) -> str | None:
    if points is None or not points.tried:
        return None
    return f"{points.tried - len(points.broken)} of {points.tried} have their module and function"


def is_worth_a_section(reports: Sequence[ModuleReport]) -> bool:
    """Return whether there is more to say than which modules were imported, and that it was the same everywhere."""
    return any(one.missing or one.omitted or one.submodules or one.commands for one in reports)
