"""What a project's page shows to have happened since a time."""

from typing import Any

import pytest

from ppp.watch.journal.port import Action, ChangedProject
from ppp.watch.journal.project_files import ProjectFilesReader, is_quarantined, parse_time

SIX = ChangedProject(serial=50, package="six")
SINCE = 1_714_003_200  # 2024-04-25T00:00:00Z
BEFORE, AFTER, LATER = "2024-04-24T23:59:59.9Z", "2024-04-25T00:00:00.000001Z", "2024-04-25T00:01:00Z"


def file(name: str, at: object, **more: object) -> dict[str, Any]:
    return {"filename": name, "upload-time": at, "hashes": {}, **more}


def events(*rows: Any, quarantined: bool = False) -> list[tuple[Action, str, int, str]]:
    reader = ProjectFilesReader(project=SIX, since=SINCE)
    for row in rows:
        reader.add(row)
    found = list(reader.events(is_quarantined=quarantined, now=SINCE + 500))
    assert all((event.serial, event.package) == (50, "six") for event in found)
    return [(event.action, event.version, event.at - SINCE, event.filename) for event in found]


def test_a_new_release_and_its_files() -> None:
    wheel, sdist = "six-1.17.0-py3-none-any.whl", "six-1.17.0.tar.gz"
    assert events(file(sdist, LATER), file(wheel, AFTER), file("six-1.16.0.tar.gz", BEFORE)) == [
        (Action.NEW_RELEASE, "1.17.0", 0, ""),
        (Action.ADD_FILE, "1.17.0", 0, wheel),
        (Action.ADD_FILE, "1.17.0", 60, sdist),
    ]


def test_a_late_file_of_an_old_release() -> None:
    wheel = "six-1.16.0-cp312-cp312-musllinux_1_2_x86_64.whl"
    assert events(file("six-1.16.0.tar.gz", BEFORE), file(wheel, LATER)) == [(Action.ADD_FILE, "1.16.0", 60, wheel)]


def test_a_release_is_yanked_if_every_file_is() -> None:
    old = [file("six-1.0.tar.gz", BEFORE, yanked="broken"), file("six-1.0-py3-none-any.whl", BEFORE, yanked=True)]
    assert events(*old) == [(Action.YANK, "1.0", 500, "")]
    assert events(old[0], file("six-1.0.zip", BEFORE, yanked=False)) == []


def test_a_quarantined_project() -> None:
    assert events(quarantined=True) == [(Action.PROJECT_QUARANTINED, "", 500, "")]
    assert is_quarantined({"project-status": {"status": "quarantined", "reason": "malware"}})
    assert not is_quarantined({"project-status": {"status": "archived"}})
    assert not is_quarantined({"project-status": "quarantined"})
    assert not is_quarantined({})


@pytest.mark.attack("inert-text")
@pytest.mark.parametrize(
    "row",
    [
        None,
        5,
        {},
        {"filename": 5, "upload-time": AFTER},
        {"filename": "six-1.0.tar.gz"},
        file("six-1.0.tar.gz", None),
        file("six-1.0.tar.gz", "yesterday\x1b"),
    ],
)
def test_unusable_entries_are_rejected(row: object) -> None:
    reader = ProjectFilesReader(project=SIX, since=SINCE)
    reader.add(row)
    (rejected,) = reader.rejected
    assert rejected.reason.startswith("a file of six: ")
    assert rejected.reason.isprintable()
    assert list(reader.events(is_quarantined=False, now=SINCE)) == []


@pytest.mark.parametrize(
    "name", ["six-1.0.exe", "seven-1.0.tar.gz", "../six-1.0.tar.gz", "six-one.tar.gz", "six.whl", ""]
)
def test_names_that_are_no_distribution_of_the_project_say_nothing(name: str) -> None:
    assert events(file(name, AFTER)) == []


@pytest.mark.parametrize(
    ("text", "at"),
    [
        ("2024-04-25T00:00:00Z", SINCE),
        ("2024-04-25T00:00:00", SINCE),
        ("2024-04-25T02:00:00+02:00", SINCE),
        ("0001-01-01T00:00:00Z", 0),
        ("2024", None),
        ("", None),
    ],
)
def test_times(text: str, at: int | None) -> None:
    assert parse_time(text) == at
