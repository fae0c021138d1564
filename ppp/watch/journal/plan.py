"""Decide what the events of a journal mean for the queue. Pure.

The events of one page are taken in their order, so that of a release that is published, removed and published again
within a page only the end counts. What an event says is decided against what is known of the release: whether it was
named before, and whether this node has a result of it.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from ppp.model.release import Release
from ppp.watch.journal.port import Action, JournalEvent

#: For so many seconds after a release was announced its files may still be on their way, one after the other.
FILES_COME_WITHIN_S: Final = 30 * 60

#: What takes a release away from everybody, and what gives it back.
GONE: Final = frozenset(
    {Action.REMOVE_RELEASE, Action.REMOVE_PROJECT, Action.RELEASE_QUARANTINED, Action.PROJECT_QUARANTINED}
)
_BACK: Final = frozenset({Action.RELEASE_UNQUARANTINED, Action.PROJECT_UNQUARANTINED})
#: The actions that say whether a release, or a whole project, can be had at all.
AVAILABILITY: Final = GONE | _BACK | {Action.NEW_RELEASE}
#: What is said of a release that is gone.
GONE_BECAUSE: Final[Mapping[Action, str]] = {
    Action.REMOVE_RELEASE: "the release was removed",
    Action.REMOVE_PROJECT: "the project was removed",
    Action.RELEASE_QUARANTINED: "the index has quarantined the release",
    Action.PROJECT_QUARANTINED: "the index has quarantined the project",
}


def files_may_come(announced_at: int | None, now: int) -> bool:
    """Return whether files of a release may still be on their way; None where nobody knows when it was announced."""
    return announced_at is not None and now - announced_at < FILES_COME_WITHIN_S


def withdrawn_by(of_release: JournalEvent | None, of_project: JournalEvent | None) -> Action | None:
    """Return what has taken a release away, from the last events about it and about its project as a whole.

    Only actions in `AVAILABILITY` count. What clears a project does not clear a release of it, but a release that is
    published after its project was removed is there again.
    """
    if of_release is not None and of_release.action in GONE:
        return of_release.action
    if of_project is None or of_project.action not in GONE:
        return None
    is_back = of_release is not None and _order(of_release) > _order(of_project)
    return None if is_back else of_project.action


def _order(event: JournalEvent) -> tuple[int, int]:
    return event.serial or 0, event.at


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownRelease:
    """What is known of a release before a page: whether a journal named it, and whether it has a result."""

    named: bool
    has_result: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class LateFile:
    """A file that a release gained after it had a result."""

    release: Release
    filename: str


@dataclass(frozen=True, slots=True, kw_only=True)
class JournalPlan:
    """What to do about a page.

    - `named`: named for the first time.
    - `new`: it has no result, and was named for the first time or again: its cells are queued.
    - `tested`: named for the first time, after it had a result: cells without one are queued.
    - `late`: it has a result and gained a file: its cells are checked again.
    - `changed`: it has a result, and the index withdrew it, gave it back or yanked it: its cells are checked again.
    - `withdrawn`: it has no result and is gone: its cells leave the queue. It may be among the new ones too: it was
      named, so it is counted.
    """

    named: tuple[Release, ...] = ()
    new: tuple[Release, ...] = ()
    tested: tuple[Release, ...] = ()
    late: tuple[LateFile, ...] = ()
    changed: tuple[Release, ...] = ()
    withdrawn: Mapping[Release, Action] = field(default_factory=dict)


def named_releases(events: Iterable[JournalEvent]) -> list[Release]:
    """Return the releases that events name, each once, in their order."""
    pairs = dict.fromkeys((e.package, e.version) for e in events if e.version)
    return [Release(package=package, version=version) for package, version in pairs]


def named_projects(events: Iterable[JournalEvent]) -> list[str]:
    """Return the projects about which, as a whole, events say something: of a rename, both names."""
    names = ((e.package, e.filename) if e.action is Action.RENAME else (e.package,) for e in events if not e.version)
    return list(dict.fromkeys(name for both in names for name in both))


def plan_page(events: Sequence[JournalEvent], known: Mapping[Release, KnownRelease]) -> JournalPlan:
    """Return what to do about new events, in the order of the page.

    `known` has every release that is named by them or belongs to a project that they name, unless nothing is known.
    """
    plan = _Plan(known)
    for event in events:
        if event.action is Action.RENAME:
            plan.rename(event)
            continue
        for release in plan.releases_of(event):
            plan.apply(event, release)
    return plan.result()


class _Plan:
    """What events so far mean."""

    def __init__(self, known: Mapping[Release, KnownRelease]) -> None:
        self._known = known
        #: The releases of a project by version, so that each is made once and not for each event.
        self._by_project: dict[str, dict[str, Release]] = {}
        for release in known:
            self._by_project.setdefault(release.package, {})[release.version] = release
        self._named: dict[Release, None] = {}
        self._new: dict[Release, None] = {}
        self._tested: dict[Release, None] = {}
        self._late: dict[Release, str] = {}
        self._changed: dict[Release, None] = {}
        self._withdrawn: dict[Release, Action] = {}

    def releases_of(self, event: JournalEvent) -> list[Release]:
        """Return the release that an event is about; if it is about a project, all that are known of it."""
        of_project = self._by_project.setdefault(event.package, {})
        if not event.version:
            return list(of_project.values())
        release = of_project.get(event.version)
        if release is None:
            release = of_project[event.version] = Release(package=event.package, version=event.version)
        return [release]

    def apply(self, event: JournalEvent, release: Release) -> None:
        """Take in what an event says of a release."""
        before = self._known.get(release)
        is_named = release in self._named or (before is not None and before.named)
        if before is not None and before.has_result:
            self._apply_to_tested(event, release, is_named=is_named)
            return
        if event.action is Action.ADD_FILE:
            if is_named:
                return
        elif event.action in GONE:
            # Of a release that was never named nothing is claimed.
            if is_named:
                self._withdrawn[release] = event.action
            return
        elif event.action is not Action.NEW_RELEASE and not (event.action in _BACK and is_named):
            return
        self._new[release] = None
        if not is_named:
            self._named[release] = None
        self._withdrawn.pop(release, None)

    def _apply_to_tested(self, event: JournalEvent, release: Release, *, is_named: bool) -> None:
        # It may have been tested, on somebody's request, before the journal was read up to it.
        if not is_named and event.action in {Action.NEW_RELEASE, Action.ADD_FILE}:
            self._named[release] = self._tested[release] = None
        if event.action is Action.ADD_FILE:
            self._late[release] = event.filename
        elif event.action is not Action.NEW_RELEASE or is_named:
            self._changed[release] = None

    def rename(self, event: JournalEvent) -> None:
        """Take in that a project has another name: what is known of it is gone, and new under that name."""
        for before in list(self._by_project.get(event.filename, {}).values()):
            release = Release(package=event.package, version=before.version)
            self._by_project.setdefault(release.package, {})[release.version] = release
            self.apply(replace(event, package=before.package, action=Action.REMOVE_PROJECT), before)
            self.apply(replace(event, version=release.version, action=Action.NEW_RELEASE), release)

    def result(self) -> JournalPlan:
        """Return what is to be done at the end of the page."""
        return JournalPlan(
            named=tuple(self._named),
            new=tuple(self._new),
            tested=tuple(self._tested),
            late=tuple(
                LateFile(release=release, filename=filename)
                for release, filename in self._late.items()
                if release not in self._changed
            ),
            changed=tuple(self._changed),
            withdrawn=self._withdrawn,
        )
