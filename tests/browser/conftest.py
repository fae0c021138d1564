"""A browser for each module, and the sites that its pages are of, built once."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from browsing import chromium, served
from showing import EMPTY_PAGES, PAGES, empty_site, showcase_site

from ppp.model.record import Record

if TYPE_CHECKING:
    from playwright.sync_api import Browser


@dataclass(frozen=True, slots=True, kw_only=True)
class Sites:
    """Two sites, built and served: a made-up ledger's, which has grown old, and that of one that holds nothing."""

    full: Path
    full_address: str
    empty: Path
    empty_address: str

    @property
    def pages(self) -> dict[str, str]:
        """Give the address of one page of each kind, by the words of `showing.PAGES`."""
        return {
            **{kind: f"{self.full_address}/{path}" for kind, path in PAGES.items()},
            **{kind: f"{self.empty_address}/{path}" for kind, path in EMPTY_PAGES.items()},
        }


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
