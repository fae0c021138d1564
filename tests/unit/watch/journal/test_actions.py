"""A row of the changelog becomes an event, is ignored, or is rejected."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ppp.watch.journal.actions import MAX_JUMP, MAX_REJECTED, RowReader
from ppp.watch.journal.port import Action, JournalEvent

AT = 1_714_003_200
NEWEST = 1_000


def read(*rows: object, after: int = 10) -> RowReader:
    reader = RowReader(after, NEWEST)
    for row in rows:
        reader.add(row)
    return reader


def only_event(action: str, version: str | None = "1.0") -> JournalEvent:
    (event,) = read(["Six", version, AT, action, 11]).events
    return event


@pytest.mark.parametrize(
    ("text", "action", "filename"),
    [
        ("new release", Action.NEW_RELEASE, ""),
        ("add py3 file six-1.0-py3-none-any.whl", Action.ADD_FILE, "six-1.0-py3-none-any.whl"),
        ("add source file six-1.0.tar.gz", Action.ADD_FILE, "six-1.0.tar.gz"),
        ("add py2.py3 file six 1.0.zip", Action.ADD_FILE, "six 1.0.zip"),
        ("remove file six-1.0.tar.gz", Action.REMOVE_FILE, "six-1.0.tar.gz"),
        ("yank release", Action.YANK, ""),
        ("unyank release", Action.UNYANK, ""),
        ("remove release", Action.REMOVE_RELEASE, ""),
        ("remove", Action.REMOVE_RELEASE, ""),
        ("release quarantined", Action.RELEASE_QUARANTINED, ""),
        ("release quarantine cleared", Action.RELEASE_UNQUARANTINED, ""),
    ],
)
def test_actions_of_a_release(text: str, action: Action, filename: str) -> None:
    event = only_event(text, "1.00")
    assert event == JournalEvent(serial=11, package="six", version="1.0", action=action, at=AT, filename=filename)


@pytest.mark.parametrize("version", [None, "", "1.0"])
@pytest.mark.parametrize(
    ("text", "action"),
    [
        ("remove project", Action.REMOVE_PROJECT),
        ("project quarantined", Action.PROJECT_QUARANTINED),
        ("project quarantine cleared", Action.PROJECT_UNQUARANTINED),
    ],
)
def test_actions_of_a_project_name_no_version(text: str, action: Action, version: str | None) -> None:
    event = only_event(text, version)
    assert (event.action, event.package, event.version) == (action, "six", "")


def test_a_removal_without_a_version_is_that_of_the_project() -> None:
    assert only_event("remove", None).action is Action.REMOVE_PROJECT


def test_a_renamed_project_has_its_old_name() -> None:
    event = only_event("rename from Old.Six", None)
    assert (event.action, event.package, event.filename) == (Action.RENAME, "six", "old-six")


def test_other_actions_are_ignored() -> None:
    reader = read(
        ["six", None, AT, "create", 11],
        ["six", None, AT, "add Owner alice", 12],
        ["six", None, AT, "add Owner bob", 13],
        ["six", None, AT, "levitate the project", 14],
        ["six", None, AT, "add", 15],
    )
    assert reader.events == []
    assert reader.rejected == ()
    assert reader.last_serial == 15


@pytest.mark.attack("inert-text")
@pytest.mark.parametrize(
    ("row", "reason"),
    [
        (["-six-", "1.0", AT, "new release", 11], "'-six-' is not a package name"),
        (["", "1.0", AT, "new release", 11], "'' is not a package name"),
        (["../etc", "1.0", AT, "new release", 11], "'../etc' is not a package name"),
        (["<script>", "1.0", AT, "new release", 11], "'<script>' is not a package name"),
        (["x" * 5000, "1.0", AT, "new release", 11], "is not a package name"),
        (["six", "one", AT, "new release", 11], "'one' is not a version"),
        (["six", None, AT, "new release", 11], "it names no version"),
        (["six", None, AT, "add source file six-1.0.tar.gz", 11], "it names no version"),
        (["six", "1.0", -1, "new release", 11], "its time -1 is not in epoch seconds"),
        (["six", "1.0", 10**15, "new release", 11], "is not in epoch seconds"),
        (["six", "1.0", AT, "add source file ../../etc/passwd", 11], "is not the name of a file"),
        (["six", "1.0", AT, "add source file a\x1b[2Jb", 11], "is not the name of a file"),
        (["six", "1.0", AT, "rename from -x-", 11], "'-x-' is not a package name"),
        (["six", "1.0", AT, "new release"], "is not name, version, time, action, serial"),
        (["six", "1.0", AT, "new release", "11"], "is not name, version, time, action, serial"),
        ([None, "1.0", AT, "new release", 11], "is not name, version, time, action, serial"),
        (["six", 1, AT, "new release", 11], "is not name, version, time, action, serial"),
        (["six", "1.0", None, "new release", 11], "is not name, version, time, action, serial"),
        ([["six"], "1.0", AT, "new release", 11], "the row [['six'], '1.0', 1714003200, 'new release', 11] is not"),
        ("six", "the row 'six' is not name"),
        (None, "the row None is not name"),
        (["\u202eevil", "1.0", AT, "new release", 11], "'\\u202eevil'"),
    ],
)
def test_what_is_no_event_is_rejected(row: object, reason: str) -> None:
    reader = read(row, ["six", "1.0", AT, "new release", 12])
    assert [event.serial for event in reader.events] == [12]
    (rejected,) = reader.rejected
    assert reason in rejected.reason
    assert rejected.reason.isprintable()
    assert len(rejected.reason) <= 400


def test_rows_that_were_not_asked_for_are_rejected() -> None:
    reader = read(["six", "1.0", AT, "new release", 10], ["six", "1.0", AT, "new release", -5])
    assert [rejected.serial for rejected in reader.rejected] == [10, None]
    assert reader.last_serial == 10


def test_rows_beyond_the_newest_serial_are_left_to_the_next_page() -> None:
    reader = read(["six", "1.0", AT, "new release", NEWEST], ["six", "1.1", AT, "new release", NEWEST + 1])
    assert [event.version for event in reader.events] == ["1.0"]
    assert (reader.rejected, reader.last_serial) == ((), NEWEST)


def test_a_serial_that_jumps_far_is_rejected() -> None:
    reader = read(["six", "1.0", AT, "new release", NEWEST + MAX_JUMP + 1])
    assert "far beyond the index's last one, 1000" in reader.rejected[0].reason
    assert reader.last_serial == 10


def test_an_unusable_row_counts_as_read() -> None:
    assert read([None, None, None, None, 500]).last_serial == 500


def test_any_order_is_read() -> None:
    reader = read(*(["six", "1.0", AT, "yank release", serial] for serial in (30, 11, 20, 20)))
    assert [event.serial for event in reader.events] == [30, 11, 20, 20]
    assert reader.last_serial == 30


def test_very_many_rejected_rows_are_counted() -> None:
    reader = read(*["x"] * (MAX_REJECTED + 5))
    assert len(reader.rejected) == MAX_REJECTED + 1
    assert reader.rejected[-1].reason == "5 more rows could not be used"


FIELDS = st.none() | st.integers() | st.text(max_size=20) | st.lists(st.integers(), max_size=2)


@pytest.mark.attack("bounded-input")
@given(FIELDS | st.lists(FIELDS, max_size=7), st.sampled_from(["new release", "add x file y", "remove file ", "zap"]))
def test_any_row_is_read_or_rejected(row: object, action: str) -> None:
    reader = read(row, [row, row, row, row, 12], ["six", row, AT, action, 13])
    assert reader.rows == 3
    assert all(rejected.reason.isprintable() for rejected in reader.rejected)
