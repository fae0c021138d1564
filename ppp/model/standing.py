"""How a checked version stands to what a person gets who asks for none: one rule for pages, files and terminals. Pure.

Only what the index listed when a cell was checked tells that. Where it was not recorded nothing is claimed.
"""

from collections.abc import Collection
from dataclasses import dataclass
from enum import StrEnum

from ppp.model.on_index import OnIndex
from ppp.model.release import version_key


class Standing(StrEnum):
    """What the newest checked version of a package is."""

    #: What pip takes if no version is asked for.
    NEWEST = "newest"
    #: The index has a newer one, which was not checked.
    OLDER = "older"
    #: Newer than what pip takes, so a pre-release, or one that the index has withdrawn.
    AHEAD = "ahead"
    #: What the index had was not recorded.
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckedVersions:
    """The newest checked version of a package, what the index listed when last asked, and all checked versions."""

    newest: str
    on_index: OnIndex | None
    checked: Collection[str]

    @property
    def standing(self) -> Standing:
        """Return how the newest checked version stands to the index's newest."""
        if self.on_index is None:
            return Standing.UNKNOWN
        ours, theirs = version_key(self.newest), version_key(self.on_index.newest)
        if ours == theirs:
            return Standing.NEWEST
        return Standing.OLDER if ours < theirs else Standing.AHEAD

    @property
    def is_what_pip_takes(self) -> bool:
        """Return whether results of the newest checked version are about what a user gets, as far as is known."""
        return self.standing in {Standing.NEWEST, Standing.UNKNOWN}

    @property
    def other_newest(self) -> str | None:
        """Return the index's newest version where that is another one, else None."""
        return None if self.on_index is None or self.is_what_pip_takes else self.on_index.newest

    @property
    def words(self) -> str:
        """Return what the newest checked version is, to follow after it and a comma."""
        match self.standing:
            case Standing.NEWEST:
                return "PyPI's newest release"
            case Standing.OLDER:
                return "an older release"
            case Standing.AHEAD:
                return "a release that pip takes only if asked for it"
            case Standing.UNKNOWN:
                return "the newest release checked (PyPI's newest was not recorded)"

    @property
    def notice(self) -> str:
        """Return the sentence on the index's newest version where that is another one, else ""."""
        if (other := self.other_newest) is None:
            return ""
        return f"PyPI's newest is {other}: {'checked, too' if other in self.checked else 'not checked yet'}."

    @property
    def count(self) -> str:
        """Return how many versions were checked, of how many: `1 version checked of 34`."""
        checked = f"{len(self.checked)} version{'s' if len(self.checked) != 1 else ''} checked"
        # A version that the index has withdrawn may have been checked.
        return f"{checked} of {max(self.on_index.versions, len(self.checked))}" if self.on_index else checked
