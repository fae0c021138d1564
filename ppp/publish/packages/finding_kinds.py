"""The findings: what several cells of a package show together, or what a result leaves unsaid; and their words."""

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
    IMPORTS_IN_PART = "imports-in-part"
    RELIES_ON_IMAGE = "relies-on-image"
    NOTHING_TO_IMPORT = "nothing-to-import"
    BROKEN_ENTRY_POINT = "broken-entry-point"
    RECORD_MISMATCH = "record-mismatch"
    FILE_CONFLICT = "file-conflict"
    YANKED = "yanked"
    WITHDRAWN = "withdrawn"
    PROJECT_STATUS = "project-status"
    BREAKS_OTHERS = "breaks-others"


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
    FindingKind.IMPORTS_IN_PART: ("Imports in part", "passes, but a module fails here that loads elsewhere"),
    FindingKind.RELIES_ON_IMAGE: (
        "Works only while the image brings it",
        "imports what the image brings and nothing declares",
    ),
    FindingKind.NOTHING_TO_IMPORT: ("Nothing to import", "installs, and has no module to import"),
    FindingKind.BROKEN_ENTRY_POINT: ("Broken entry points", "has a command whose module or function is missing"),
    FindingKind.RECORD_MISMATCH: ("RECORD and content differ", "is a wheel whose list of files does not match it"),
    FindingKind.FILE_CONFLICT: (
        "Distributions that overwrite each other",
        "is installed with a file that two of its distributions own, with different contents",
    ),
    FindingKind.YANKED: ("Yanked", "is yanked: installers take it only if asked for this very version"),
    FindingKind.WITHDRAWN: ("Withdrawn", "is no longer offered by the index"),
    FindingKind.PROJECT_STATUS: (
        "Archived or restricted projects",
        "is of a project that the index calls not active",
    ),
    FindingKind.BREAKS_OTHERS: (
        "Breaks others",
        "was followed by packages that no longer passed when they were checked again with it",
    ),
}
#: Findings that say more about a cell than its result, each with a remark of its own (`ppp.publish.packages.remarks`).
#: The front page counts them, and shows no examples.
REMARKS: Final = frozenset(
    {
        FindingKind.IMPORTS_IN_PART,
        FindingKind.RELIES_ON_IMAGE,
        FindingKind.NOTHING_TO_IMPORT,
        FindingKind.BROKEN_ENTRY_POINT,
        FindingKind.RECORD_MISMATCH,
        FindingKind.FILE_CONFLICT,
        FindingKind.YANKED,
        FindingKind.WITHDRAWN,
        FindingKind.PROJECT_STATUS,
        FindingKind.BREAKS_OTHERS,
    }
)
