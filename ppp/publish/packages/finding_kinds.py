"""The findings: what several cells of a package show together, and the words that describe each."""

from enum import StrEnum
from typing import Final


class FindingKind(StrEnum):
    """A finding about the newest release of a package; its value names its page, its file and its feeds."""

    NEWLY_BROKEN = "newly-broken"
    FIXED = "fixed"
    STILL_BROKEN = "still-broken"
    PHANTOM_SUCCESS = "phantom-success"
    ALPINE_ONLY = "alpine-only"
    PYTHON_REGRESSION = "python-regression"
    NEVER_ON_ALPINE = "never-on-alpine"
    BROKEN_DEPENDENCY = "broken-dependency"


#: By kind, a title and what it says about the newest release of a package.
FINDING_TEXTS: Final = {
    FindingKind.NEWLY_BROKEN: ("Newly broken", "fails where the release before passed"),
    FindingKind.FIXED: ("Fixed", "passes where the release before failed"),
    FindingKind.STILL_BROKEN: ("Still broken", "fails where the release before failed, too"),
    FindingKind.PHANTOM_SUCCESS: ("Phantom successes", "installs, but does not import"),
    FindingKind.ALPINE_ONLY: ("Fails on Alpine only", "passes on Debian slim with the same Python"),
    FindingKind.PYTHON_REGRESSION: ("Broken by a newer Python", "passes with an older Python on the same platform"),
    FindingKind.NEVER_ON_ALPINE: (
        "Never on Alpine",
        "is of a package that installs there in no checked version, but passes on Debian slim",
    ),
    FindingKind.BROKEN_DEPENDENCY: ("Broken dependencies", "fails because of a dependency"),
}
