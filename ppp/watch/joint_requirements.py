"""Read the requirements that are to be locked together: from the command line, or a requirements file.

What pip would read in such a file besides names is honoured or refused, never dropped:

- Versions, extras and markers are honoured: pip itself reads them, in the environment.
- Options, paths, URLs, other files, and hashes are refused: each would take files from elsewhere than what is proven,
  or say in advance which file is to be taken.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from packaging.markers import Marker
from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name, is_normalized_name

from ppp.model.errors import RequirementsError
from ppp.model.release import InvalidReleaseError, RequestedPackage
from ppp.watch.markers import can_be_evaluated
from ppp.watch.watchlist import line_error, logical_lines, raise_mistakes, read_text

#: How many requirements are locked together at most.
MAX_REQUIREMENTS: Final = 500
MAX_EXTRAS: Final = 50
_PLAIN: Final = re.compile(r"[A-Za-z0-9._,<>=!~*+\[\]-]+")
_ONLY_PROVEN: Final = "a joint lock takes proven files of the index only: write a name, or one with a version"


@dataclass(frozen=True, slots=True, kw_only=True)
class JointRequirement:
    """A requirement for a joint lock; `text` is what pip is given, without the marker."""

    wanted: RequestedPackage
    extras: tuple[str, ...] = ()
    marker: Marker | None = None

    @property
    def text(self) -> str:
        """The requirement in PEP 508's form, without the marker."""
        extras = f"[{','.join(self.extras)}]" if self.extras else ""
        return f"{self.wanted.package}{extras}{self.wanted.specifier}"


def read_joint_requirements(path: Path) -> tuple[JointRequirement, ...]:
    """Return the requirements of a file; raise `RequirementsError` that names all mistakes with their lines."""
    found: list[JointRequirement] = []
    mistakes: list[str] = []
    for number, line in logical_lines(read_text(path)):
        try:
            found.append(parse_joint_requirement(line))
        except (InvalidReleaseError, RequirementsError) as error:
            mistakes.append(f"line {number}: {error}")
    raise_mistakes(mistakes, str(path))
    return _bounded(found, str(path))


def parse_joint_requirements(texts: Sequence[str]) -> tuple[JointRequirement, ...]:
    """Return requirements as typed on the command line; raise `RequirementsError` that names all mistakes."""
    found: list[JointRequirement] = []
    mistakes: list[str] = []
    for text in texts:
        try:
            found.append(parse_joint_requirement(text))
        except (InvalidReleaseError, RequirementsError) as error:
            mistakes.append(str(error))
    raise_mistakes(mistakes, "the command line")
    return _bounded(found, "the command line")


def parse_joint_requirement(text: str) -> JointRequirement:
    """Return a requirement; raise `RequirementsError` or `InvalidReleaseError` for anything else."""
    if text.startswith("-"):
        raise line_error(text, "is an option", _ONLY_PROVEN)
    if "--hash" in text:
        raise line_error(text, "has a hash", "leave it out: the lock says which files are proven together")
    try:
        requirement = Requirement(text)
    except (InvalidRequirement, RecursionError) as error:
        raise line_error(text, "is not a requirement", _ONLY_PROVEN) from error
    if requirement.url:
        raise line_error(text, "is a URL", _ONLY_PROVEN)
    if requirement.marker and not can_be_evaluated(requirement.marker):
        raise line_error(text, "has a marker without a value", "compare variables of an environment, as in PEP 508")
    extras = sorted({canonicalize_name(extra) for extra in requirement.extras})
    if len(extras) > MAX_EXTRAS or not all(map(is_normalized_name, extras)):
        raise line_error(text, "has extras that are none", f"write at most {MAX_EXTRAS} names of extras")
    wanted = RequestedPackage.parse(f"{requirement.name}{requirement.specifier}")
    found = JointRequirement(wanted=wanted, extras=tuple(extras), marker=requirement.marker)
    # In a file, pip takes some for variables, comments or continued lines.
    if not _PLAIN.fullmatch(found.text):
        raise line_error(text, "has unusual characters", _ONLY_PROVEN)
    return found


def _bounded(found: Sequence[JointRequirement], place: str) -> tuple[JointRequirement, ...]:
    if not found:
        raise RequirementsError(f"{place} names no package", hint="write one package in each line")
    if len(found) > MAX_REQUIREMENTS:
        raise RequirementsError(
            f"{place} has {len(found)} requirements, and a joint lock at most {MAX_REQUIREMENTS}",
            hint="lock fewer of them together",
        )
    return tuple(found)
