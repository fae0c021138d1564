"""The command that installs what a cell's system lacked, where that is known: see `ppp.check.system_packages`."""

from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache

from ppp.check.system_packages import SystemPackages, system_packages_for
from ppp.model.matrix import EnvironmentId
from ppp.publish.packages.failures import group_failures
from ppp.publish.packages.history import CurrentRecord


def cell_fixes(cells: Iterable[CurrentRecord], logs: Mapping[str, str]) -> dict[str, str]:
    """Return, by environment, the command that installs what a failed cell lacked; `logs` are by sha256."""
    fixes: dict[str, str] = {}
    for group in group_failures(cells):
        if lacked := _lacked(group, logs):
            fixes |= _commands(lacked, [current.record.environment for current in group])
    return fixes


def command_for(cause: str | None, detail: str | None, environments: Sequence[str]) -> str | None:
    """Return the commands that install what a module lacked in some environments, those of two platforms joined."""
    lacked = _by_detail(cause, detail)
    return " or ".join(dict.fromkeys(_commands(lacked, environments).values())) or None if lacked else None


def _lacked(group: Sequence[CurrentRecord], logs: Mapping[str, str]) -> SystemPackages | None:
    # The detail is the line that was chosen from the log; only if it names nothing is the log worth a search.
    record = group[0].record
    if found := _by_detail(record.cause, record.detail):
        return found
    log = next((text for current in group if (text := logs.get(current.record.log_sha256 or ""))), None)
    return system_packages_for(record.cause, log) if log else None


@lru_cache(1_024)
def _by_detail(cause: str | None, detail: str | None) -> SystemPackages | None:
    return system_packages_for(cause, detail)


def _commands(lacked: SystemPackages, environments: Iterable[str]) -> dict[str, str]:
    found = ((environment, lacked.command(EnvironmentId.parse(environment).platform)) for environment in environments)
    return {environment: command for environment, command in found if command}
