"""A browser for each module, and the sites that its pages are of, built once."""

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import pytest
from browsing import chromium, served
from showing import Sites, empty_site, showcase_site

from ppp.model.record import Record

if TYPE_CHECKING:
    from playwright.sync_api import Browser


@pytest.fixture(scope="module", name="browser")
def _browser() -> Iterator["Browser"]:
    with chromium() as browser:
        yield browser


@pytest.fixture(scope="session")
def sites(tmp_path_factory: pytest.TempPathFactory, record: Callable[..., Record]) -> Iterator[Sites]:
    """The sites: where a kind of page is missing, the test that asks for it would look at the server's error page."""
    full = showcase_site(tmp_path_factory.mktemp("full"), record)
    empty = empty_site(tmp_path_factory.mktemp("empty"))
    with served(full) as full_address, served(empty) as empty_address:
        yield Sites(full=full, full_address=full_address, empty=empty, empty_address=empty_address)
