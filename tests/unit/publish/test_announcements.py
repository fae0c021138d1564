"""Until when a release may gain files is on its page and in its JSON; both follow what a journal names."""

import json
from pathlib import Path

import pytest
from journal_rows import name_release

from ppp.ledger.store import Store
from ppp.publish.build import build
from ppp.schemas import schema_errors

AT = 1_714_003_200  # 2024-04-25T00:00:00Z
UNTIL = 1_715_212_800  # 2024-05-09T00:00:00Z
DAY_S = 86_400


def tree(root: Path) -> dict[str, bytes]:
    return {str(p.relative_to(root)): p.read_bytes() for p in sorted(root.rglob("*")) if p.is_file()}


def newest(small: Store, package: str) -> str:
    rows = small.db.execute(
        "SELECT version FROM releases WHERE package = ? ORDER BY version_key DESC LIMIT 1", (package,)
    )
    (version,) = rows.fetchone()
    return str(version)


def test_the_date_is_on_the_page_and_in_the_json(small: Store, tmp_path: Path) -> None:
    name_release(small, "six", newest(small, "six"), serial=7, at=AT)
    name_release(small, "old", "0.0.1.dev0", serial=8, at=AT)
    build(small.db, tmp_path)
    document = json.loads((tmp_path / "api/v1/p/six.json").read_text())
    assert document["files_until"] == UNTIL
    assert not schema_errors("site/schemas/package.schema.json", document)
    page = (tmp_path / "p/six/index.html").read_text()
    assert "Files may be added to this release until" in page
    assert "2024-05-09" in page
    assert "2024-05-09" in (tmp_path / "journal/2024-04-25/index.html").read_text()
    assert "files_until" not in json.loads((tmp_path / "api/v1/p/old.json").read_text())
    assert "Files may be added" not in (tmp_path / "p/old/index.html").read_text()


@pytest.mark.parametrize(
    ("change", "packages"),
    [
        # The feed named it first, and the journal knows better when that was.
        (("six", 7, AT - 1), 2),
        (("six", 7, AT - DAY_S), 2),
        (("old", 9, AT + 1), 3),
        (("old", 9, AT + 5 * DAY_S), 1),
        (("nobody-tested-it", 9, AT + 5 * DAY_S), 0),
    ],
)
def test_what_is_named_anew_is_built_again_and_no_more_than_its_day(
    small: Store, tmp_path: Path, change: tuple[str, int, int], packages: int
) -> None:
    for package in ("six", "slow"):
        name_release(small, package, newest(small, package), serial=None, at=AT)
    build(small.db, tmp_path / "public", cache_path=tmp_path / "cache.db")
    package, serial, at = change
    version = "1.0" if package == "nobody-tested-it" else newest(small, package)
    name_release(small, package, version, serial=serial, at=at)
    assert build(small.db, tmp_path / "public", cache_path=tmp_path / "cache.db").packages == packages
    build(small.db, tmp_path / "afresh")
    assert tree(tmp_path / "public") == tree(tmp_path / "afresh")
    assert build(small.db, tmp_path / "public", cache_path=tmp_path / "cache.db").packages == 0
