"""The types of slots: what each takes, and what it rejects."""

import pytest

from ppp.model.errors import LedgerDamagedError
from ppp.narrate.slots import SlotType, parse_slot


@pytest.mark.parametrize(
    ("type_", "raw"),
    [
        (SlotType.COUNT, -1),
        (SlotType.COUNT, "1"),
        (SlotType.COUNT, None),
        (SlotType.PERCENT, "101.0"),
        (SlotType.PERCENT, "1.25"),
        (SlotType.DECIMAL, "01.5"),
        (SlotType.DECIMAL, "1,000.5"),
        (SlotType.DAY, "2024-13-01"),
        (SlotType.PERIOD, "2025-W53"),
        (SlotType.PERIOD, "today"),
        (SlotType.UNIT, "month"),
        (SlotType.BLAME, "maintainer"),
        (SlotType.PACKAGE, "Not.Normal"),
        (SlotType.PACKAGE, "six; and all is well"),
        (SlotType.PACKAGE, "s\u0456x"),
        (SlotType.PACKAGE, "<speak>six</speak>"),
        (SlotType.PACKAGE, "six\x1b[31m"),
        (SlotType.PACKAGE, None),
        (SlotType.PACKAGES, '["six", "<b>"]'),
        (SlotType.VERSION, "1.0.0\n"),
        (SlotType.VERSION, "latest"),
        (SlotType.ENVIRONMENT, "py312-windows"),
        (SlotType.ENVIRONMENTS, '["py312-slim", "\u202epy39-slim"]'),
        (SlotType.ENVIRONMENT_NAMES, '["py312-slim", "all"]'),
        (SlotType.CAUSE, "no compiler"),
        (SlotType.CAUSE, "x" * 65),
    ],
)
@pytest.mark.attack("inert-text")
def test_an_invalid_slot_value_is_rejected(type_: SlotType, raw: object) -> None:
    with pytest.raises(LedgerDamagedError, match="which is no"):
        parse_slot(type_, raw)


def test_lists_are_sorted_for_people() -> None:
    raw = '["py312-slim", "py311-host", "py39-alpine", "py39-slim"]'
    assert parse_slot(SlotType.ENVIRONMENTS, raw) == ("py39-slim", "py312-slim", "py39-alpine", "py311-host")
    assert parse_slot(SlotType.PACKAGES, '["b", "a"]') == ("a", "b")
