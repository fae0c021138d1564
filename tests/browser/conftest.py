"""A browser for each module, and the sites under test, built once."""

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import pytest
from browser_tools import launch_chromium, serve_folder
from showcase import ServedSites, empty_site, showcase_site

from ppp.model.record import Record

if TYPE_CHECKING:
    from playwright.sync_api import Browser


@pytest.fixture(scope="module", name="browser")
def _browser() -> Iterator["Browser"]:
    with launch_chromium() as browser:
        yield browser


@pytest.fixture(scope="session")
def sites(tmp_path_factory: pytest.TempPathFactory, record: Callable[..., Record]) -> Iterator[ServedSites]:
    """The sites; each kind of page must exist, or its test would see the error page of the server."""
    full = showcase_site(tmp_path_factory.mktemp("full"), record)
    empty = empty_site(tmp_path_factory.mktemp("empty"))
    with serve_folder(full) as full_address, serve_folder(empty) as empty_address:
        yield ServedSites(full=full, full_address=full_address, empty=empty, empty_address=empty_address)
