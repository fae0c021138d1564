"""The server behind nginx: which origins are admitted, what is parsed as a page, and errors."""

from pathlib import Path

import pytest

from ppp.check.gateway.local_projects import read_local_projects
from ppp.check.gateway.page_server import MAX_ORIGINS, Origins, PageError
from ppp.check.gateway.pages import origin_name

INDEX = "https://index.example/simple/"


def origins(folder: Path, index_url: str = INDEX, known: str = "https://files.example") -> Origins:
    return Origins(index_url, [known], file=folder / "origins")


def test_an_origin_is_stored_for_the_next_run(tmp_path: Path) -> None:
    origins(tmp_path).add("https://more.example:8443")
    origins(tmp_path).add("https://more.example:8443")
    assert origins(tmp_path).get(origin_name("https://more.example:8443")) == "https://more.example:8443"
    assert origins(tmp_path).get(origin_name("https://files.example")) == "https://files.example"
    assert origins(tmp_path).get(origin_name("https://other.example")) is None
    assert (tmp_path / "origins").read_text().splitlines() == ["https://more.example:8443"]


@pytest.mark.attack("only-gateway")
@pytest.mark.parametrize(
    "origin",
    [
        "http://files.example",
        "http://127.0.0.1:8000",
        "https://a;b.example",
        'https://a".example',
        "https://a.example\n",
        "https://user@a.example",
        "ftp://a.example",
        "https://$host",
    ],
)
def test_origins_that_an_index_with_tls_does_not_admit(origin: str, tmp_path: Path) -> None:
    with pytest.raises(PageError, match="the page names files at"):
        origins(tmp_path).add(origin)
    (tmp_path / "origins").write_text(f"{origin}\n")
    assert origins(tmp_path, known=origin).get(origin_name(origin)) is None


def test_an_index_without_tls_may_have_its_files_anywhere(tmp_path: Path) -> None:
    known = origins(tmp_path, "http://127.0.0.1:8000/simple/")
    for origin in ("http://127.0.0.1:8001", "https://files.example", "http://[::1]:80"):
        known.add(origin)
        assert known.get(origin_name(origin)) == origin


@pytest.mark.attack("bounded-input")
def test_the_number_of_origins_is_limited(tmp_path: Path) -> None:
    known = origins(tmp_path)
    for number in range(1, MAX_ORIGINS):
        known.add(f"https://files{number}.example")
    with pytest.raises(PageError):
        known.add("https://onemore.example")
    assert len((tmp_path / "origins").read_text().splitlines()) == MAX_ORIGINS - 1


def test_local_projects_are_named_by_their_content(tmp_path: Path) -> None:
    (tmp_path / "lib").mkdir()
    names = set()
    for content in (b"one", b"two", None):
        path = tmp_path / "lib" / "lib-1.0+a.tar.gz"
        path.unlink(missing_ok=True)
        if content:
            path.write_bytes(content)
        read = read_local_projects(tmp_path)
        names.add(read.name)
        assert [file.filename for file in read.projects["lib"]] == ([path.name] if content else [])
    assert len(names) == 3
    assert read_local_projects(None).projects == {}
