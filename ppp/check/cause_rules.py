"""The rules of `causes.toml`, and what each cause means to people."""

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from importlib.resources import files
from typing import Any

from ppp.model.record import Blame, Outcome, Phase


class OtherProject(StrEnum):
    """How a rule knows which installed distribution it is about.

    By the module or by the linker's symbol in the first group of its pattern, or by the file that raised.
    """

    NAMED = "named"
    SYMBOL = "symbol"
    RAISING = "raising"


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """A `[[rule]]` of `causes.toml`, which explains the fields."""

    cause: str
    blame: Blame
    pattern: re.Pattern[str]
    excerpt: str
    outcome: Outcome = Outcome.FAIL
    phases: frozenset[Phase] = frozenset(Phase)
    target_is_na: bool = False
    subject: re.Pattern[str] | None = None
    takes_first: bool = False
    then: re.Pattern[str] | None = None
    earlier: str | None = None
    context: re.Pattern[str] | None = None
    unless: re.Pattern[str] | None = None
    last: bool = False
    other: OtherProject | None = None
    details: tuple[re.Pattern[str], ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class CauseHelp:
    """What a cause means, how the maintainer fixes it, how a user works around it; text in backticks is code."""

    title: str
    meaning: str
    maintainer: str
    user: str


@cache
def _load_toml() -> Mapping[str, Any]:
    return tomllib.loads(files("ppp.check").joinpath("causes.toml").read_text("utf-8"))


@cache
def rules() -> tuple[Rule, ...]:
    """Return the rules in order of precedence."""
    return tuple(map(_rule, _load_toml()["rule"]))


def _rule(row: Mapping[str, Any]) -> Rule:
    def compiled(name: str) -> re.Pattern[str] | None:
        return re.compile(row[name], re.MULTILINE) if name in row else None

    return Rule(
        cause=row["cause"],
        blame=Blame(row["blame"]),
        pattern=re.compile(row["pattern"], re.MULTILINE),
        excerpt=row["excerpt"],
        outcome=Outcome(row.get("outcome", "FAIL")),
        phases=frozenset(map(Phase, row.get("phases", list(Phase)))),
        target_is_na=row.get("target") == "NA",
        subject=compiled("subject"),
        takes_first=row.get("take") == "first",
        then=compiled("then"),
        earlier=row.get("earlier"),
        context=compiled("context"),
        unless=compiled("unless"),
        last=row.get("last", False),
        other=OtherProject(row["other"]) if "other" in row else None,
        details=tuple(re.compile(detail, re.MULTILINE) for detail in row.get("details", ())),
    )


@cache
def cause_help() -> Mapping[str, CauseHelp]:
    """Return the help for each cause that this PPP can find, in the order of the page of causes."""
    return {name: CauseHelp(**row) for name, row in _load_toml()["cause"].items()}
