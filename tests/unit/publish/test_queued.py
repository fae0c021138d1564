"""A cell that waits in the queue is `queued`, not `not checked`: on pages and badges, and in JSON."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Final

import pytest
from journal_rows import queue_release

from ppp.ledger.queued_cells import queued_cells
from ppp.ledger.store import Store
from ppp.model.record import Record
from ppp.publish.build import build
from ppp.schemas import schema_errors

ALPINE: Final = "py312-alpine"


def tree(root: Path) -> dict[str, bytes]:
    return {str(p.relative_to(root)): p.read_bytes() for p in sorted(root.rglob("*")) if p.is_file()}


def newest(small: Store, package: str) -> str:
    rows = small.db.execute(
        "SELECT version FROM releases WHERE package = ? ORDER BY version_key DESC LIMIT 1", (package,)
    )
    (version,) = rows.fetchone()
    return str(version)


@pytest.fixture
def partly(small: Store, record: Callable[..., Record]) -> str:
    """A package whose newest release has three results, and one cell in the queue."""
    for environment in ("py39-slim", "py312-slim", "py39-alpine"):
        small.add_record(record("partly", "1.0", environment))
    queue_release(small, "partly", "1.0", environment=ALPINE)
    return "partly"


def test_page_badge_and_json_say_the_same(small: Store, partly: str, tmp_path: Path) -> None:
    build(small.db, tmp_path)
    page = (tmp_path / f"p/{partly}/index.html").read_text()
    assert '<td class="none">· queued</td>' in page
    assert "not checked</td>" not in page
    assert f"Queued, to be checked by this node: <code>{ALPINE}</code>" in page
    document = json.loads((tmp_path / f"api/v1/p/{partly}.json").read_text())
    assert document["queued"] == [ALPINE]
    assert not schema_errors("site/schemas/package.schema.json", document)
    assert json.loads((tmp_path / f"badge/{partly}.json").read_text())["message"] == "3/3 environments, 1 queued"
    assert "and 1 queued</title>" in (tmp_path / f"badge/{partly}.svg").read_text()
    front = (tmp_path / "index.html").read_text()
    assert '<span title="queued">…</span>' in front
    assert '<span class="chip none">…</span> queued' in front


def test_an_environment_without_any_result_is_named_too(small: Store, tmp_path: Path) -> None:
    queue_release(small, "six", newest(small, "six"), environment="py314-slim")
    build(small.db, tmp_path)
    assert json.loads((tmp_path / "api/v1/p/six.json").read_text())["queued"] == ["py314-slim"]
    assert "<code>py314-slim</code>" in (tmp_path / "p/six/index.html").read_text()


def test_what_has_a_result_or_is_another_release_is_not_queued(small: Store, tmp_path: Path) -> None:
    queue_release(small, "six", newest(small, "six"), environment=ALPINE)
    queue_release(small, "six", "99.0", environment=ALPINE)
    build(small.db, tmp_path)
    assert queued_cells(small.db) == {}
    assert "queued" not in json.loads((tmp_path / "api/v1/p/six.json").read_text())
    assert "queued" not in (tmp_path / "badge/six.svg").read_text()


def test_what_leaves_the_queue_without_a_result_is_built_again(small: Store, partly: str, tmp_path: Path) -> None:
    public, cache = tmp_path / "public", tmp_path / "cache.db"
    build(small.db, public, cache_path=cache)
    assert build(small.db, public, cache_path=cache).packages == 0
    with small.db.atomic():
        small.db.execute("DELETE FROM queue WHERE package = ?", (partly,))
    assert build(small.db, public, cache_path=cache).packages == 1
    assert '<td class="none">· not checked</td>' in (public / f"p/{partly}/index.html").read_text()
    build(small.db, tmp_path / "afresh")
    assert tree(public) == tree(tmp_path / "afresh")
