"""Which files are known to be listed, and how they are fetched."""

from ppp.check.gateway.listings import Listings, index_file
from ppp.check.gateway.pages import PageFile

SHA256 = "0" * 63 + "a"


def page_file(number: int) -> PageFile:
    return PageFile(url=f"https://files.example/lib-{number}.zip", hashes={"sha256": f"{number:064}"})


def test_a_page_takes_the_place_of_the_one_before() -> None:
    listings = Listings()
    assert listings.get("lib") is None
    listings.put("lib", [page_file(1), page_file(2)])
    listings.put("lib", [page_file(2), page_file(3)])
    assert listings.get("lib") == {f"{number:064}": page_file(number) for number in (2, 3)}


def test_the_pages_used_longest_ago_are_forgotten() -> None:
    listings = Listings(max_files=4)
    listings.put("a", [page_file(1), page_file(2)])
    listings.put("large", map(page_file, range(9)))
    assert len(listings.get("large") or {}) == 9, "the last page is known, however large it is"
    assert listings.get("a") is None


def test_a_file_and_its_metadata_are_fetched_by_their_own_hashes() -> None:
    url = "https://files.example/lib-1.0-py3-none-any.whl#sha256=00"
    file = PageFile(url=url, hashes={"sha256": SHA256}, metadata={"sha256": SHA256[::-1]})
    found = index_file(file, "lib", metadata=False)
    assert found is not None
    assert (found.filename, found.url, found.sha256) == ("lib-1.0-py3-none-any.whl", url.partition("#")[0], SHA256)
    metadata = index_file(file, "lib", metadata=True)
    assert metadata is not None
    assert (metadata.filename, metadata.url) == (f"{found.filename}.metadata", f"{found.url}.metadata")
    assert metadata.sha256 == SHA256[::-1]


def test_metadata_without_a_hash_is_not_fetched() -> None:
    for digests in (None, {}, {"sha256": "x"}, {"md5": "0" * 32}):
        file = PageFile(url="https://files.example/lib-1.0-py3-none-any.whl", metadata=digests)
        assert index_file(file, "lib", metadata=True) is None


def test_a_name_that_is_no_plain_one_names_no_path() -> None:
    for name in ("..%252F..%252Fetc.zip", "%2e%2e.zip", "a%00.zip", "-rf.zip", "ü.zip", f"{'a' * 300}.zip", ".zip"):
        file = index_file(
            PageFile(url=f"https://files.example/{name}", hashes={"sha256": SHA256}), "lib", metadata=False
        )
        assert file is not None
        assert file.filename == "file", name
