"""What several cells of a package show together, by name, and how each is told. No import: every page may use it."""

from enum import StrEnum
from typing import Final


class FindingKind(StrEnum):
    """A finding about the newest release of a package; its word is the name of its page, its file and its feed."""

    NEWLY_BROKEN = "newly-broken"
    FIXED = "fixed"
    STILL_BROKEN = "still-broken"
    PHANTOM_SUCCESS = "phantom-success"
    ALPINE_ONLY = "alpine-only"
    PYTHON_REGRESSION = "python-regression"
    NEVER_ON_ALPINE = "never-on-alpine"
    BROKEN_DEPENDENCY = "broken-dependency"


#: A title, and what it means: both of the newest release of a package.
FINDING_TEXTS: Final = {
    FindingKind.NEWLY_BROKEN: ("Newly broken", "fails where the release before passed"),
    FindingKind.FIXED: ("Fixed", "passes where the release before failed"),
    FindingKind.STILL_BROKEN: ("Still broken", "fails where the release before failed, too"),
    FindingKind.PHANTOM_SUCCESS: ("Phantom successes", "installs without complaint, does not import"),
    FindingKind.ALPINE_ONLY: ("Fails on Alpine only", "passes on Debian slim with the same Python"),
    FindingKind.PYTHON_REGRESSION: ("Broken by a newer Python", "passes with an older one on the same platform"),
    FindingKind.NEVER_ON_ALPINE: (
        "Never on Alpine",
        "no version that was checked installs there, on Debian one passes",
    ),
    FindingKind.BROKEN_DEPENDENCY: ("Broken dependencies", "fails because of something that it depends on"),
}
