"""A peer's `files.json`: valid, or rejected before any path in it is used."""

import json
import time

import pytest

from ppp.mesh.files import MAX_FILES_BYTES, PublishedFile, batch_ids, batch_lists, read_file_list, read_files
from ppp.model.canonical import sha256_hex
from ppp.model.errors import RejectedDataError

DIGEST = "ab" * 32
BATCH = f"batches/{DIGEST}.json.gz"
SIGNATURE = f"batches/{DIGEST}.sig"


def listing(*rows: object, **changes: object) -> bytes:
    return json.dumps({"schema": "ppp-files-1", "files": rows, **changes}).encode()


def read(data: bytes) -> dict[str, PublishedFile]:
    return read_files(data, sha256=sha256_hex(data))


def test_files_are_returned_by_path() -> None:
    files = read(listing([BATCH, 5, DIGEST], [SIGNATURE, 129, "cd" * 32], ["index.html", 0, DIGEST]))
    assert files["index.html"] == PublishedFile(path="index.html", size=0, sha256=DIGEST)
    assert batch_ids(files) == [DIGEST]


@pytest.mark.attack("bounded-input")
def test_a_long_list_costs_seconds() -> None:
    digests = [f"{number:064x}" for number in range(50_000)]
    rows = [[f"batches/{digest}{end}", 1, digest] for digest in digests for end in (".json.gz", ".sig")]
    data = listing(*rows)
    started = time.process_time()
    assert len(read(data)) == 100_000
    # By the schema alone it would be ten times as much.
    assert time.process_time() - started < 5


@pytest.mark.attack("valid-records")
def test_an_invalid_row_anywhere_is_rejected() -> None:
    rows: list[object] = [[f"a{number:03}", 1, DIGEST] for number in range(100)]
    for place in (0, 50, 99):
        with pytest.raises(RejectedDataError, match=r"'../x' does not match"):
            read(listing(*rows[:place], ["../x", 1, DIGEST], *rows[place + 1 :]))
    with pytest.raises(RejectedDataError, match="'ppp-files-1' was expected"):
        read(listing(*rows, schema="ppp-files-9"))
    with pytest.raises(RejectedDataError, match="is not of type 'array'"):
        read(listing(files={}))


def test_an_empty_list_is_valid() -> None:
    assert batch_ids(read(listing())) == []


@pytest.mark.attack("valid-records")
def test_a_file_with_another_hash_is_rejected() -> None:
    with pytest.raises(RejectedDataError, match=f"the statement says {DIGEST} .*sync again"):
        read_files(listing(), sha256=DIGEST)


@pytest.mark.attack("inert-text")
@pytest.mark.parametrize(
    "path",
    [
        "../x",
        "a/../b",
        "/etc/passwd",
        "a//b",
        "a/",
        "",
        ".",
        ".ssh/x",
        "a/.b",
        "a\\b",
        "C:x",
        "a\n",
        "a\x00b",
        "a\x1b[2J",
        "a b",
        "http://x/y",
        "ä",
        "%2e%2e/x",
        "a" * 513,
    ],
)
def test_an_unsafe_path_is_rejected(path: str) -> None:
    with pytest.raises(RejectedDataError, match=r"files\.json rejected") as error:
        read(listing([path, 1, DIGEST]))
    assert str(error.value).isprintable()


@pytest.mark.attack("valid-records")
@pytest.mark.parametrize(
    "data",
    [
        listing(["a", -1, DIGEST]),
        listing(["a", 1, "x"]),
        listing(["a", 1]),
        listing(["a", 1, DIGEST, 1]),
        listing("a"),
        listing(schema="ppp-files-2"),
        listing(more=1),
        b'{"schema": "ppp-files-1", "files": [], "files": []}',
        b"[" * 1000,
        b"<html>",
    ],
)
def test_a_malformed_list_is_rejected(data: bytes) -> None:
    with pytest.raises(RejectedDataError, match=r"files\.json rejected"):
        read(data)


@pytest.mark.attack("valid-records")
def test_paths_out_of_order_or_twice_are_rejected() -> None:
    for paths in ("xa", "aa"):
        with pytest.raises(RejectedDataError, match="not sorted, or one is repeated"):
            read(listing(*([path, 1, DIGEST] for path in paths)))


LISTS = ("files/batches.json", "files/batches-3f.json")


@pytest.mark.parametrize("path", LISTS)
def test_a_list_must_match_files_json(path: str) -> None:
    held = listing([BATCH, 5, DIGEST], [SIGNATURE, 129, "cd" * 32])
    top = read(listing([path, len(held), sha256_hex(held)], ["files/packages.json", 1, DIGEST]))
    (listed,) = batch_lists(top)
    assert listed.path == path
    assert batch_ids(read_file_list(held, listed)) == [DIGEST]
    with pytest.raises(RejectedDataError, match=r"batches.* rejected: its bytes hash to .* files\.json says"):
        read_file_list(held + b" ", listed)


@pytest.mark.attack("inert-text")
def test_a_list_with_an_unsafe_path_is_rejected() -> None:
    held = listing(["../x", 1, DIGEST])
    listed = PublishedFile(path=LISTS[0], size=len(held), sha256=sha256_hex(held))
    with pytest.raises(RejectedDataError, match=r"files/batches\.json rejected"):
        read_file_list(held, listed)


@pytest.mark.attack("bounded-input")
def test_lists_that_are_too_large_together_are_rejected() -> None:
    rows = [[path, MAX_FILES_BYTES // 2 + 1, DIGEST] for path in sorted(LISTS)]
    with pytest.raises(RejectedDataError, match="its lists of batches are larger than"):
        batch_lists(read(listing(*rows)))


@pytest.mark.attack("valid-records")
@pytest.mark.parametrize("path", ["files/batches-../x.json", "files/packages.json", "xfiles/batches.json"])
def test_no_other_list_is_requested(path: str) -> None:
    listed = {path: PublishedFile(path=path, size=1, sha256=DIGEST)}
    assert batch_lists(listed) == []


@pytest.mark.attack("valid-records")
def test_a_batch_without_a_signature_is_rejected() -> None:
    with pytest.raises(RejectedDataError, match="has no signature file"):
        batch_ids(read(listing([BATCH, 5, DIGEST])))
