"""`ppp publish --mirror`: copies of what indexes list, within a limit; no page ever names a copy that is not there."""

import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any, Final
from urllib.parse import unquote

import pytest
from conformance_site import DAY, ENVIRONMENT, RELEASES, fill_ledger, indexed, upload
from local_index import LocalIndex, reply
from my_lib import WheelServer, wheel_server
from program import Program
from projects import Project

from ppp.index_files.file import IndexedFile
from ppp.index_files.store import open_index_files
from ppp.ledger.store import Store
from ppp.model.canonical import sha256_hex
from ppp.model.record import DistributionFile, Record
from ppp.model.site_bound import SiteBound
from ppp.publish.page_budget import Room
from ppp.runner.mirror import mirror_room

PASSED: Final = [release for release in RELEASES if release.result == "PASS"]
LIB: Final = next(release for release in RELEASES if release.project.name == "lib")


@dataclass(frozen=True, slots=True, kw_only=True)
class MirroringNode:
    """A node whose ledger has the releases of `conformance_site`, and their upstream."""

    program: Program
    upstream: LocalIndex

    @property
    def public(self) -> Path:
        return self.program.data / "public"

    def publish(self, *, max_bytes: int | None = None) -> str:
        """Publish with a mirror, and return what was said; check that every copy that a page names is there."""
        if max_bytes is not None:
            self.program.settings["PPP_MIRROR_BYTES"] = str(max_bytes)
        done = self.program.run_in_process("publish", "--mirror")
        assert done.code in {0, 60}, done
        assert dangling(self.public) == []
        return done.err

    def copies(self) -> set[str]:
        return {path.name for path in (self.public / "mirror").rglob("*") if path.is_file()}

    def page(self, project: str) -> list[dict[str, Any]]:
        path = self.public / "simple" / ENVIRONMENT / project / "index.v1_json"
        rows: list[dict[str, Any]] = json.loads(path.read_bytes())["files"]
        return rows

    def file_requests(self) -> int:
        return sum(count for path, count in self.upstream.request_counts.items() if path.startswith("/files/"))


def dangling(public: Path) -> list[str]:
    """Return the relative links of index pages that lead nowhere, METADATA beside them included."""
    found = []
    for page in (public / "simple").rglob("index.v1_json"):
        for row in json.loads(page.read_bytes()).get("files", ()):
            names = [row["url"], *([f"{row['url']}.metadata"] if "core-metadata" in row else [])]
            found += [name for name in names if name.startswith("../") and not (page.parent / unquote(name)).is_file()]
    for page in (public / "simple").rglob("index.html"):
        links = re.findall(r'href="(\.\./[^"#]*)#', page.read_text("utf-8"))
        found += [link for link in links if not (page.parent / unquote(link)).is_file()]
    return found


@pytest.fixture(name="node")
def _node(program: Program, local: LocalIndex, record: Callable[..., Record]) -> MirroringNode:
    with Store.open(program.data) as store:
        fill_ledger(store, record)
    upload(local, program.data)
    return MirroringNode(program=program, upstream=local)


def test_everything_that_is_listed_is_copied_once_and_verifies(node: MirroringNode) -> None:
    said = node.publish()
    wheels = {release.project.filename for release in PASSED}
    assert node.copies() == wheels | {f"{wheel}.metadata" for wheel in wheels}
    assert f"the mirror has {len(wheels)} files" in said
    assert node.file_requests() == len(wheels)
    (row,) = node.page("lib")
    assert row["url"].startswith("../../../mirror/")
    assert row["core-metadata"] == {"sha256": sha256_hex(LIB.project._headers())}
    before = {path: path.stat().st_mtime_ns for path in node.public.rglob("*.whl*")}
    assert "0 came now" in node.publish()
    assert node.file_requests() == len(wheels)
    assert {path: path.stat().st_mtime_ns for path in node.public.rglob("*.whl*")} == before
    verified = node.program.run_in_process_ok("verify", str(node.public))
    assert verified.count("a copy that hashes to the name of its folder") == len(wheels)
    assert verified.count("the METADATA of the wheel beside it") == len(wheels)
    # Where nothing is mirrored anew, copies stay and are still named.
    node.program.run_in_process_ok("publish")
    assert node.page("lib") == [row]


@pytest.mark.parametrize("changed", ["lib-1.0-py3-none-any.whl", "lib-1.0-py3-none-any.whl.metadata"])
def test_a_copy_that_was_changed_does_not_verify(node: MirroringNode, changed: str) -> None:
    node.publish()
    (path,) = node.public.rglob(changed)
    path.write_bytes(path.read_bytes() + b"\n")
    done = node.program.run_in_process("verify", str(node.public))
    assert done.code == 37
    assert changed in done.out + done.err


def test_the_most_needed_stay_within_the_limit_and_what_has_no_room_is_told(node: MirroringNode) -> None:
    node.publish()
    everything = node.copies()
    # `lib` and `new-only` were installed with `app`; a file counts 1,024 bytes more, and so does its METADATA.
    said = node.publish(max_bytes=7_000)
    assert {name for name in node.copies() if name.endswith(".whl")} == {
        "lib-1.0-py3-none-any.whl",
        "new_only-1.0-py3-none-any.whl",
    }
    assert "stay at their upstream address for want of room" in said
    assert node.page("app")[0]["url"].startswith("http://")
    assert node.publish(max_bytes=1).count("the mirror has 0 files") == 1
    assert node.copies() == set()
    assert not (node.public / "mirror").exists() or not [*(node.public / "mirror").iterdir()]
    node.publish(max_bytes=10**9)
    assert node.copies() == everything


def test_a_file_that_the_upstream_changed_is_refused_and_the_others_are_copied(node: MirroringNode) -> None:
    path = f"/files/lib/{LIB.project.filename}"
    content = bytearray(LIB.project.build())
    content[40] ^= 1
    node.upstream.set_response(path, reply(bytes(content)))
    said = node.publish()
    assert "could not be copied: lib-1.0-py3-none-any.whl" in said
    assert "the sha256" in said
    assert LIB.project.filename not in node.copies()
    assert "app-1.0-py3-none-any.whl" in node.copies()
    assert node.page("lib")[0]["url"] == node.upstream.url_of(path)
    node.upstream.set_response(path, reply(LIB.project.build()))
    assert "1 came now" in node.publish()
    assert LIB.project.filename in node.copies()


@pytest.mark.attack("bounded-input")
@pytest.mark.parametrize(
    ("answer", "told"),
    [
        (reply(bytes(100_000)), "is larger than"),
        (reply(status=404), "responded with 404"),
        (reply(status=302, headers={"Location": "file:///etc/passwd"}), "redirects to another host"),
    ],
)
def test_what_else_an_upstream_may_send_is_told(node: MirroringNode, answer: Callable[[Any], None], told: str) -> None:
    node.upstream.set_response(f"/files/lib/{LIB.project.filename}", answer)
    assert told in node.publish()
    assert LIB.project.filename not in node.copies()


def test_metadata_of_another_hash_is_not_offered(node: MirroringNode) -> None:
    said_otherwise = indexed(LIB, node.upstream)
    with open_index_files(node.program.data) as index_files:
        index_files.add([replace_metadata(said_otherwise)])
    said = node.publish()
    assert "1 file of the mirror have no METADATA" in said
    (row,) = node.page("lib")
    assert row["url"].startswith("../../../mirror/")
    assert "core-metadata" not in row
    assert b"core-metadata" not in (node.public / "simple" / ENVIRONMENT / "lib" / "index.html").read_bytes()


def replace_metadata(file: IndexedFile) -> IndexedFile:
    changed = IndexedFile.checked(
        sha256=file.sha256,
        project=file.project,
        version=file.version,
        filename=file.filename,
        url=file.url,
        seen_at=DAY + 60,
        size=file.size,
        metadata_sha256="a" * 64,
    )
    assert changed is not None
    return changed


@pytest.fixture(name="server")
def _server() -> Iterator[WheelServer]:
    with wheel_server([Project(name="large", files={"large.py": b"NAME = 1\n", "large.bin": bytes(200_000)})]) as made:
        yield made


def test_a_copy_is_continued_where_an_earlier_one_ended(
    program: Program, server: WheelServer, record: Callable[..., Record]
) -> None:
    project = server.projects["large"]
    content = project.build()
    digest = sha256(content).hexdigest()
    file = DistributionFile(filename=project.filename, sha256=digest, size=len(content))
    with Store.open(program.data) as store:
        store.add_record(record("large", "1.0", ENVIRONMENT, file=file))
    seen = IndexedFile.checked(
        sha256=digest,
        project="large",
        version="1.0",
        filename=project.filename,
        url=server.url_of(project),
        seen_at=DAY,
    )
    assert seen is not None
    with open_index_files(program.data) as index_files:
        index_files.add([seen])
    arrived = program.data / "cache" / "mirror" / digest[:2] / digest / f"{project.filename}.partial"
    arrived.parent.mkdir(parents=True)
    arrived.write_bytes(content[: len(content) // 2])
    unwanted = program.data / "cache" / "mirror" / "ab" / ("ab" * 32) / "gone-1.0-py3-none-any.whl.partial"
    unwanted.parent.mkdir(parents=True)
    unwanted.write_bytes(b"half of it")
    program.run_in_process_ok("publish", "--mirror")
    assert [request.offset for request in server.take_requests()] == [len(content) // 2]
    (copy,) = (program.data / "public" / "mirror").rglob(project.filename)
    assert copy.read_bytes() == content
    assert not arrived.exists()
    assert not unwanted.exists()


def test_of_a_site_with_a_bound_it_is_told_what_indexes_take_of_their_share(node: MirroringNode) -> None:
    node.program.settings["PPP_SITE_PRESET"] = "github-pages"
    said = node.publish()
    assert re.search(r"simple indexes take [0-9.]+ kB of their 95\.0 MB and \d+ of their 50,000 files", said), said
    assert " of 237.5 MB; " in said


def test_a_site_with_a_bound_gives_its_mirror_a_quarter() -> None:
    bound = SiteBound(max_bytes=1_000, max_files=100)
    assert mirror_room(10_000, bound) == Room(250, 25)
    assert mirror_room(100, bound) == Room(100, 25)
    assert mirror_room(10_000, None).bytes == 10_000
