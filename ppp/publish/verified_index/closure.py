"""The closure check: whether an index lists what its files need.

Proven one by one is not proven together, but what was installed with a file when it passed was: a project is *closed*
where all of that is listed too, in that version or in one that the requirement admits. Else it is *open*: to install
it from this index alone may fail, or install something that was not there when it passed.
"""

from collections.abc import Callable, Iterator, Mapping
from functools import lru_cache

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

from ppp.publish.verified_index.listing import VerifiedFile, VerifiedProject

#: The versions that an index lists of a project, by its normalized name; each with whether it needs no pin.
Listed = Callable[[str], Mapping[Version, bool]]
#: The values of marker variables (PEP 508), such as `python_version`.
Markers = Mapping[str, str]


def open_needs(project: VerifiedProject, listed: Listed, markers: Markers) -> dict[str, tuple[str, ...]]:
    """Return the needs of a project's files that no listed file meets, by file name; files without any are left out."""
    found = ((file.filename, tuple(_unmet(file, listed, markers))) for file in project.files)
    return {filename: needs for filename, needs in found if needs}


def _unmet(file: VerifiedFile, listed: Listed, markers: Markers) -> Iterator[str]:
    values = {**markers, "platform_machine": file.arch}
    for need in file.needs:
        requirement = _parsed(need)
        # What nobody can read, nothing meets.
        if requirement is None or (_applies(requirement, values) and not _is_met(requirement, listed)):
            yield need


@lru_cache(65_536)
def _parsed(need: str) -> Requirement | None:
    try:
        return Requirement(need)
    except InvalidRequirement:
        return None


def marker_values(python: str) -> dict[str, str]:
    """Return the values of all marker variables in an environment with this Python, such as `3.12`.

    All of them, because packaging would take the others from the machine that publishes.
    """
    return {
        "implementation_name": "cpython",
        "implementation_version": f"{python}.0",
        "os_name": "posix",
        "platform_machine": "",
        "platform_python_implementation": "CPython",
        "platform_release": "",
        "platform_system": "Linux",
        "platform_version": "",
        "python_full_version": f"{python}.0",
        "python_version": python,
        "sys_platform": "linux",
        "extra": "",
    }


def _applies(requirement: Requirement, markers: Markers) -> bool:
    return requirement.marker is None or requirement.marker.evaluate(dict(markers))


def _is_met(requirement: Requirement, listed: Listed) -> bool:
    if requirement.url:
        return False
    versions = listed(canonicalize_name(requirement.name))
    pinned = any(specifier.operator in {"==", "==="} for specifier in requirement.specifier)
    admitted = [version for version, unpinned in versions.items() if unpinned or pinned]
    # As pip does: pre-releases only where nothing else is admitted.
    return bool([*requirement.specifier.filter(admitted)])
