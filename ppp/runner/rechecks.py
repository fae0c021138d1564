"""Decide which cells to check again because of a new release of a dependency, a new image or a new pip. Pure.

A release lands where this node has a first verdict on it, whatever that is: one that fails itself harms its dependents
most. It concerns the packages whose newest release installed an older version of it there. The most downloaded come
first; what a budget has no room for is counted, and left.
"""

from collections.abc import Iterable, Sequence

from packaging.version import InvalidVersion, Version

from ppp.ledger.dependents import Dependent, FailedCell, Landing
from ppp.ledger.triggers import TriggeredChecks
from ppp.model.matrix import Cell
from ppp.model.trigger import Trigger, TriggerKind


def dependency_checks(landing: Landing, dependents: Iterable[Dependent], *, budget: int) -> TriggeredChecks | None:
    """Return what a release of a dependency makes a node check again; None if it concerns nothing."""
    affected = [dependent for dependent in dependents if _is_affected(landing, dependent)]
    if not affected:
        return None
    return _checks(landing.trigger, landing.environment, affected, budget=budget)


def _is_affected(landing: Landing, dependent: Dependent) -> bool:
    """Return whether installing a package again may install another version than it had: the one that landed, or any.

    Installers do not take one that was withdrawn, unless nothing else will do.
    """
    if landing.withdrawn:
        return dependent.installed == landing.release.version
    new = Version(landing.release.version)
    try:
        installed = Version(dependent.installed)
    except InvalidVersion:
        return landing.is_newest
    if new <= installed or (new.is_prerelease and not installed.is_prerelease):
        return False
    # An older release that somebody asked for is nothing new; an announced one may be of an older series.
    is_later = landing.announced_at is not None and landing.announced_at > dependent.observed_at
    return landing.is_newest or is_later


def changed_checks(trigger: Trigger, environment: str, failed: Iterable[FailedCell], *, budget: int) -> TriggeredChecks:
    """Return the failures that another image or pip had, to be checked with the one that `trigger` names."""
    affected = [cell for cell in failed if _had(cell, trigger) not in {None, trigger.version}]
    return _checks(trigger, environment, affected, budget=budget)


def _had(cell: FailedCell, trigger: Trigger) -> str | None:
    return cell.image_digest if trigger.kind is TriggerKind.IMAGE else cell.pip_version


def _checks(
    trigger: Trigger, environment: str, affected: Sequence[Dependent | FailedCell], *, budget: int
) -> TriggeredChecks:
    # Where downloads are not known, by name.
    ordered = sorted(affected, key=lambda one: (-(one.downloads or 0), _place(one.cell)))
    cells = tuple(one.cell for one in ordered[:budget])
    return TriggeredChecks(trigger=trigger, environment=environment, cells=cells, affected=len(affected))


def _place(cell: Cell) -> tuple[str, str]:
    return cell.release.package, cell.release.version
