"""What an index says about files reaches `ppp.index_files`, from its page, by the client or through the gateway."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from local_index import JSON_TYPE, LocalIndex, reply

from ppp.check.gateway.cells import Cells
from ppp.check.gateway.local_projects import LocalProjects
from ppp.check.gateway.page_server import PageServer
from ppp.check.index.choose import IndexFile
from ppp.check.index.client import SimpleIndex
from ppp.check.index.listed_files import fetched_files, read_project, to_indexed_file
from ppp.index_files.file import IndexedFile
from ppp.model.canonical import sha256_hex

AGENT: Final = "the-pypi-place/tests (watch@node.example)"
CONTENT: Final = b"a wheel"
SHA256: Final = sha256_hex(CONTENT)
NAME: Final = "lib-1.0-py3-none-any.whl"


def served(site: LocalIndex) -> IndexedFile:
    """Have an index serve a file with everything that a page can say of it, and one that nobody wants; return it."""
    site.add_file("lib", NAME, CONTENT)
    row = {
        "filename": NAME,
        "url": f"/files/lib/{NAME}",
        "hashes": {"sha256": SHA256},
        "size": len(CONTENT),
        "upload-time": "2024-05-01T12:00:00.000007Z",
        "requires-python": ">=3.9",
        "yanked": "breaks",
        "core-metadata": {"sha256": "0" * 64},
    }
    other = {"filename": "lib-2.0.tar.gz", "url": "lib-2.0.tar.gz", "hashes": {"sha256": "1" * 64}}
    no_hash = {"filename": "lib-3.0.tar.gz", "url": "lib-3.0.tar.gz", "hashes": {}}
    page = {"meta": {"api-version": "1.1"}, "name": "lib", "files": [row, other, no_hash]}
    site.set_response("/simple/lib/", reply(json.dumps(page).encode(), headers={"Content-Type": JSON_TYPE}))
    return IndexedFile(
        sha256=SHA256,
        project="lib",
        version="1.0",
        filename=NAME,
        url=site.url_of(f"/files/lib/{NAME}"),
        seen_at=9,
        size=len(CONTENT),
        upload_time=datetime(2024, 5, 1, 12, 0, 0, 7, tzinfo=UTC),
        requires_python=">=3.9",
        yanked="breaks",
        metadata_sha256="0" * 64,
    )


def test_a_page_says_everything(tmp_path: Path) -> None:
    with LocalIndex() as site:
        expected = served(site)
        index = SimpleIndex(site.url, cache=tmp_path, user_agent=AGENT)
        files = read_project(index, "lib", 9)
        assert files[0] == expected
        assert [file.version for file in files] == ["1.0", "2.0"], "one without a hash cannot be told from others"
        assert fetched_files(index, 9) == (), "nothing was fetched yet"
        index.fetch(index.files("lib")[0], timeout_s=20, max_bytes=100)
        assert fetched_files(index, 9) == (expected,)


def test_what_cells_get_through_the_gateway_is_noted(tmp_path: Path) -> None:
    with LocalIndex() as site:
        expected = served(site)
        index = SimpleIndex(site.url, cache=tmp_path, user_agent=AGENT)
        server = PageServer(
            index=index, local_projects=LocalProjects(name="none", projects={}, paths={}), cells=Cells()
        )
        with server.cells.open() as cell:
            server.file(cell, "lib", SHA256, metadata=False)
        assert fetched_files(index, 9) == (expected,)


def test_a_file_of_no_page_or_of_another_project_is_left_out() -> None:
    file = IndexFile(
        filename=NAME,
        url=f"https://files.example/{NAME}",
        sha256=SHA256,
        requires_python=None,
        yanked=False,
        project="lib",
    )
    assert to_indexed_file(file, 9) is not None
    for other in ("", "another"):
        changed = IndexFile(
            filename=file.filename, url=file.url, sha256=SHA256, requires_python=None, yanked=False, project=other
        )
        assert to_indexed_file(changed, 9) is None
