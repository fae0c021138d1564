"""What pages say with absolute addresses: each is said where it is known, and nothing is made up where it is not."""

import re
from collections.abc import Callable
from hashlib import sha256
from html import unescape
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st
from told_nights import told_night

from ppp.ledger.episodes import store_episode
from ppp.ledger.store import Store
from ppp.model.record import Record
from ppp.model.site_address import SiteAddresses
from ppp.publish.build import build
from ppp.publish.site.addresses import complete, datasette_query

BASE = "https://ppp.example/watch/"
REPOSITORY = "https://git.example/owner/ppp/"
DATASETTE = "https://data.example/"


def pages(
    store: Store, out: Path, *, base_url: str = "", repository_url: str = "", datasette_url: str = ""
) -> dict[str, str]:
    build(store.db, out, base_url=base_url, repository_url=repository_url, datasette_url=datasette_url)
    return {path.relative_to(out).as_posix(): path.read_text("utf-8") for path in out.rglob("*.html")}


def metas(page: str) -> dict[str, str]:
    found = re.findall(r'<meta (?:name="[^"]*" )?(?:property|name)="([^"]*)" content="([^"]*)">', page)
    return {name: unescape(content) for name, content in found}


def test_every_page_has_a_title_and_a_description_for_those_who_link_to_it(small: Store, tmp_path: Path) -> None:
    made = pages(small, tmp_path / "public", base_url=BASE)
    for path, page in made.items():
        said = metas(page)
        assert said["og:title"], path
        assert said["og:description"], path
        assert said.get("og:url") == (f"{BASE}{path}" if path != "404.html" else None), path
    own = metas(made["p/needs-gcc/index.html"])
    assert own["og:title"] == "needs-gcc 1.1"
    assert own["og:description"] == ("needs-gcc 1.1 works on Debian slim with Python 3.9 and 3.12; it fails on Alpine.")


def test_every_page_leads_to_the_source(small: Store, tmp_path: Path) -> None:
    made = pages(small, tmp_path / "public", repository_url=REPOSITORY)
    assert [path for path, page in made.items() if f'<a href="{REPOSITORY}">Source</a>' not in page] == []
    assert f'<a href="{REPOSITORY}issues/new">' in made["about/index.html"]
    assert f"({REPOSITORY})" in (tmp_path / "public" / "llms.txt").read_text()


def test_a_wrong_verdict_is_reported_with_its_cell(small: Store, tmp_path: Path) -> None:
    page = pages(small, tmp_path / "public", repository_url=REPOSITORY)["p/needs-gcc/index.html"]
    links = [unescape(link) for link in re.findall(f'href="({REPOSITORY}issues/new[^"]*)"', page)]
    fields = [{name: values[0] for name, values in parse_qs(urlsplit(link).query).items()} for link in links]
    assert [field["title"] for field in fields] == [
        "Wrong verdict: needs-gcc 1.1 in py39-alpine, py312-alpine".replace(" 1.1", "==1.1"),
        "Wrong verdict: needs-gcc==1.1 in py39-slim, py312-slim",
    ]
    (failing, *_) = small.db.execute(
        "SELECT record FROM records WHERE package = 'needs-gcc' AND version = '1.1' AND environment = 'py39-alpine'"
    ).fetchone()
    assert failing in fields[0]["body"]


def test_pages_lead_to_the_same_in_datasette(small: Store, tmp_path: Path) -> None:
    store_episode(small, told_night("2024-04-25"))
    made = pages(small, tmp_path / "public", datasette_url=DATASETTE)
    assert f'<a href="{DATASETTE}ppp/">Datasette</a>' in made["episodes/2024-04-25/index.html"]
    assert f'href="{DATASETTE}ppp/package_history?package=six"' in made["p/six/index.html"]
    assert f'href="{DATASETTE}ppp/alpine_only"' in made["findings/alpine-only/index.html"]
    assert f'href="{DATASETTE}ppp/newly_broken_cells"' in made["sql/index.html"]


def test_without_addresses_no_page_has_such_a_link_nor_a_place_for_one(small: Store, tmp_path: Path) -> None:
    store_episode(small, told_night("2024-04-25"))
    for path, page in pages(small, tmp_path / "public").items():
        assert "<!--" not in page, path
        assert "issues/new" not in page, path
        assert "n Datasette<" not in page, path
        assert ">Datasette</a>" not in page or path.startswith(("docs/", "data/")), path
        assert "og:url" not in page, path


@pytest.mark.parametrize(("repository_url", "datasette_url"), [(REPOSITORY, ""), ("", DATASETTE)])
def test_another_address_changes_all_pages_that_name_it(
    small: Store, tmp_path: Path, repository_url: str, datasette_url: str
) -> None:
    out, cache = tmp_path / "public", tmp_path / "publish.db"
    build(small.db, out, cache_path=cache)
    build(small.db, out, cache_path=cache, repository_url=repository_url, datasette_url=datasette_url)
    assert (repository_url or datasette_url) in (out / "p" / "six" / "index.html").read_text("utf-8")


def test_text_of_a_package_is_no_place_for_addresses(
    small: Store, record: Callable[..., Record], tmp_path: Path
) -> None:
    marks = "<!--addresses--><!--repository-->"
    log = "<!--addresses-->\n<!--repository-->\n"
    values = {"result": "FAIL", "cause": "no-compiler", "detail": marks, "log_sha256": sha256(log.encode()).hexdigest()}
    small.add_record(record("marked", "1.0", "py39-slim", **values), log=log)
    page = pages(small, tmp_path / "public", base_url=BASE, repository_url=REPOSITORY)["p/marked/index.html"]
    assert page.count('property="og:url"') == 1
    assert page.count(">Source</a>") == 1


@given(path=st.sampled_from(["a.json", "atom.xml", "docs.txt"]), content=st.binary())
def test_what_is_no_page_stays_as_it_is(path: str, content: bytes) -> None:
    mixed = content + b"<!--addresses-->\n<!--repository-->"
    assert complete((path, mixed), SiteAddresses(base_url=BASE, repository_url=REPOSITORY)) == (path, mixed)


def test_only_saved_queries_are_linked() -> None:
    assert datasette_query("", "top_causes") == ""
    assert (
        datasette_query(DATASETTE, "package_history", package="a&b") == f"{DATASETTE}ppp/package_history?package=a%26b"
    )
    with pytest.raises(ValueError, match="'nothing' is none of the saved queries"):
        datasette_query(DATASETTE, "nothing")
