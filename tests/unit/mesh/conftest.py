"""Nodes of a mesh in memory, and batches of any content."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from memory_transport import MemoryTransport
from mesh_nodes import MeshNode, dump, mesh_nodes

from ppp.ledger.batches import batch_sort_key
from ppp.mesh.node import NodeKey
from ppp.model.record import Record


@pytest.fixture
def web() -> Any:
    return MemoryTransport()


@pytest.fixture
def node(tmp_path: Path, web: Any) -> Iterator[Callable[[int], MeshNode]]:
    """A function that creates a node by its number."""
    with mesh_nodes(tmp_path, web) as make:
        yield make


@pytest.fixture
def batch_document(record: Callable[..., Record]) -> Callable[..., dict[str, Any]]:
    """A function that creates a batch document, valid except for the given changes."""

    def make(key: NodeKey, *packages: str, **changes: object) -> dict[str, Any]:
        records = [record(package, node=key.id, **changes) for package in packages or ("alpha", "beta")]
        rows = [r.to_json() for r in sorted(records, key=batch_sort_key)]
        return {"schema": "ppp-batch-1", "node": key.id, "records": rows, "logs": {}}

    return make


@pytest.fixture
def dumped() -> Callable[..., str]:
    return dump
