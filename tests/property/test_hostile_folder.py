"""A published folder of which any file may be changed: verification says so, and ends in no other way."""

import json
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Final

import pytest
from hostile_peer import BYTE_EDITS, JSON_EDITS, ByteEdit, JsonEdit, edit_bytes, edit_document, encoded
from hostile_strings import unsafe_characters
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from snapshot_ledgers import publish_signed, sample_observations

from ppp.ledger.store import Store
from ppp.mesh.node import NodeKey
from ppp.model.record import Record
from ppp.verify.examine import VerifyOptions, examine
from ppp.verify.result import Verification

KEY: Final = NodeKey.from_seed(b"\7" * 32)
NOW: Final = 1_720_000_000
#: Without shrinking: each example verifies a whole folder.
PHASES: Final = (Phase.explicit, Phase.reuse, Phase.generate)


@pytest.fixture(scope="module", name="public")
def _public(tmp_path_factory: pytest.TempPathFactory, record: Callable[..., Record]) -> Path:
    """A public folder as a node leaves it: built, signed, with batches and snapshots."""
    data = tmp_path_factory.mktemp("data")
    with Store.open(data) as store:
        for made, log in sample_observations(record, days=2):
            store.add_record(Record.from_json(made.to_json() | {"node": KEY.id}), log)
        return publish_signed(store, data, KEY, now=NOW)


def candidates(public: Path) -> list[Path]:
    """Return the files that decide what is valid, and a page that they name."""
    patterns = ("*.json", "files/*.json", "batches/*", "snapshots/*.json", "snapshots/*.db", "index.html")
    return sorted({path for pattern in patterns for path in public.glob(pattern) if path.is_file()})


def changed(data: bytes, document: list[JsonEdit], edits: list[ByteEdit]) -> bytes:
    # Not every file is a document.
    with suppress(ValueError):
        data = encoded(edit_document(json.loads(data), document)) if document else data
    return edit_bytes(data, edits)


def verified(path: Path) -> Iterator[Verification]:
    for found in examine(path, VerifyOptions(now=NOW, nodes=[KEY.id])):
        assert unsafe_characters(found.message, keep="") == set()
        yield found


@pytest.mark.fuzz
@pytest.mark.attack("valid-records")
@given(
    number=st.integers(0, 1000),
    document=st.lists(JSON_EDITS, max_size=2),
    edits=st.lists(BYTE_EDITS, max_size=2),
)
@settings(max_examples=25, phases=PHASES, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_changed_file_is_found(public: Path, number: int, document: list[JsonEdit], edits: list[ByteEdit]) -> None:
    files = candidates(public)
    path = files[number % len(files)]
    before = path.read_bytes()
    after = changed(before, document, edits)
    try:
        path.write_bytes(after)
        alone = list(verified(path))
        folder = [*verified(public)]
    finally:
        path.write_bytes(before)
    # Around a signature, white space makes no difference.
    if after.strip() != before.strip():
        assert not all(found.valid for found in folder), path.name
        assert path.name == "index.json" or not all(found.valid for found in alone), path.name
