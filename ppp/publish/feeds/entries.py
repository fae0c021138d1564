"""The content of feeds, independent of their format.

Entries are about changed results and dated by records, never by a clock, so a feed does not change while no result
does. The id of an entry depends only on its subject and never changes.
"""

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Final

from ppp.ledger.published import VerdictChange
from ppp.model.record import Phase
from ppp.model.release import Release
from ppp.model.shown import count_shown
from ppp.publish import text
from ppp.publish.packages.finding_kinds import FINDING_TEXTS, FindingKind
from ppp.publish.packages.pages import ALL_PAGES, PackagePages
from ppp.publish.packages.summary import AffectedCell

#: The most entries of the overall feeds, and of the feed of a package: smaller, because there is one for each package.
MAX_ENTRIES: Final = 100
MAX_PACKAGE_ENTRIES: Final = 10
DETAIL_LIMIT: Final = 200
SITE_NAME: Final = "The PyPI Place"


@dataclass(frozen=True, slots=True, kw_only=True)
class FeedAttachment:
    """A file that belongs to an entry: its path within the site, its media type, its size, how long it plays."""

    path: str
    media_type: str
    bytes: int
    seconds: int


@dataclass(frozen=True, slots=True, kw_only=True)
class FeedEntry:
    """An entry; times are in epoch seconds, `path` is within the site, `lines` are lines of plain text."""

    id: str
    title: str
    path: str
    published: int
    updated: int
    lines: tuple[str, ...]
    attachments: tuple[FeedAttachment, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class FeedDocument:
    """A feed, independent of its format, newest entries first; `home_path` is its page, `description` may be empty.

    A feed that is no file of the site, and so has no address there, says in `subject` what its id is made of.
    """

    title: str
    description: str
    home_path: str
    entries: Sequence[FeedEntry]
    subject: str = ""

    @property
    def updated(self) -> int:
        """Return the time of the last change in epoch seconds, 0 without entries."""
        return max((entry.updated for entry in self.entries), default=0)


@dataclass(slots=True, kw_only=True)
class ReleaseChanges:
    """The changes of one release on one UTC day; its id depends only on these two, so it never changes."""

    release: Release
    day: str
    changes: list[VerdictChange] = field(default_factory=list)

    @property
    def id(self) -> str:
        """Return its permanent id."""
        return urn(f"{self.release}@{self.day}")

    @property
    def title(self) -> str:
        """Return a title such as `six 1.17.0: 5 PASS, 1 FAIL`, or the transition if only one cell changed."""
        name = f"{self.release.package} {self.release.version}"
        if len(self.changes) == 1:
            return f"{name}: {self.changes[0].verdict.environment} {_transition(self.changes[0])}"
        counts = count_shown(change.verdict.shown for change in self.changes)
        return f"{name}: {', '.join(f'{count} {shown}' for shown, count in counts)}"

    @property
    def published(self) -> int:
        """Return when the last of its changes was observed, in epoch seconds."""
        return max(change.verdict.observed_at for change in self.changes)

    def entry(self, pages: PackagePages = ALL_PAGES) -> FeedEntry:
        """Return it as a feed entry that leads to the package."""
        changes = sorted(self.changes, key=lambda c: (c.verdict.environment, c.verdict.observed_at, c.verdict.record))
        return FeedEntry(
            id=self.id,
            title=self.title,
            path=pages.path(self.release.package),
            published=min(change.verdict.observed_at for change in changes),
            updated=self.published,
            lines=_lines((change.verdict.environment, _change_line(change)) for change in changes),
        )


def urn(about: str) -> str:
    """Return the permanent id of an entry about a subject."""
    return f"urn:sha256:{hashlib.sha256(about.encode()).hexdigest()}"


def group_changes(changes: Iterable[VerdictChange], limit: int = MAX_ENTRIES) -> list[ReleaseChanges]:
    """Group changes by release and day into at most `limit` groups; `changes` come newest first and are read lazily."""
    groups: dict[tuple[Release, str], ReleaseChanges] = {}
    oldest = ""
    for change in changes:
        day = text.day(change.verdict.observed_at)
        key = (change.verdict.release, day)
        if key not in groups:
            if len(groups) == limit:
                # A group already found may have more changes, down to the first second of its day.
                if day < oldest:
                    break
                continue
            oldest = day
            groups[key] = ReleaseChanges(release=change.verdict.release, day=day)
        groups[key].changes.append(change)
    return sorted(groups.values(), key=lambda item: (-item.published, item.release.package, item.release.version))


def overall_feed(groups: Iterable[ReleaseChanges], pages: PackagePages = ALL_PAGES) -> FeedDocument:
    """Return the feed of all changed results."""
    return FeedDocument(
        title=f"{SITE_NAME}: changed results",
        description="PyPI releases with a new or changed result in an environment.",
        home_path="index.html",
        entries=[item.entry(pages) for item in groups],
    )


def package_feed(package: str, changes: Iterable[VerdictChange]) -> FeedDocument:
    """Return the feed of one package, from its changes, newest first."""
    return FeedDocument(
        title=f"{SITE_NAME}: {package}",
        description="",
        home_path=f"p/{package}/index.html",
        entries=[item.entry() for item in group_changes(changes, MAX_PACKAGE_ENTRIES)],
    )


def finding_feed(
    kind: FindingKind, affected: Iterable[AffectedCell], limit: int = MAX_ENTRIES, *, pages: PackagePages = ALL_PAGES
) -> FeedDocument:
    """Return the feed of one finding: its current cells, grouped by release and the UTC day they were added."""
    title, meaning = FINDING_TEXTS[kind]
    entries = [_finding_entry(kind, key[-1], cells, pages) for key, cells in _newest_affected(affected, limit).items()]
    return FeedDocument(
        title=f"{SITE_NAME}: {title.lower()}",
        description=f"PyPI packages whose newest release {meaning}.",
        home_path=f"findings/{kind}/index.html",
        entries=sorted(entries, key=lambda entry: (-entry.updated, entry.id))[:limit],
    )


def _newest_affected(affected: Iterable[AffectedCell], limit: int) -> dict[tuple[str, str, str], list[AffectedCell]]:
    # By package, version and day. Groups as new as the last one shown are kept: their ids decide.
    groups: dict[tuple[str, str, str], list[tuple[int, AffectedCell]]] = {}
    oldest = 0
    for place, cell in sorted(enumerate(affected), key=lambda pair: -pair[1].since):
        key = (cell.package, cell.version, day := text.day(cell.since))
        if key in groups:
            groups[key].append((place, cell))
        elif len(groups) < limit or cell.since == oldest:
            groups[key] = [(place, cell)]
            oldest = cell.since
        elif day < text.day(oldest):
            break
    return {key: [cell for _, cell in sorted(cells)] for key, cells in groups.items()}


def _finding_entry(kind: FindingKind, day: str, cells: Sequence[AffectedCell], pages: PackagePages) -> FeedEntry:
    first = cells[0]
    places = ", ".join(cell.environment for cell in cells)
    return FeedEntry(
        id=urn(f"{kind}:{first.package}=={first.version}@{day}"),
        title=f"{first.package} {first.version}: {FINDING_TEXTS[kind][0].lower()} ({places})",
        path=pages.path(first.package),
        published=min(cell.since for cell in cells),
        updated=max(cell.since for cell in cells),
        lines=_lines((cell.environment, _affected_line(cell)) for cell in cells),
    )


def _lines(described: Iterable[tuple[str, str]]) -> tuple[str, ...]:
    # Environments with the same text share a line.
    by_text: dict[str, list[str]] = {}
    for environment, words in described:
        by_text.setdefault(words, []).append(environment)
    return tuple(f"{', '.join(environments)}: {words}" for words, environments in by_text.items())


def _change_line(change: VerdictChange) -> str:
    verdict = change.verdict
    return _describe(_transition(change), verdict.failed_phase, verdict.cause, verdict.blame, verdict.detail)


def _affected_line(cell: AffectedCell) -> str:
    before = f"{cell.before.result} with {cell.before.version} → " if cell.before else ""
    transition = f"{before}{cell.shown}{_standin_mark(cell.standin)}"
    return _describe(transition, cell.phase, cell.cause, cell.blame, cell.remark or cell.detail)


@lru_cache(1024)
def _describe(transition: str, phase: Phase | None, cause: str | None, blame: str | None, detail: str | None) -> str:
    parts = [transition]
    if phase:
        parts.append(f"during {phase.label}")
    if cause:
        parts.append(f"({cause}{f', blame: {blame}' if blame else ''})")
    if detail:
        parts.append(f"- {text.single_line(detail, DETAIL_LIMIT)}")
    return " ".join(parts)


def _transition(change: VerdictChange) -> str:
    verdict = change.verdict
    before = f"{change.previous} → " if change.previous else ""
    return f"{before}{verdict.shown}{_standin_mark(verdict.standin)}"


def _standin_mark(standin: bool) -> str:  # noqa: FBT001 - set or not set
    return " (stand-in image)" if standin else ""
