from datetime import UTC, datetime, timedelta, timezone
from typing import Any, Final

import pytest

from ppp.index_files.file import IndexedFile

SHA256: Final = "ab" * 32
NAME: Final = "lib-1.0-py3-none-any.whl"
GIVEN: Final[dict[str, Any]] = {
    "sha256": SHA256,
    "project": "lib",
    "version": "1.0",
    "filename": NAME,
    "url": f"https://files.example/a/{NAME}",
    "seen_at": 5,
}


def test_what_an_index_says_is_kept() -> None:
    uploaded = datetime(2024, 5, 1, 14, 0, 0, 7, tzinfo=timezone(timedelta(hours=2)))
    given = GIVEN | {"size": 9, "upload_time": uploaded, "requires_python": ">=3.9", "yanked": " no \n good "}
    file = IndexedFile.checked(**given, metadata_sha256=SHA256)
    assert file is not None
    assert (file.size, file.requires_python, file.yanked, file.metadata_sha256) == (9, ">=3.9", "no good", SHA256)
    assert file.upload_time == datetime(2024, 5, 1, 12, 0, 0, 7, tzinfo=UTC)
    assert file.is_wheel


def test_a_fragment_is_no_part_of_an_address() -> None:
    file = IndexedFile.checked(**GIVEN | {"url": f"https://files.example/a/{NAME}#sha256={SHA256}"})
    assert file is not None
    assert file.url == f"https://files.example/a/{NAME}"


@pytest.mark.parametrize(
    "other",
    [
        {"sha256": ""},
        {"sha256": SHA256.upper()},
        {"filename": "../lib-1.0.tar.gz"},
        {"filename": "lib 1.0.tar.gz"},
        {"project": "-"},
        {"version": "one"},
        {"url": f"ftp://files.example/{NAME}"},
        {"url": f"https://user:secret@files.example/{NAME}"},
        {"url": f"https://files.example/{NAME}?token=secret"},
        {"url": f"https://files.example/{NAME}/"},
        {"url": "https://files.example/other-1.0-py3-none-any.whl"},
        {"url": f"https:///{NAME}"},
        {"url": f"https://[/{NAME}"},
        {"url": f"https://files.example:port/{NAME}"},
        {"url": f"https://files.example/{'a' * 2000}/{NAME}"},
        {"url": f"https://files.example/\n/{NAME}"},
        {"url": f"https://files.example/${{HOME}}/{NAME}"},
        {"url": f"https://files.example/;a/{NAME}"},
    ],
)
def test_a_file_that_cannot_be_named_safely_is_unknown(other: dict[str, str]) -> None:
    assert IndexedFile.checked(**GIVEN | other) is None


def test_what_is_optional_and_invalid_counts_as_not_said() -> None:
    invalid = {"size": -1, "upload_time": datetime(2024, 5, 1), "requires_python": ">>3", "metadata_sha256": "x"}  # noqa: DTZ001 - a time without a zone is the case
    assert IndexedFile.checked(**GIVEN | invalid) == IndexedFile.checked(**GIVEN)
    assert IndexedFile.checked(**GIVEN | {"requires_python": ">=3," * 400}) == IndexedFile.checked(**GIVEN)
