"""pip, uv, pdm and poetry install from a verified index, offline: what is installed, and what they ask for.

The index is that of `conformance_site`, published with its mirror. It is served as files, by Python's own file server
and by `ppp serve`, in a network that has nothing but loopback: the upstream is gone.
"""

import json
import os
import re
import shutil
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final
from urllib.parse import unquote

import pytest
from conformance_site import (
    DAY,
    ENVIRONMENT,
    HOSTILE,
    INSTALLED,
    OTHER_PLATFORM,
    RELEASES,
    WANTED,
    mirrored_site,
    record_of,
)
from index_clients import CLIENT_LIST, IndexClient
from offline_network import Ended, OfflineNetwork, OfflineServer, SeenRequest
from program import Program
from projects import module_project
from pypi_simple import IndexPage, ProjectPage

from ppp.ledger.store import Store
from ppp.model.canonical import sha256_hex
from ppp.model.record import Record
from ppp.schemas import schema_errors

INDEX: Final = f"simple/{ENVIRONMENT}/"
HTML, JSON = "text/html", "application/vnd.pypi.simple.v1+json"
#: The recorders: before a plain file server, before `ppp serve`, and one that calls its JSON `application/json`.
PLAIN, OURS, MISLABELLED = 8001, 8002, 8003
#: Web roots beside the site: one has another wheel in the place of one, the other one other METADATA beside it.
SITE, WRONG_WHEEL, WRONG_METADATA, LYING = "site", "wrong-wheel", "wrong-metadata", "lying-metadata"
WRONG_PROJECT: Final = "lib"

with_clients = pytest.mark.parametrize("client", CLIENT_LIST, ids=lambda client: client.name)


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """How an installation ended, what is installed then, and what was asked for."""

    ended: Ended
    installed: Mapping[str, str]
    requests: Sequence[SeenRequest]

    @property
    def pages(self) -> dict[str, set[str]]:
        """The media types in which each project's page was sent, by the project's name."""
        found: dict[str, set[str]] = {}
        for request in self.requests:
            _, simple, after = request.path.partition(f"/{INDEX}")
            if simple and request.media_type:
                found.setdefault(after.strip("/"), set()).add(request.media_type)
        return found

    @property
    def files(self) -> set[str]:
        """The names of the files that were fetched, METADATA among them."""
        return {unquote(one.path).rpartition("/")[2] for one in self.requests if "/mirror/" in one.path}


@dataclass(slots=True, kw_only=True)
class OfflineSites:
    """The web roots, and the network in which they are served."""

    network: OfflineNetwork
    folder: Path
    roots: Path
    count: int = 0

    def address(self, mode: str, root: str = SITE) -> str:
        """Return the index's address in a serving mode."""
        return {
            "files": f"{(self.roots / root).as_uri()}/{INDEX}",
            "plain": f"http://127.0.0.1:{PLAIN}/{root}/{INDEX}",
            "ours": f"http://127.0.0.1:{OURS}/{INDEX}",
            "mislabelled": f"http://127.0.0.1:{MISLABELLED}/{INDEX}",
        }[mode]

    def install(self, client: IndexClient, url: str, wanted: Sequence[str]) -> Attempt:
        """Install what is wanted into a new environment."""
        self.count += 1
        prepared = client.install(self.folder / f"{client.name}-{self.count}", url, wanted)
        self.network.take_requests()
        ended = self.network.run(prepared.command, environ=prepared.environ, folder=prepared.folder)
        return Attempt(ended=ended, installed=prepared.installed(), requests=self.network.take_requests())


@pytest.fixture(scope="module", name="site")
def _site(record: Callable[..., Record], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Program]:
    with mirrored_site(tmp_path_factory.mktemp("published"), record) as program:
        yield program


@pytest.fixture(scope="module", name="served")
def _served(site: Program, tmp_path_factory: pytest.TempPathFactory) -> Iterator[OfflineSites]:
    folder = tmp_path_factory.mktemp("served")
    roots = folder / "roots"
    for root in (SITE, WRONG_WHEEL, WRONG_METADATA, LYING):
        shutil.copytree(site.data / "public", roots / root)
    (wheel,) = (roots / WRONG_WHEEL / "mirror").rglob(INSTALLED[WRONG_PROJECT])
    wheel.write_bytes(module_project(WRONG_PROJECT, "raise SystemExit('another wheel')\n").build())
    for root in (WRONG_METADATA, LYING):
        (metadata,) = (roots / root / "mirror").rglob(f"{INSTALLED[WRONG_PROJECT]}.metadata")
        true = metadata.read_bytes()
        metadata.write_bytes(true + b"Requires-Dist: new-only\n")
    page = roots / LYING / INDEX / WRONG_PROJECT / "index.html"
    told = page.read_text("utf-8").replace(sha256_hex(true), sha256_hex(metadata.read_bytes()))
    page.write_text(told, "utf-8")
    environ = {name: value for name, value in os.environ.items() if not name.startswith(("PPP_", "PIP_"))}
    files = [sys.executable, "-m", "http.server", "--bind", "127.0.0.1", "--directory", str(roots), "9001"]
    ours = [sys.executable, "-m", "ppp", "serve", "--mesh", "--port", "9002", "--data", str(site.data)]
    servers = [
        OfflineServer(command=files, port=9001, recorder=PLAIN),
        OfflineServer(command=ours, port=9002, recorder=OURS),
        OfflineServer(command=ours, port=9002, recorder=MISLABELLED, claimed_type="application/json"),
    ]
    with OfflineNetwork(servers, environ) as network:
        yield OfflineSites(network=network, folder=folder, roots=roots)


def wanted_by(client: IndexClient) -> dict[str, str]:
    """Return the wheels that a client must install, by project: a lock for all platforms has no place for one wheel."""
    left_out = {OTHER_PLATFORM} if client.every_platform else set()
    return {project: wheel for project, wheel in INSTALLED.items() if project not in left_out}


def installed_versions(wheels: Mapping[str, str]) -> dict[str, str]:
    return {project: wheel.split("-")[1] for project, wheel in wheels.items()}


@pytest.mark.clients
@pytest.mark.sandbox
def test_the_network_has_nothing_but_loopback(served: OfflineSites) -> None:
    script = "import socket; print([name for _, name in socket.if_nameindex()])"
    shown = served.network.run([sys.executable, "-c", script], environ={}, folder=served.folder)
    assert shown == Ended(code=0, output="['lo']\n")


@pytest.mark.clients
@pytest.mark.sandbox
@pytest.mark.parametrize(
    ("client", "mode"),
    [
        pytest.param(client, mode, id=f"{client.name}-{mode}")
        for client in CLIENT_LIST
        for mode in ("files", "plain", "ours")
        if mode != "files" or client.file_index
    ],
)
def test_exactly_what_passed_is_installed_and_nothing_else_is_asked_for(
    served: OfflineSites, client: IndexClient, mode: str
) -> None:
    wheels = wanted_by(client)
    wanted = [project for project in WANTED if project.partition("[")[0] in wheels]
    attempt = served.install(client, served.address(mode), wanted)
    assert (attempt.ended.code, attempt.installed) == (0, installed_versions(wheels)), attempt.ended.output
    if mode == "files":
        assert attempt.requests == []
        return
    kind, media_type = ("json", JSON) if mode == "ours" else ("html", HTML)
    assert attempt.pages == {project.replace(".", "-"): {media_type} for project in wheels}
    metadata = {f"{wheel}.metadata" for wheel in (*wheels.values(), *client.reads_besides)}
    assert attempt.files == {*wheels.values(), *(metadata if kind in client.metadata_in else ())}
    # 304: a client asks again for what it has in its cache.
    assert {request.status for request in attempt.requests} <= {200, 304}
    assert all(f"/{INDEX}" in request.path or "/mirror/" in request.path for request in attempt.requests)


@pytest.mark.clients
@pytest.mark.sandbox
@with_clients
def test_another_wheel_in_its_place_is_refused(served: OfflineSites, client: IndexClient) -> None:
    attempt = served.install(client, served.address("plain", WRONG_WHEEL), [WRONG_PROJECT])
    assert attempt.ended.code != 0
    assert attempt.installed == {}
    assert INSTALLED[WRONG_PROJECT] in attempt.files
    assert "hash" in attempt.ended.output.lower()


@pytest.mark.clients
@pytest.mark.sandbox
@pytest.mark.parametrize(
    "client", [client for client in CLIENT_LIST if client.checks_metadata], ids=lambda client: client.name
)
def test_other_metadata_beside_a_wheel_is_refused(served: OfflineSites, client: IndexClient) -> None:
    attempt = served.install(client, served.address("plain", WRONG_METADATA), [WRONG_PROJECT])
    assert attempt.ended.code != 0
    assert attempt.installed == {}
    assert attempt.files == {f"{INSTALLED[WRONG_PROJECT]}.metadata"}
    assert re.search("hash|METADATA", attempt.ended.output, re.IGNORECASE), attempt.ended.output


@pytest.mark.clients
@pytest.mark.sandbox
@pytest.mark.parametrize(
    "client", [client for client in CLIENT_LIST if not client.checks_metadata], ids=lambda client: client.name
)
def test_the_others_leave_other_metadata_alone_and_read_the_wheel(served: OfflineSites, client: IndexClient) -> None:
    attempt = served.install(client, served.address("plain", WRONG_METADATA), [WRONG_PROJECT])
    assert (attempt.ended.code, attempt.installed) == (0, {WRONG_PROJECT: "1.0"})


@pytest.mark.clients
@pytest.mark.sandbox
@with_clients
def test_metadata_that_lies_with_its_own_hash_is_noticed_by_one_alone(
    served: OfflineSites, client: IndexClient
) -> None:
    # So what a mirror has beside a wheel is the wheel's own, or nothing.
    attempt = served.install(client, served.address("plain", LYING), [WRONG_PROJECT])
    believed = (0, {WRONG_PROJECT: "1.0", "new-only": "1.0"})
    assert ((attempt.ended.code, attempt.installed) == believed) == (not client.notices_lies)
    assert attempt.installed in ({}, believed[1])


@pytest.mark.clients
@pytest.mark.sandbox
@with_clients
def test_what_failed_cannot_be_installed_even_if_it_is_asked_for(served: OfflineSites, client: IndexClient) -> None:
    attempt = served.install(client, served.address("ours"), ["failing==2.0"])
    assert attempt.ended.code != 0
    assert attempt.installed == {}
    assert not {name for name in attempt.files if "2.0" in name}


@pytest.mark.clients
@pytest.mark.sandbox
@with_clients
def test_json_by_another_name_is_no_index(served: OfflineSites, client: IndexClient) -> None:
    attempt = served.install(client, served.address("mislabelled"), [WRONG_PROJECT])
    assert attempt.ended.code != 0
    assert attempt.installed == {}
    assert attempt.pages == {WRONG_PROJECT: {"application/json"}}


@pytest.mark.clients
@pytest.mark.sandbox
@pytest.mark.parametrize(
    "client", [client for client in CLIENT_LIST if client.every_platform], ids=lambda client: client.name
)
def test_a_lock_for_all_platforms_takes_a_wheel_for_another_one(served: OfflineSites, client: IndexClient) -> None:
    # Which no index of ours has, as nothing passes where it cannot be installed: these two could not tell.
    attempt = served.install(client, served.address("ours"), [OTHER_PLATFORM])
    assert attempt.ended.code != 0
    assert attempt.installed == {}


# ---------------------------------------------------------------- the site itself, without any client


def listed(root: Path) -> dict[str, list[str]]:
    """Return the names of the files that the index lists, by project, as pypi-simple reads both kinds of pages."""
    index = root / INDEX
    projects = IndexPage.from_html((index / "index.html").read_bytes()).projects
    assert projects == IndexPage.from_json_data(json.loads((index / "index.v1_json").read_bytes())).projects
    found = {}
    for project in projects:
        html = ProjectPage.from_html(project, (index / project / "index.html").read_bytes())
        document = json.loads((index / project / "index.v1_json").read_bytes())
        assert schema_errors("site/schemas/simple.schema.json", document) == []
        in_json = ProjectPage.from_json_data(document)
        for one, other in zip(html.packages, in_json.packages, strict=True):
            assert replace(other, size=None, upload_time=None) == replace(
                one, metadata_digests=other.metadata_digests and one.metadata_digests
            )
        found[project] = [package.filename for package in in_json.packages]
    return found


def files(root: Path) -> dict[str, bytes]:
    return {str(path.relative_to(root)): path.read_bytes() for path in sorted(root.rglob("*")) if path.is_file()}


def test_both_kinds_of_pages_list_exactly_what_passed(site: Program) -> None:
    expected: dict[str, list[str]] = {}
    for release in RELEASES:
        if release.result == "PASS":
            expected.setdefault(release.project.name.replace(".", "-"), []).append(release.project.filename)
    assert listed(site.data / "public") == dict(sorted(expected.items()))
    page = ProjectPage.from_html("withdrawn", (site.data / "public" / INDEX / "withdrawn/index.html").read_bytes())
    assert [package.yanked_reason for package in page.packages] == [None, HOSTILE]


def test_the_same_ledger_gives_the_same_bytes(site: Program, tmp_path: Path) -> None:
    shutil.copytree(site.data, tmp_path / "data")
    for name in ("cache", "public/simple"):
        shutil.rmtree(tmp_path / "data" / name)
    site.run_in_process_ok("publish", "--data", str(tmp_path / "data"))
    again, before = files(tmp_path / "data" / "public"), files(site.data / "public")
    assert {path for path in again.keys() | before.keys() if again.get(path) != before.get(path)} <= {
        path for path in again if path.startswith("statement")
    }
    assert again.keys() >= {f"{INDEX}app/index.html", f"{INDEX}app/index.v1_json"}


def test_a_result_that_becomes_a_failure_takes_exactly_its_file_away(
    site: Program, record: Callable[..., Record], tmp_path: Path
) -> None:
    shutil.copytree(site.data, tmp_path / "data")
    with Store.open(tmp_path / "data") as store:
        (gone,) = (one for one in RELEASES if one.project.filename == INSTALLED["failing"])
        store.add_record(record_of(replace(gone, result="FAIL"), record, observed_at=DAY + 60))
    before = listed(site.data / "public")
    site.run_in_process_ok("publish", "--mirror", "--data", str(tmp_path / "data"))
    after = listed(tmp_path / "data" / "public")
    assert after == {project: names for project, names in before.items() if project != "failing"}
    copies = {path.name for path in (tmp_path / "data" / "public" / "mirror").rglob("*.whl")}
    assert copies == {name for names in after.values() for name in names}
