"""The address of a site: which addresses files can be linked below, and how files link to each other without one."""

from urllib.parse import urljoin

import pytest

from ppp.config import load
from ppp.model.errors import ConfigError
from ppp.model.site_address import MAX_ADDRESS_CHARS, site_link

BASE = "https://node.example/ppp/"


@pytest.mark.parametrize(
    "url",
    [
        "https://node.example",
        BASE,
        "http://localhost:8001/a~b/%C3%A9/",
        "HTTPS://Node.Example/",
        "http://[200:1:2::3]:8080/",
        "https://xn--mller-kva.example/%28old%29/",
    ],
)
def test_an_address_that_can_be_linked_below(url: str) -> None:
    assert load({"PPP_BASE_URL": url}).base_url == f"{url.removesuffix('/')}/"


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("node.example", "is not an http"),
        ("//node.example/", "is not an http"),
        ("javascript:alert(1)", "is not an http"),
        ("javascript://node.example/%0aalert(1)", "is not an http"),
        ("data:text/html,x", "is not an http"),
        ("file:///srv/public", "is not an http"),
        ("https:///ppp/", "is not an http"),
        ("https://node.example:99999/", "is not an http"),
        ("https://node.example/\nX: y", "is not an http"),
        (" ", "is not an http"),
        ("https://operator@node.example/", "would publish the user name"),
        ("https://node.example/?site=1", "has a query or a fragment"),
        ("https://node.example/?", "has a query or a fragment"),
        ("https://node.example/#top", "has a query or a fragment"),
        ("https://node.example/my site/", "has ' '"),
        ("https://node.example/ ", "has ' '"),
        ("https://node.example/é/", "has 'é'"),
        ("https://node.example/\N{RIGHT-TO-LEFT OVERRIDE}/", "is not an http"),
        ('https://node.example/"><script>', "has '\"'"),
        ("https://node.example/a)b/", r"has '\)'"),
        ("https://node.example/100%/", "has '%'"),
        ("https://node.example/a/../b/", "has . or .. in its path"),
        ("https://node.example/.", "has . or .. in its path"),
        (f"https://node.example/{'a' * MAX_ADDRESS_CHARS}", "has 1,021 characters, of 1,000 at most"),
    ],
)
def test_an_address_that_cannot(url: str, why: str) -> None:
    with pytest.raises(ConfigError, match=why) as caught:
        load({"PPP_BASE_URL": url})
    assert caught.value.message.startswith("PPP_BASE_URL=")
    assert len(caught.value.message) < 400
    assert caught.value.message.isprintable()


@pytest.mark.parametrize("at", ["feed.xml", "p/six/atom.xml", "findings/fixed/feed.xml"])
@pytest.mark.parametrize("path", ["index.html", "p/six/index.html", "lookup/index.html?name=six"])
def test_a_link_leads_to_the_same_place_with_and_without_an_address(path: str, at: str) -> None:
    assert site_link(BASE, path, at=at) == f"{BASE}{path}"
    assert urljoin(f"{BASE}{at}", site_link("", path, at=at)) == f"{BASE}{path}"
