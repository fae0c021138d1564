"""The pages that are held in memory."""

import pytest

from ppp.check.index.page_store import PageStore


@pytest.mark.attack("bounded-input")
def test_the_oldest_pages_are_dropped_once_there_are_too_many_files() -> None:
    store: PageStore[tuple[str, ...]] = PageStore(max_files=10)
    for package, count in {"a": 4, "b": 4, "c": 0, "d": 4, "e": 6, "f": 11}.items():
        store.add(package, ("file",) * count)
        expected = {"c": "abc", "d": "bcd", "e": "cde"}.get(package)
        if expected:
            assert [name for name in "abcdef" if store.get(name) is not None] == list(expected)
    assert [name for name in "abcdef" if store.get(name) is not None] == ["f"]


def test_a_page_that_was_used_is_kept_longer() -> None:
    store: PageStore[tuple[str, ...]] = PageStore(max_files=4)
    store.add("a", ("x", "y"))
    store.add("b", ("x", "y"))
    assert store.get("a") == ("x", "y")
    store.add("c", ("x",))
    assert store.get("b") is None
    assert store.get("a") == ("x", "y")
