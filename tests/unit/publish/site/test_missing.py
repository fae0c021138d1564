"""The page at addresses that have no file: its links lead to the site from any depth."""

import re

import pytest

from ppp.publish.site.missing import MAX_DEPTH, missing_page


@pytest.mark.parametrize(
    ("base_url", "root"),
    [("https://ppp.example/", "/"), ("https://someone.example/repository/", "/repository/")],
)
def test_links_begin_at_the_root_of_the_site(base_url: str, root: str) -> None:
    path, page = missing_page(base_url)
    links = [link for link in re.findall('(?:href|src)="([^"]+)"', page.decode()) if not link.startswith("#")]
    assert path == "404.html"
    assert f"{root}index.html" in links
    assert f"{root}near.js" in links
    assert all(link.startswith(root) and not link.startswith("//") for link in links)


def test_without_an_address_each_folder_above_is_asked_for_the_style_and_the_scripts() -> None:
    _, page = missing_page("")
    text = page.decode()
    for name in ("style.css", "site.js", "near.js"):
        assert re.findall(f'="((?:[.][.]/)*){name}"', text) == ["../" * depth for depth in range(MAX_DEPTH + 1)]
    assert 'data-root="unknown"' in text
    assert "data-root" not in missing_page("https://ppp.example/")[1].decode()


def test_it_claims_nothing_of_a_package() -> None:
    _, page = missing_page("")
    assert b"<strong>says nothing about it</strong>" in page
