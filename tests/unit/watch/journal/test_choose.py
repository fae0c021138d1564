"""Which ways of following an index the settings allow."""

from pathlib import Path

import pytest

from ppp.config import JournalMode, load
from ppp.watch.journal.choose import configured_journals
from ppp.watch.journal.port import JournalKind


@pytest.mark.parametrize(
    ("mode", "kinds"),
    [
        (JournalMode.AUTO, [JournalKind.CHANGELOG, JournalKind.INDEX, JournalKind.FEED]),
        (JournalMode.CHANGELOG, [JournalKind.CHANGELOG]),
        (JournalMode.INDEX, [JournalKind.INDEX]),
        (JournalMode.FEED, [JournalKind.FEED]),
        (JournalMode.OFF, []),
    ],
)
def test_the_settings_name_the_ways(mode: JournalMode, kinds: list[JournalKind], tmp_path: Path) -> None:
    config = load({"PPP_JOURNAL": mode, "PPP_INDEX_URL": "https://index.example/simple"}, data=tmp_path)
    assert [journal.kind for journal in configured_journals(config)] == kinds


def test_each_way_has_its_address_and_the_contact() -> None:
    config = load({"PPP_INDEX_URL": "https://u:secret-1@index.example/simple", "PPP_CONTACT": "me@node.example"})
    for journal in configured_journals(config):
        assert "https://index.example/" in repr(journal)
        assert "me@node.example" in repr(journal)
        assert "secret-1" not in repr(journal)
