"""What a record says of why its cell was checked again."""

import pytest

from ppp.model.trigger import Trigger, TriggerKind


@pytest.mark.parametrize(
    ("kind", "name", "version", "words"),
    [
        (TriggerKind.DEPENDENCY, "numpy", "2.0.0", "dependency numpy 2.0.0"),
        (TriggerKind.AGE, "5a" * 32, "2026-06-01", "its age: it last passed on 2026-06-01"),
    ],
)
def test_a_trigger_is_said_in_words(kind: TriggerKind, name: str, version: str, words: str) -> None:
    trigger = Trigger(kind=kind, name=name, version=version)
    assert trigger.words == words
    assert Trigger.from_json(trigger.to_json()) == trigger
