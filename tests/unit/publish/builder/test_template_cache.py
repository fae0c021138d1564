"""Templates as they were compiled: taken from the memory where they are whole, compiled anew where they are not."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from ppp.publish.builder.template_cache import cached_templates
from ppp.publish.cache.build_cache import BuildCache
from ppp.publish.site.front import about_page
from ppp.publish.site.templates import jinja_environment


@pytest.fixture(autouse=True)
def _compiled_by_others() -> Iterator[None]:
    yield
    jinja_environment.cache_clear()


def rendered(path: Path) -> bytes:
    """Render a page as a new process would, with what a memory holds."""
    jinja_environment.cache_clear()
    with BuildCache.open(path) as memory, cached_templates(memory):
        _, page = about_page()
        memory.commit()
    return page


def codes(path: Path) -> dict[str, bytes]:
    with closing(sqlite3.connect(path)) as db:
        return dict(db.execute("SELECT name, code FROM codes").fetchall())


def test_templates_are_compiled_once(tmp_path: Path) -> None:
    path = tmp_path / "memory.db"
    page = rendered(path)
    held = codes(path)
    assert any(name.startswith("../") for name in held)
    with closing(sqlite3.connect(path)) as db:
        db.execute("CREATE TRIGGER kept_again BEFORE INSERT ON codes BEGIN SELECT raise(ABORT, 'compiled again'); END")
    assert rendered(path) == page
    assert codes(path) == held


def test_what_is_damaged_is_compiled_anew(tmp_path: Path) -> None:
    path = tmp_path / "memory.db"
    page = rendered(path)
    held = codes(path)
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.execute("UPDATE codes SET code = zeroblob(length(code))")
    assert codes(path) != held
    assert rendered(path) == page
    assert codes(path) == held
