"""The package directory, the search shards, and the files for crawlers: complete, and limited in size."""

import json
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

from ppp.ledger.store import Store
from ppp.model.record import Result
from ppp.model.site_address import SiteAddresses
from ppp.publish.build import build
from ppp.publish.builder.site_data import read_search_pages, search_prefixes
from ppp.publish.cache.build_cache import BuildCache
from ppp.publish.listings.entries import contribution_from
from ppp.publish.listings.prefix_pages import split_into_pages
from ppp.publish.listings.store import ListingStore
from ppp.publish.packages.summary import PackageSummary
from ppp.publish.site.deferred import Content
from ppp.publish.site.directory import (
    LIST_BUDGET,
    PACKAGES_LISTING,
    SHARD_LIMIT,
    directory_entry,
    directory_pages,
    name_suffixes,
    search_entries,
    search_files,
)
from ppp.publish.site.missing import MISSING_PAGE
from ppp.publish.site.sitemap import MAX_ADDRESSES as SITEMAP_LIMIT
from ppp.publish.site.sitemap import crawler_files, sitemap_files
from ppp.schemas import schema_errors

NS = "{http://www.sitemaps.org/schemas/sitemap/0.9}"


def parts(names: Iterable[str]) -> list[PackageSummary]:
    return [
        PackageSummary(
            package=name,
            version="1.0",
            result_counts=((Result.PASS, 4), (Result.FAIL, 1), (Result.NA, 1)),
            as_of=1,
            findings={},
            failing=(),
        )
        for name in sorted(names)
    ]


@contextmanager
def shelved(names: Iterable[str]) -> Iterator[ListingStore]:
    """Yield the listings of a cache with only these packages."""
    with BuildCache.open(None) as memory:
        memory.listings.clear()
        for part in parts(names):
            memory.listings.replace(
                contribution_from(part.package, Counter(), (directory_entry(part, 0), *search_entries(part)))
            )
        yield memory.listings


def made(contents: Iterable[tuple[str, Content]]) -> dict[str, bytes]:
    return {path: content() if isinstance(content, partial) else content for path, content in contents if content}


def directory(names: Iterable[str]) -> dict[str, bytes]:
    with shelved(names) as shelves:
        return made(directory_pages(split_into_pages(shelves.entry_tree(PACKAGES_LISTING), LIST_BUDGET), 1_714_003_200))


def search(names: Iterable[str]) -> dict[str, Any]:
    with shelved(names) as shelves:
        return {
            path: json.loads(data)
            for path, data in made(search_files(search_prefixes(shelves), read_search_pages(shelves))).items()
        }


def linked(page: bytes) -> list[str]:
    return re.findall(r'href="(?:\.\./)+p/([a-z0-9-]+)/index.html"', page.decode())


def test_a_few_packages_fit_on_one_page() -> None:
    pages = directory(["b", "a"])
    assert list(pages) == ["packages/index.html"]
    assert linked(pages["packages/index.html"]) == ["a", "b"]
    assert b"2 packages" in pages["packages/index.html"]
    assert b"2024-04-25" in pages["packages/index.html"]


def test_many_packages_are_split_by_prefix_and_all_are_reachable() -> None:
    names = {f"{first}{second}{number:02}" for first in "ab" for second in "xyz" for number in range(99)} | {"a", "ax"}
    pages = directory(names)
    assert sorted(name for page in pages.values() for name in linked(page)) == sorted(names)
    assert max(map(len, pages.values())) < 50_000
    reached, ahead = set(), ["packages/index.html"]
    while ahead:
        path = ahead.pop()
        reached.add(path)
        below = re.findall(r'href="(?:\.\./)+(packages/[a-z0-9-]+/index.html)"', pages[path].decode())
        ahead += [other for other in below if other not in reached]
    assert reached == set(pages)


def test_an_empty_directory_has_a_page(store: Store, tmp_path: Path) -> None:
    build(store.db, tmp_path / "public")
    assert "No package has been checked yet." in (tmp_path / "public" / "packages" / "index.html").read_text()
    assert json.loads((tmp_path / "public" / "search.json").read_text())["prefixes"] == []


def find(files: dict[str, Any], wanted: str) -> list[str]:
    """Search as site.js does."""
    if wanted[:2] not in files["search.json"]["prefixes"]:
        return []
    loaded = files[f"search/{wanted[:2]}.json"]
    while loaded["below"] and len(wanted) > len(loaded["prefix"]):
        longer = wanted[: len(loaded["prefix"]) + 1]
        if longer not in loaded["below"]:
            return []
        loaded = files[f"search/{longer}.json"]
    return [name for name, *_ in loaded["packages"] if name.startswith(wanted) or f"-{wanted}" in name]


def test_a_name_is_found_by_each_of_its_words() -> None:
    assert name_suffixes("aws-cdk-lib") == ["aws-cdk-lib", "cdk-lib", "lib"]
    files = search(["aws-cdk-lib", "lib", "q", "six"])
    assert find(files, "cdk") == find(files, "aws-c") == ["aws-cdk-lib"]
    assert find(files, "lib") == ["aws-cdk-lib", "lib"]
    assert find(files, "q") == ["q"]
    assert find(files, "nothing") == []
    assert files["search/si.json"]["packages"] == [["six", "1.0", 4, 5]]


def test_large_shards_are_split_and_keep_all_packages() -> None:
    names = {f"py{letter}{number}" for letter in "abc" for number in range(SHARD_LIMIT // 2)} | {"py", "pya"}
    files = search(names)
    assert files["search/py.json"]["below"] == ["pya", "pyb", "pyc"]
    for name in [*sorted(names)[::97], "py", "pya"]:
        assert name in find(files, name)
    for path, document in files.items():
        schema = "search" if path == "search.json" else "search-shard"
        assert schema_errors(f"site/schemas/{schema}.schema.json", document) == [], path
        assert len(document.get("packages", ())) <= SHARD_LIMIT


def addresses(data: bytes) -> list[str]:
    return [element.text or "" for element in ET.fromstring(data).iter(f"{NS}loc")]  # noqa: S314 - our own


def test_the_sitemap_lists_every_page_once(small: Store, tmp_path: Path, page: Callable[[Path], Any]) -> None:
    out, base = tmp_path / "public", "https://node.example/ppp/"
    build(small.db, out, base_url=base)
    shards = addresses((out / "sitemap.xml").read_bytes())
    named = [address for shard in shards for address in addresses((out / shard.removeprefix(base)).read_bytes())]
    assert len(named) == len(set(named))
    missing = [address for address in named if not (out / address.removeprefix(base)).is_file()]
    assert missing == []
    # Those in simple indexes are made for clients.
    pages = [
        path for path in out.rglob("*.html") if not path.is_relative_to(out / "simple") or path.parent == out / "simple"
    ]
    loaded = {f"{base}{path.relative_to(out)}" for path in pages if path.name != MISSING_PAGE}
    assert loaded == {address for address in named if address.endswith(".html")}
    assert f"{base}data/index.html" in named
    assert page(out / "index.html").links.count("packages/index.html")


def test_a_long_sitemap_is_split() -> None:
    names = sorted(f"{letter}{number}" for letter in "ab" for number in range(SITEMAP_LIMIT - 1))
    with shelved(names) as shelves:
        pages = split_into_pages(shelves.name_tree("sitemaps", PACKAGES_LISTING), SITEMAP_LIMIT)
        files = made(sitemap_files([], pages, ["index.html"], "https://node.example/"))
    shards = {path: addresses(data) for path, data in files.items() if path != "sitemap.xml"}
    assert sorted(shards) == ["sitemaps/p-a.xml", "sitemaps/p-b.xml", "sitemaps/pages.xml"]
    assert max(map(len, shards.values())) <= SITEMAP_LIMIT
    assert addresses(files["sitemap.xml"]) == [f"https://node.example/{path}" for path in files if path in shards]


def test_robots_txt_and_llms_txt_link_to_existing_files(small: Store, tmp_path: Path) -> None:
    files = dict(crawler_files(SiteAddresses(base_url="https://node.example/ppp/")))
    assert b"Sitemap: https://node.example/ppp/sitemap.xml\n" in files["robots.txt"]
    build(small.db, tmp_path / "public")
    text = (tmp_path / "public" / "llms.txt").read_text()
    assert text.startswith("# The PyPI Place\n\n> ")
    links = re.findall(r"\]\(([^)]+)\)", text)
    assert len(links) > 5
    assert [link for link in links if not (tmp_path / "public" / link).is_file()] == []
