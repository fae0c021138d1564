"""A ledger with facts of every kind, and a language model small enough to create in a test."""

from collections.abc import Callable
from pathlib import Path

import pytest
from gguf_models import write_tiny_model

from ppp.ledger.store import Store
from ppp.model.record import Outcome, Phase, Record, outcomes_in_order
from ppp.narrate.fact_queries import FACT_QUERIES
from ppp.narrate.fact_values import Fact, weigh
from ppp.narrate.facts import Rundown, gather_facts, resolve_period
from ppp.narrate.queries.query import FactKind
from ppp.narrate.slots import SlotValue

DAY = "2024-04-25"
NOON = 1_714_046_400  # 2024-04-25T12:00:00Z
YESTERDAY = NOON - 86_400
SLIM = ("py39-slim", "py311-slim", "py312-slim")
ALPINE = ("py39-alpine", "py311-alpine", "py312-alpine")
EVERYWHERE = (*SLIM, *ALPINE)
OTHER_NODE = "cd" * 32

#: What a phase that failed leaves behind it: the later ones are gated.
IN_NODEPS = outcomes_in_order({Phase.DOWNLOAD: Outcome.PASS, Phase.NODEPS: Outcome.FAIL})
IN_DOWNLOAD_ERROR = outcomes_in_order({Phase.DOWNLOAD: Outcome.ERROR})
IN_FULL_TIMEOUT = outcomes_in_order(
    {Phase.DOWNLOAD: Outcome.PASS, Phase.NODEPS: Outcome.PASS, Phase.FULL: Outcome.TIMEOUT}
)

Build = Callable[..., Record]


def fill(store: Store, build: Build) -> None:
    """Fill a ledger with two days of records of three nodes, with each kind of finding at least once."""

    def add(package: str, version: str, environments: tuple[str, ...], **changes: object) -> None:
        for environment in environments:
            changes.setdefault("observed_at", NOON)
            changes["standin"] = environment.endswith("alpine")
            store.add_record(build(package, version, environment, **changes))

    failed = {"result": "FAIL", "outcomes": IN_NODEPS, "blame": None}
    add("wheelhouse", "1.0.0", EVERYWHERE, observed_at=YESTERDAY)
    add("wheelhouse", "1.1.0", SLIM)
    add("wheelhouse", "1.1.0", ALPINE, cause="no-compiler", **failed)
    add("mended", "3.0", SLIM, observed_at=YESTERDAY, cause="bad-metadata", **failed)
    add("mended", "3.0.1", SLIM)
    add("old-school", "0.9", ("py39-slim", "py311-slim"))
    add("old-school", "0.9", ("py312-slim",), cause="distutils-removed", **failed)
    add("ghost", "2.0", ("py312-slim",), result="FAIL", cause="module-missing")
    add("riddle", "5.2", ("py39-slim",), cause="unclassified", **failed)
    add("glibc-only", "4.0", SLIM)
    add("glibc-only", "4.0", ALPINE, result="NA", cause="no-distribution")
    add("slow", "1.0", ("py311-slim",), result="TIMEOUT", outcomes=IN_FULL_TIMEOUT, cause="timeout")
    add("slow", "1.0", ("py312-slim",), result="ERROR", outcomes=IN_DOWNLOAD_ERROR, cause="network")
    # A second record of a cell, from another node: it is superseded, and counted.
    add("mended", "3.0.1", ("py39-slim",), observed_at=NOON - 60, node=OTHER_NODE)


def build_fact(kind: FactKind, **slots: SlotValue) -> Fact:
    """Return a fact as the ledger of a period from 1 to 2 would give it."""
    query = FACT_QUERIES[kind]
    key = {name: str(slots[name]) for name in query.key}
    return Fact(
        id="/".join([kind, *key.values()]),
        kind=kind,
        slots=slots,
        sql=query.fact_sql,
        params={"start": 1, "end": 2, **key},
        weight=weigh(query, slots),
    )


@pytest.fixture
def make_fact() -> Callable[..., Fact]:
    """The function that builds a fact of a kind from its slots."""
    return build_fact


@pytest.fixture
def rundown(sample: Store) -> Rundown:
    """What an episode tells of the newest night of the sample."""
    return gather_facts(sample.db, resolve_period(sample.db, None))


@pytest.fixture
def sample(store: Store, record: Build) -> Store:
    """The ledger that `fill` fills."""
    fill(store, record)
    return store


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A random llama model of one layer, with tokens for bytes and ASCII; llama.cpp loads it in milliseconds."""
    path = tmp_path_factory.mktemp("model") / "tiny.gguf"
    write_tiny_model(path)
    return path
