"""`files.json` of a peer: whole, or refused before any path is used."""

import json

import pytest

from ppp.mesh.files import PublishedFile, batch_ids, read_files
from ppp.model.errors import RefusedError
from ppp.model.record import sha256_hex

DIGEST = "ab" * 32
BATCH = f"batches/{DIGEST}.json"
SIGNATURE = f"batches/{DIGEST}.sig"


def listing(*rows: object, **changes: object) -> bytes:
    return json.dumps({"schema": "ppp-files-1", "files": rows, **changes}).encode()


def read(data: bytes) -> dict[str, PublishedFile]:
    return read_files(data, sha256=sha256_hex(data))


def test_files_are_given_by_path() -> None:
    files = read(listing([BATCH, 5, DIGEST], [SIGNATURE, 129, "cd" * 32], ["index.html", 0, DIGEST]))
    assert files["index.html"] == PublishedFile(path="index.html", size=0, sha256=DIGEST)
    assert batch_ids(files) == [DIGEST]


def test_no_files_are_files_too() -> None:
    assert batch_ids(read(listing())) == []


def test_another_file_than_the_statement_names_is_refused() -> None:
    with pytest.raises(RefusedError, match=f"the statement says {DIGEST} .*sync again"):
        read_files(listing(), sha256=DIGEST)


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
def test_a_path_that_leads_elsewhere_is_refused(path: str) -> None:
    with pytest.raises(RefusedError, match=r"files\.json refused") as refused:
        read(listing([path, 1, DIGEST]))
    assert str(refused.value).isprintable()


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
def test_a_malformed_list_is_refused(data: bytes) -> None:
    with pytest.raises(RefusedError, match=r"files\.json refused"):
        read(data)


def test_paths_out_of_order_or_twice_are_refused() -> None:
    for paths in ("xa", "aa"):
        with pytest.raises(RefusedError, match="not sorted, or one stands twice"):
            read(listing(*([path, 1, DIGEST] for path in paths)))


def test_a_batch_that_belies_its_name_is_refused() -> None:
    with pytest.raises(RefusedError, match=f"is listed with the sha256 {'cd' * 32}"):
        batch_ids(read(listing([BATCH, 5, "cd" * 32], [SIGNATURE, 129, DIGEST])))


def test_a_batch_without_a_signature_is_refused() -> None:
    with pytest.raises(RefusedError, match="has no signature beside it"):
        batch_ids(read(listing([BATCH, 5, DIGEST])))
