"""`ppp feed`: one feed for a list of packages, from the ledger and from what a node publishes, read by feedparser."""

import json
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree as ET

import feedparser
import pytest
from browser_tools import serve_folder

from ppp.cli import main
from ppp.ledger.store import Store
from ppp.model.record import Record
from ppp.publish.build import build

Feed = Callable[..., tuple[int, str, str]]
SITE = "https://node.example/ppp/"
DAY = 1_714_003_200


@pytest.fixture(name="data")
def _data(tmp_path: Path, record: Callable[..., Record]) -> Path:
    with Store.open(tmp_path / "data") as store:
        store.add_record(record("six", "1.17.0", "py312-slim", observed_at=DAY))
        store.add_record(record("old", "1.0", "py312-slim", observed_at=DAY + 60))
        failed = record("old", "2.0", "py312-slim", result="FAIL", cause="no-compiler", detail="a < b & c")
        store.add_record(replace(failed, observed_at=DAY + 90))
        store.add_record(record("other", "1.0", "py312-slim", observed_at=DAY + 120))
    return tmp_path / "data"


@pytest.fixture(name="feed")
def _feed(data: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Feed:
    def run(*arguments: str, address: str = SITE) -> tuple[int, str, str]:
        monkeypatch.setenv("PPP_BASE_URL", address)
        monkeypatch.setattr(sys, "argv", ["ppp", "feed", "--data", str(data), *arguments])
        with pytest.raises(SystemExit) as ended:
            main.main()
        out, err = capsys.readouterr()
        assert isinstance(ended.value.code, int)
        return ended.value.code, out, err

    return run


@pytest.fixture(name="public")
def _public(data: Path, tmp_path: Path) -> Path:
    with Store.open(data) as store:
        build(store.db, tmp_path / "public")
    return tmp_path / "public"


@pytest.fixture(name="url")
def _url(public: Path) -> Iterator[str]:
    with serve_folder(public) as address:
        yield address


def read(folder: Path, name: str) -> feedparser.FeedParserDict:
    parsed = feedparser.parse((folder / name).read_bytes())
    assert not parsed.bozo, parsed.get("bozo_exception")
    return parsed


def listed(folder: Path) -> list[str]:
    root = ET.parse(folder / "feeds.opml").getroot()  # noqa: S314 - our own
    assert (root.tag, root.get("version")) == ("opml", "2.0")
    return [outline.get("xmlUrl") or "" for outline in root.iterfind("body/outline/outline")]


def test_one_feed_of_the_packages_that_are_named_in_every_format(feed: Feed, tmp_path: Path) -> None:
    out = tmp_path / "mine"
    code, said, err = feed("six", "old>=1", "-o", str(out))
    assert (code, err) == (0, "")
    assert said.splitlines() == [f"wrote {out / name}" for name in ("feed.xml", "atom.xml", "feed.json", "feeds.opml")]
    titles = ["old 2.0: py312-slim FAIL", "old 1.0: py312-slim PASS", "six 1.17.0: py312-slim PASS"]
    for name in ("feed.xml", "atom.xml"):
        parsed = read(out, name)
        assert parsed.feed.title == "The PyPI Place: old, six"
        assert parsed.feed.link == f"{SITE}index.html"
        assert [entry.title for entry in parsed.entries] == titles
        assert {entry.link for entry in parsed.entries} == {f"{SITE}p/{name}/index.html" for name in ("old", "six")}
    document = json.loads((out / "feed.json").read_text())
    assert [item["title"] for item in document["items"]] == titles
    assert [item["id"] for item in document["items"]] == [entry.id for entry in read(out, "atom.xml").entries]
    assert listed(out) == [f"{SITE}p/old/atom.xml", f"{SITE}p/six/atom.xml"]
    # It is a file of its reader: it has no address, and another id than the feeds of the site.
    assert not any(link.rel == "self" for link in read(out, "atom.xml").feed.links)
    assert "feed_url" not in document


def test_a_node_gives_the_same_feed_as_its_ledger(feed: Feed, url: str, tmp_path: Path) -> None:
    ours, theirs = tmp_path / "ours", tmp_path / "theirs"
    assert feed("six", "old", "-o", str(ours), address=url)[0] == 0
    assert feed("old", "six", "-o", str(theirs), "--from", url.rstrip("/"), address="")[0] == 0
    for path in ours.iterdir():
        assert (theirs / path.name).read_bytes() == path.read_bytes()


def test_what_a_requirements_file_names(feed: Feed, tmp_path: Path) -> None:
    wanted = tmp_path / "requirements.txt"
    wanted.write_text("six==1.16.0\nold ; python_version < '3'\nSix\n")
    code, out, _ = feed("-r", str(wanted), "-o", str(tmp_path / "mine"), "--json")
    assert code == 0
    assert json.loads(out)["packages"] == ["six", "old"]
    assert len(read(tmp_path / "mine", "atom.xml").entries) == 3


@pytest.mark.parametrize("remote", [False, True])
def test_packages_without_a_feed_are_named_and_the_others_followed(
    feed: Feed, url: str, tmp_path: Path, *, remote: bool
) -> None:
    where = ["--from", url] if remote else []
    code, _, err = feed("six", "never-checked", "-o", str(tmp_path / "mine"), *where)
    assert code == 0
    assert f"warning: {url if remote else 'this node'} has no feed of never-checked" in err
    assert len(read(tmp_path / "mine", "feed.xml").entries) == 1
    assert len(listed(tmp_path / "mine")) == 1
    assert feed("never-checked", "-o", str(tmp_path / "none"), *where)[0] == 0
    assert read(tmp_path / "none", "feed.xml").entries == []


def test_the_id_is_that_of_the_packages_and_stays(
    feed: Feed, data: Path, tmp_path: Path, record: Callable[..., Record]
) -> None:
    def ids(*names: str) -> str:
        feed(*names, "-o", str(tmp_path / "mine"))
        return str(read(tmp_path / "mine", "atom.xml").feed.id)

    before = ids("six", "old")
    assert before == ids("old", "six")
    assert before != ids("six")
    with Store.open(data) as store:
        store.add_record(record("six", "2.0", "py312-slim", observed_at=DAY + 900))
    assert before == ids("six", "old")


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["six"], 10, "PPP_BASE_URL is not set"),
        (["six", "--from", "ftp://node.example/"], 27, "is not an http"),
        (["six", "--from", "https://user:word@node.example/"], 27, "would publish the user name"),
        (["six", "--from", "http://127.0.0.1:1/"], 27, "check the address"),
        ([], 25, "name a package"),
    ],
)
def test_what_cannot_be_done_is_said(feed: Feed, tmp_path: Path, arguments: list[str], code: int, words: str) -> None:
    ended, out, err = feed(*arguments, "-o", str(tmp_path / "mine"), address="")
    assert (ended, out) == (code, "")
    assert words in err
    assert "word@" not in err
    assert not (tmp_path / "mine").exists()


@pytest.mark.attack("valid-records")
def test_a_node_that_sends_no_feed_is_rejected(feed: Feed, url: str, public: Path, tmp_path: Path) -> None:
    (public / "p/six/atom.xml").write_bytes(b"<html>captive portal</html>")
    code, _, err = feed("old", "six", "-o", str(tmp_path / "mine"), "--from", url)
    assert code == 28
    assert "p/six/atom.xml rejected: it is not an Atom feed" in err
    assert not (tmp_path / "mine").exists()


def test_a_folder_that_is_a_file(feed: Feed, tmp_path: Path) -> None:
    (tmp_path / "mine").write_text("mine")
    code, _, err = feed("six", "-o", str(tmp_path / "mine"))
    assert code == 19, err
    assert (tmp_path / "mine").read_text() == "mine"
