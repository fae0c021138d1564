"""The types of the values that a sentence may state: counts, and names that were validated when they were recorded.

No type admits text that a package wrote: no detail, log or summary.
"""

import json
import re
from datetime import date
from enum import StrEnum
from typing import Final, TypeAlias

from ppp.model.errors import ConfigError, LedgerDamagedError
from ppp.model.matrix import ENVIRONMENT_ID, environment_sort_key
from ppp.model.period import Period
from ppp.model.record import Blame
from ppp.model.release import InvalidReleaseError, Release

SlotValue: TypeAlias = int | str | tuple[str, ...]

#: A sentence lists at most so many packages by name.
MAX_NAMED: Final = 5
#: A sentence that says where something happened names so many environments; of more, it says how many they are.
MAX_ENVIRONMENTS: Final = 3


class SlotType(StrEnum):
    """The type of a slot's value; the plural ones are sorted lists. Of `ENVIRONMENT_NAMES`, each is named."""

    COUNT = "count"
    PERCENT = "percent"
    DECIMAL = "decimal"
    DAY = "day"
    PERIOD = "period"
    UNIT = "unit"
    PACKAGE = "package"
    PACKAGES = "packages"
    VERSION = "version"
    ENVIRONMENT = "environment"
    ENVIRONMENTS = "environments"
    ENVIRONMENT_NAMES = "environment-names"
    CAUSE = "cause"
    BLAME = "blame"


#: How a sentence names a blame.
SPOKEN_BLAMES: Final = {
    str(Blame.PACKAGE): "the package itself",
    str(Blame.DEPENDENCY): "a dependency",
    str(Blame.ENVIRONMENT): "the environment",
    str(Blame.INFRASTRUCTURE): "the infrastructure",
    str(Blame.UNKNOWN): "unknown",
}
_SHAPES: Final = {
    SlotType.ENVIRONMENT: ENVIRONMENT_ID,
    SlotType.CAUSE: re.compile(r"[a-z][a-z0-9-]{0,63}", re.ASCII),
    SlotType.PERCENT: re.compile(r"100\.0|[1-9]?[0-9]\.[0-9]", re.ASCII),
    SlotType.DECIMAL: re.compile(r"(?:0|[1-9][0-9]{0,8})\.[0-9]", re.ASCII),
    SlotType.UNIT: re.compile(r"night|week", re.ASCII),
    SlotType.BLAME: re.compile("|".join(Blame), re.ASCII),
}


def parse_slot(type_: SlotType, raw: object) -> SlotValue:
    """Return a column's value as the value of a slot; raise `LedgerDamagedError` if it is invalid for such a slot."""
    match type_, raw:
        case SlotType.COUNT, int() if raw >= 0:
            return raw
        case SlotType.PACKAGES, str():
            return tuple(sorted(_text(SlotType.PACKAGE, item) for item in json.loads(raw)))
        case SlotType.ENVIRONMENTS | SlotType.ENVIRONMENT_NAMES, str():
            items = (_text(SlotType.ENVIRONMENT, item) for item in json.loads(raw))
            return tuple(sorted(items, key=environment_sort_key))
        case _:
            return _text(type_, raw)


def _text(type_: SlotType, raw: object) -> str:
    if isinstance(raw, str) and _is_valid(type_, raw):
        return raw
    raise LedgerDamagedError(
        f"the ledger contains {str(raw)[:80]!r}, which is not a valid {type_}",
        hint="restore it from a snapshot or a peer",
    )


def _is_valid(type_: SlotType, text: str) -> bool:
    match type_:
        case SlotType.PACKAGE:
            return _is_release(text, "0")
        case SlotType.VERSION:
            return _is_release("a", text)
        case SlotType.DAY:
            return _is_day(text)
        case SlotType.PERIOD:
            return _is_period(text)
        case _:
            return type_ in _SHAPES and bool(_SHAPES[type_].fullmatch(text))


def _is_release(package: str, version: str) -> bool:
    try:
        return Release.parse(package, version) == Release(package=package, version=version)
    except InvalidReleaseError:
        return False


def _is_day(text: str) -> bool:
    try:
        return date.fromisoformat(text).isoformat() == text
    except ValueError:
        return False


def _is_period(text: str) -> bool:
    try:
        return Period.parse(text).id == text
    except ConfigError:
        return False
