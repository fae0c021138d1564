"""`ppp publish` keeps a site within the bound that is set, and says which packages have pages."""

from collections.abc import Callable

import pytest
from program import Program

from ppp.ledger.store import Store
from ppp.mesh.node import create_key
from ppp.model.record import Record

PACKAGES = 70
MAX_FILES = 650


@pytest.fixture
def node(program: Program, record: Callable[..., Record]) -> Program:
    """The program with a record each of many packages."""
    key = create_key(program.data)
    with Store.open(program.data) as store, store.db.atomic():
        for number in range(PACKAGES):
            store.insert_record(record(f"package-{number}", "1.0", "py312-slim", node=key.id), None)
    return program


def test_a_bound_holds_and_publish_says_who_has_pages(node: Program) -> None:
    node.settings["PPP_SITE_MAX_FILES"] = str(MAX_FILES)
    done = node.run("publish")
    assert done.code == 0, done.err
    public = node.data / "public"
    pages = len([*(public / "p").glob("*/index.html")])
    assert 0 < pages < PACKAGES
    assert sum(path.is_file() for path in public.rglob("*")) <= MAX_FILES
    assert f"{pages} of {PACKAGES} packages have pages, {PACKAGES - pages} are looked up" in done.err
    assert f"of {MAX_FILES} files" in done.err


def test_the_preset_leaves_a_small_site_as_it_is(node: Program) -> None:
    node.settings["PPP_SITE_PRESET"] = "github-pages"
    done = node.run("publish")
    assert done.code == 0, done.err
    assert f"{PACKAGES} of {PACKAGES} packages have pages; the site takes" in done.err
    assert not (node.data / "public" / "lookup").exists()


def test_a_snapshot_without_room_does_not_keep_the_site_from_being_published(node: Program) -> None:
    node.settings["PPP_SITE_MAX_MIB"] = "2"
    refused = node.run_in_process("snapshot")
    assert (refused.code, "has no room in the site" in refused.err) == (64, True)
    node.settings["PPP_SITE_MAX_MIB"] = "8"
    done = node.run_in_process("publish", "--snapshot")
    assert done.code == 0, done.err
    assert "of their 2.1 MB; the oldest make room" in done.err


def test_without_room_for_the_rest_nothing_is_written(node: Program) -> None:
    node.settings["PPP_SITE_MAX_FILES"] = "300"
    done = node.run("publish")
    assert done.code == 31
    assert "does not fit its host" in done.err
    assert not (node.data / "public" / "index.html").exists()
