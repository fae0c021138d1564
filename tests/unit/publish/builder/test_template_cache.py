"""Compiled templates: taken from the cache where they are intact, compiled again where they are damaged."""

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
def _forget_compiled_templates() -> Iterator[None]:
    yield
    jinja_environment.cache_clear()


def render_with(path: Path) -> bytes:
    """Render a page as a new process would, with the templates of a cache."""
    jinja_environment.cache_clear()
    with BuildCache.open(path) as cache, cached_templates(cache):
        _, page = about_page("")
        cache.commit()
    return page


def cached_code(path: Path) -> dict[str, bytes]:
    with closing(sqlite3.connect(path)) as db:
        return dict(db.execute("SELECT name, code FROM templates").fetchall())


def test_templates_are_compiled_once(tmp_path: Path) -> None:
    path = tmp_path / "cache.db"
    page = render_with(path)
    code = cached_code(path)
    assert any(name.startswith("../") for name in code)
    with closing(sqlite3.connect(path)) as db:
        db.execute(
            "CREATE TRIGGER stored_again BEFORE INSERT ON templates BEGIN SELECT raise(ABORT, 'compiled again'); END"
        )
    assert render_with(path) == page
    assert cached_code(path) == code


def test_damaged_templates_are_compiled_again(tmp_path: Path) -> None:
    path = tmp_path / "cache.db"
    page = render_with(path)
    code = cached_code(path)
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.execute("UPDATE templates SET code = zeroblob(length(code))")
    assert cached_code(path) != code
    assert render_with(path) == page
    assert cached_code(path) == code
