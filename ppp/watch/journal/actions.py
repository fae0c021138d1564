"""A row of the changelog becomes an event, is ignored, or is rejected with a reason.

Pure. The index writes actions as text: `new release`, `add py3 file NAME`. Those that are no matter of releases, such
as `add Owner NAME`, are ignored.
"""

from functools import lru_cache
from typing import Final

from ppp.model.printable import printable_reason
from ppp.model.release import InvalidReleaseError, parse_package, parse_version
from ppp.watch.journal.port import Action, JournalEvent, RejectedEvent

#: The times that are accepted, in epoch seconds: from the first journal to the year 2286.
MAX_TIME: Final = 10_000_000_000
#: The longest name of a file, in characters.
MAX_FILENAME: Final = 300
#: How much of an action is quoted, in characters.
MAX_KIND: Final = 40
#: How many rejected rows of a page are listed.
MAX_REJECTED: Final = 1_000
#: How many events an index may gain between two requests.
MAX_JUMP: Final = 1_000_000

#: Actions that are the whole text, and whether they concern a release (else the project).
_WHOLE: Final = {
    "new release": (Action.NEW_RELEASE, True),
    "yank release": (Action.YANK, True),
    "unyank release": (Action.UNYANK, True),
    "remove release": (Action.REMOVE_RELEASE, True),
    "release quarantined": (Action.RELEASE_QUARANTINED, True),
    "release quarantine cleared": (Action.RELEASE_UNQUARANTINED, True),
    "remove project": (Action.REMOVE_PROJECT, False),
    "project quarantined": (Action.PROJECT_QUARANTINED, False),
    "project quarantine cleared": (Action.PROJECT_UNQUARANTINED, False),
}
_OF_PROJECTS: Final = frozenset({Action.RENAME, *(action for action, of_release in _WHOLE.values() if not of_release)})
_FIELDS: Final = 5

_package = lru_cache(maxsize=4096)(parse_package)
_version = lru_cache(maxsize=4096)(parse_version)


def parse_action(text: str, version: str | None) -> tuple[Action, str] | None:
    """Return an action and the file (or the old name) that it names; None for one that is no matter of releases."""
    if whole := _WHOLE.get(text):
        return whole[0], ""
    # The second word of an addition is the Python of a wheel, or `source`.
    words = text.split(" ", 3)
    if words[0] == "add" and len(words) == 4 and words[2] == "file":  # noqa: PLR2004 - `add py3 file NAME`
        return Action.ADD_FILE, words[3]
    if text.startswith("remove file "):
        return Action.REMOVE_FILE, text.removeprefix("remove file ")
    if text.startswith("rename from "):
        return Action.RENAME, text.removeprefix("rename from ")
    if text == "remove":
        # Old journals remove a project, or a release, with this word alone.
        return (Action.REMOVE_RELEASE if version else Action.REMOVE_PROJECT), ""
    return None


class RowReader:
    """Turns the rows that come after a serial, up to the index's newest one, into events; see the module.

    Rows beyond the newest serial are left to the next page, so that a single row cannot move the cursor past others.
    """

    def __init__(self, after: int, newest: int) -> None:
        """Reject rows up to `after`: they were not asked for."""
        self._after = after
        self._newest = newest
        self._not_listed = 0
        self.events: list[JournalEvent] = []
        self._rejected: list[RejectedEvent] = []
        #: The largest serial of a row that was read, and how many rows there were.
        self.last_serial = after
        self.rows = 0

    @property
    def rejected(self) -> tuple[RejectedEvent, ...]:
        """The rows that could not be used; of very many the first ones, and then how many more there were."""
        more = RejectedEvent(serial=None, reason=f"{self._not_listed:,} more rows could not be used")
        return (*self._rejected, *([more] if self._not_listed else []))

    def add(self, row: object) -> None:
        """Add what a row says."""
        self.rows += 1
        # Not `match`, which takes six times as long: this is done for every event of an index.
        fields = row if isinstance(row, list) and len(row) == _FIELDS else [None] * _FIELDS
        name, version, at, action, serial = fields
        if not isinstance(serial, int):
            self._reject(None, f"the row {_shown(row)} is not name, version, time, action, serial")
            return
        if not self._after < serial <= self._newest:
            self._reject_serial(serial)
            return
        self.last_serial = max(self.last_serial, serial)
        if not (isinstance(name, str) and isinstance(at, int) and isinstance(action, str)) or not (
            version is None or isinstance(version, str)
        ):
            self._reject(serial, f"the row {_shown(row)} is not name, version, time, action, serial")
            return
        parsed = parse_action(action, version)
        if parsed is None:
            return
        try:
            self.events.append(_event(name, version, at, parsed, serial))
        except InvalidReleaseError as error:
            self._reject(serial, f"{action[:MAX_KIND]!r} of {_shown(name)}: {error.message}")

    def _reject_serial(self, serial: int) -> None:
        if serial <= self._after:
            known = serial if serial >= 0 else None
            self._reject(known, f"serial {serial} was not asked for, but those after {self._after}")
        elif serial - self._newest > MAX_JUMP:
            self._reject(None, f"serial {serial} is far beyond the index's last one, {self._newest}")

    def _reject(self, serial: int | None, reason: str) -> None:
        if len(self._rejected) < MAX_REJECTED:
            self._rejected.append(RejectedEvent(serial=serial, reason=printable_reason(reason)))
        else:
            self._not_listed += 1


def _event(name: str, version: str | None, at: int, parsed: tuple[Action, str], serial: int) -> JournalEvent:
    action, filename = parsed
    if not 0 <= at < MAX_TIME:
        raise InvalidReleaseError(f"its time {at} is not in epoch seconds", hint="")
    if filename:
        filename = _package(filename) if action is Action.RENAME else _checked_filename(filename)
    if action in _OF_PROJECTS:
        version = ""
    elif version:
        version = _version(version)
    else:
        raise InvalidReleaseError("it names no version", hint="")
    return JournalEvent(serial=serial, package=_package(name), version=version, action=action, at=at, filename=filename)


def _checked_filename(text: str) -> str:
    if len(text) > MAX_FILENAME or not text.isprintable() or "/" in text:
        raise InvalidReleaseError(f"{_shown(text)} is not the name of a file", hint="")
    return text


def _shown(value: object) -> str:
    """Return a value that may be long, as one would write it in Python."""
    if isinstance(value, str):
        return repr(value[:100])
    if isinstance(value, list):
        return f"[{', '.join(map(_shown, value[:_FIELDS]))}{', …' if len(value) > _FIELDS else ''}]"
    return repr(value) if value is None or isinstance(value, int) else type(value).__name__
