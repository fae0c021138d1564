"""Why several packages are not locked together in an environment: pure, from what the ledger knows.

A requirement is *met* if a release that it admits is proven in the environment, which means that it passes there now.
Else the ledger says what is missing: the newest release that would do fails, or none that would do was checked, or
nothing of the package was.
"""

import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from ppp.locks.lock import Lock
from ppp.model.cell_result import CellResult
from ppp.model.printable import first_of
from ppp.model.record import Result

#: How many proven versions a text names.
MAX_NAMED: Final = 3


class BlockKind(StrEnum):
    """What keeps packages from being locked together."""

    FAILS = "fails"
    NOT_CHECKED = "not-checked"
    NO_PROVEN_VERSION = "no-proven-version"
    NOT_INSTALLED_TOGETHER = "not-installed-together"
    NOT_IMPORTED_TOGETHER = "not-imported-together"
    UNAVAILABLE = "environment-unavailable"
    NOTHING_APPLIES = "nothing-applies"
    UNDECIDED = "undecided"


@dataclass(frozen=True, slots=True, kw_only=True)
class Blocker:
    """What keeps packages from being locked together in an environment: a requirement if one is known, else `""`.

    `detail` is a clause, `hint` what to do next.
    """

    kind: BlockKind
    requirement: str
    detail: str
    hint: str

    @property
    def about(self) -> str:
        """It as a clause without the hint, such as `foo<2: no proven version satisfies it: …`."""
        return f"{self.requirement}: {self.detail}" if self.requirement else self.detail

    def __str__(self) -> str:
        """Return it as a clause, with the hint in brackets."""
        return self.about + (f" ({self.hint})" if self.hint else "")


@dataclass(frozen=True, slots=True, kw_only=True)
class JointAnswer:
    """What became of a joint lock in an environment: the lock, or what blocks it."""

    environment: str
    lock: Lock | None = None
    blockers: tuple[Blocker, ...] = ()


def unmet(
    requirement: Requirement, results: Sequence[CellResult], environment: str, *, needed_by: str = ""
) -> Blocker | None:
    """Return why no proven release meets a requirement in an environment; None if one does.

    `results` are the current ones of the package there, newest first; `needed_by` names what depends on it, `""` if it
    was asked for.
    """
    package, text = canonicalize_name(requirement.name), f"{requirement.name}{requirement.specifier}"
    proven = [one.version for one in results if one.result is Result.PASS]
    if [*requirement.specifier.filter(proven)]:
        return None
    because = f", which {needed_by} needs" if needed_by else ""
    admitted = {*requirement.specifier.filter([one.version for one in results])}
    other = next((one for one in results if one.version in admitted), None)
    if other is not None:
        cause = f" with the cause {other.cause}" if other.cause else ""
        return Blocker(
            kind=BlockKind.FAILS,
            requirement=text,
            detail=f"{package} {other.version} is {other.result}{cause}{because}",
            hint=f"`ppp show {package}` has its results; `ppp check {environment} {shlex.quote(text)}` checks another",
        )
    check = f"`ppp check {environment} {shlex.quote(text)}` checks one"
    if not results:
        return Blocker(
            kind=BlockKind.NOT_CHECKED,
            requirement=text,
            detail=f"no release of {package} was checked in {environment}{because}",
            hint=check,
        )
    known = f"proven are {first_of(proven, MAX_NAMED)}" if proven else "none is proven"
    return Blocker(
        kind=BlockKind.NO_PROVEN_VERSION,
        requirement=text,
        detail=f"no proven version satisfies it: {known}{because}",
        hint=check,
    )


def answer_words(answer: JointAnswer) -> list[str]:
    """Return what became of a joint lock, a clause for each thing that blocks it."""
    if answer.lock is not None:
        count = len(answer.lock.packages)
        return [f"locked, {count} {'package' if count == 1 else 'packages'}"]
    return [f"blocked by {one}" if one.requirement else f"blocked: {one}" for one in answer.blockers]
