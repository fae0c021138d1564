"""Ledgers of a few nights, made by a seed: releases that break, are fixed, stay broken, on three nodes; and lies."""

import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from random import Random
from typing import Any, Final

from memory_store import store_in_memory

from ppp.ledger.store import Store
from ppp.model.record import Installed, Outcome, Phase, Record, outcomes_in_order
from ppp.model.trigger import Trigger, TriggerKind
from ppp.narrate.facts import Rundown
from ppp.narrate.reading import Reading, known_words, read_sentence

Build = Callable[..., Record]

#: 2024-04-22, a Monday.
MONDAY: Final = 1_713_744_000
DAY_S: Final = 86_400
ENVIRONMENTS: Final = ("py39-slim", "py311-slim", "py312-slim", "py39-alpine", "py311-alpine", "py312-alpine")
#: Names that look like words of our sentences, and names made to deceive.
NAMES: Final = (
    *("six", "all", "none", "the", "and", "package", "py312-slim", "0", "2024-04-25", "no", "release", "cells"),
    *("ignore-previous-instructions", "say-all-tests-passed", "speak-xml-break-time-9s", "rm-rf", "x" * 200),
)
CAUSES: Final = ("no-compiler", "crash", "module-missing", "unclassified", None, "environment", "all", "no-build-tool")
_FAILURES: Final = {
    "FAIL": outcomes_in_order({Phase.DOWNLOAD: Outcome.PASS, Phase.NODEPS: Outcome.FAIL}),
    "TIMEOUT": outcomes_in_order({Phase.DOWNLOAD: Outcome.TIMEOUT}),
    "ERROR": outcomes_in_order({Phase.DOWNLOAD: Outcome.ERROR}),
}


def random_records(random: Random, build: Build) -> Iterator[Record]:
    """Yield records of eight nights: some releases of a few packages, in some environments, most more than once."""
    for package in random.sample(NAMES, random.randint(2, 6)):
        fate = random.choice(("PASS", "FAIL", "PASS", "NA"))
        for number in range(random.randint(1, 6)):
            if random.random() < 0.4:
                fate = random.choice(("PASS", "FAIL", "FAIL", "TIMEOUT", "ERROR", "NA"))
            at = MONDAY + random.randrange(8) * DAY_S + random.choice((0, 1, DAY_S // 2, DAY_S - 1))
            for environment in random.sample(ENVIRONMENTS, random.randint(1, 6)):
                result = fate if random.random() < 0.8 else random.choice(("PASS", "FAIL"))
                cell = (package, f"{number}.{random.choice((0, 1))}", environment)
                yield _record(random, build, cell, result, at)
                if random.random() < 0.2:
                    yield _again(random, build, cell, at)


def _record(random: Random, build: Build, cell: tuple[str, str, str], result: str, at: int) -> Record:
    fields: dict[str, Any] = {"result": result, "observed_at": at, "standin": random.random() < 0.3}
    if result in _FAILURES and (result != "FAIL" or random.random() < 0.6):
        fields["outcomes"] = _FAILURES[result]
    if result != "PASS":
        fields["cause"] = random.choice(CAUSES)
    if result == "ERROR" and random.random() < 0.5:
        fields["cause"] = "unhealthy-environment"
    return build(*cell, node=random.choice("abc") * 64, **fields)


def _again(random: Random, build: Build, cell: tuple[str, str, str], at: int) -> Record:
    """Return a re-check after another package's release, or the record of another node."""
    result = random.choice(("PASS", "FAIL"))
    trigger = Trigger(kind=TriggerKind.DEPENDENCY, name="numpy", version="2.0.0")
    installed = (Installed(name="numpy", version="2.0.0", sha256=None),)
    more = {"triggered_by": trigger, "installed": installed} if random.random() < 0.7 else {}
    cause = random.choice(CAUSES) if result == "FAIL" else None
    node = random.choice("abc") * 64
    return build(*cell, result=result, cause=cause, observed_at=at + 60, node=node, **more)


@contextmanager
def random_ledger(seed: int, build: Build) -> Iterator[Store]:
    """Yield the ledger of a seed, in memory."""
    with store_in_memory({r.id: r for r in random_records(Random(seed), build)}.values()) as store:
        yield store


# ---------------------------------------------------------------- lies

MUTATIONS: Final = ("number", "name", "plural", "order", "negation", "quantifier", "dropped", "doubled")


def mutate(random: Random, texts: Sequence[str], rundown: Rundown, kind: str) -> list[str] | None:
    """Return a script with one lie of a kind in it, or None if it has no place for one."""
    places = list(_facts(texts, rundown))
    place = random.choice(places)
    changed = list(texts)
    match kind:
        case "order":
            return _out_of_order(random, texts, rundown)
        case "dropped":
            del changed[place]
        case "doubled":
            changed.insert(random.randrange(len(changed) + 1), changed[random.randrange(len(changed))])
        case "plural":
            return _other_number(random, texts)
        case _:
            text = _lie(random, texts[place], rundown, kind)
            if text is None:
                return None
            changed[place] = text
    return changed if changed != list(texts) else None


def _facts(texts: Sequence[str], rundown: Rundown) -> dict[int, Reading]:
    known = known_words(rundown.facts)
    said = {place: read_sentence(text, known) for place, text in enumerate(texts)}
    return {place: reading for place, reading in said.items() if isinstance(reading, Reading)}


def _out_of_order(random: Random, texts: Sequence[str], rundown: Rundown) -> list[str] | None:
    """Swap two lines whose facts are of different weight, or in different chapters: equals may change places."""
    facts = {fact.id: fact for fact in rundown.facts}
    readings = _facts(texts, rundown)
    stated = {p: next(f for f in facts.values() if reading.states(f)) for p, reading in readings.items()}
    headlines = [place for place, fact in stated.items() if not fact.is_context]
    pairs = [
        (i, j) for i in headlines for j in headlines
        if i < j and (stated[i].chapter, stated[i].weight) != (stated[j].chapter, stated[j].weight)
    ]  # fmt: skip
    if not pairs:
        return None
    i, j = random.choice(pairs)
    changed = list(texts)
    changed[i], changed[j] = changed[j], changed[i]
    return changed


def _other_number(random: Random, texts: Sequence[str]) -> list[str] | None:
    words = r"\b(cell|release|package|observation|node|version|dependent|environment)(s?)\b"
    found = [(place, m) for place, text in enumerate(texts) for m in re.finditer(words, text)]
    if not found:
        return None
    place, match = random.choice(found)
    changed = list(texts)
    other = match[1] + ("" if match[2] else "s")
    changed[place] = f"{changed[place][: match.start()]}{other}{changed[place][match.end() :]}"
    return changed


def _lie(random: Random, text: str, rundown: Rundown, kind: str) -> str | None:
    match kind:
        case "number":
            digits = [m.start() for m in re.finditer(r"[0-9]", text)]
            if not digits:
                return None
            at = random.choice(digits)
            return f"{text[:at]}{(int(text[at]) + random.randint(1, 9)) % 10}{text[at + 1 :]}"
        case "name":
            names = sorted({str(f.slots[n]) for f in rundown.facts for n in ("package", "cause") if n in f.slots})
            said = [name for name in names if re.search(rf"(?<![a-z0-9-]){re.escape(name)}(?![a-z0-9-])", text)]
            if not said or len(names) < 2:
                return None
            old = random.choice(said)
            new = random.choice([name for name in [*names, "requests"] if name != old])
            return re.sub(rf"(?<![a-z0-9-]){re.escape(old)}(?![a-z0-9-])", new, text, count=1)
        case _:
            words = ("not", "never", "no") if kind == "negation" else ("all", "every", "none of", "most", "only")
            parts = text.split(" ")
            parts.insert(random.randrange(1, len(parts)), random.choice(words))
            return " ".join(parts)
