"""Published files of the small ledger, compared byte for byte."""

import shlex
from pathlib import Path

import pytest

from ppp.ledger.store import Store
from ppp.publish.build import build

GOLDEN = Path(__file__).parents[2] / "golden" / "publish"


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("current.json", "current.json"),
        ("current.json.sha256", "current.json.sha256"),
        ("feed.xml", "feed.xml"),
        ("index.html", "index.html"),
        ("p/needs-gcc/index.html", "needs-gcc.html"),
    ],
)
def test_golden(path: str, name: str, small: Store, tmp_path: Path) -> None:
    build(small.db, tmp_path / "public", base_url="https://ppp.example/")
    made, golden = tmp_path / "public" / path, GOLDEN / name
    accept = f"to accept this output: cp {shlex.quote(str(made))} {shlex.quote(str(golden))}"
    assert golden.is_file(), accept
    assert made.read_text("utf-8") == golden.read_text("utf-8"), accept
