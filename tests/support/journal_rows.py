"""Rows of a journal written straight into a ledger, for tests of what is published of it."""

from collections.abc import Iterable

from ppp.ledger.store import Store

SOURCE = "5" * 64
DAY_S = 86_400


def follow(store: Store, serial: int, at: int) -> None:
    """Store that the ledger follows a journal, read up to a serial."""
    store.db.execute(
        "INSERT OR REPLACE INTO journal_cursors VALUES (?, ?, 1, NULL, ?, ?)", (SOURCE, serial, at - DAY_S, at)
    )


def name_release(store: Store, package: str, version: str, *, serial: int | None, at: int, files: int = 1) -> None:
    """Add a release that the index named, or change it."""
    store.db.execute(
        "INSERT INTO journal_releases (package, version, serial, announced_at, files) VALUES (?, ?, ?, ?, ?)"
        " ON CONFLICT DO UPDATE SET serial = excluded.serial, announced_at = excluded.announced_at,"
        " files = excluded.files",
        (package, version, serial, at, files),
    )


def queue_release(store: Store, package: str, version: str, environment: str = "py312-slim") -> None:
    """Queue a cell of a release."""
    store.db.execute(
        "INSERT OR IGNORE INTO queue (package, version, environment, source, enqueued_at)"
        " VALUES (?, ?, ?, 'journal', 0)",
        (package, version, environment),
    )


def skip_release(store: Store, package: str, version: str, reason: str = "expired", *, at: int = 0) -> None:
    """Skip a release in every environment."""
    store.db.execute(
        "INSERT OR REPLACE INTO skips (package, version, environment, reason, skipped_at, detail)"
        " VALUES (?, ?, '', ?, ?, 'in words')",
        (package, version, reason, at),
    )


def add_event(store: Store, serial: int, package: str, version: str, action: str, *, at: int) -> None:
    """Add what the index said of a release, or of a project."""
    values = (SOURCE, serial, package, version, action, at)
    store.db.execute("INSERT OR IGNORE INTO journal_events VALUES (?, ?, ?, ?, ?, ?)", values)


def add_interval(
    store: Store, first: int, last: int, *, at: int, adapter: str = "changelog", releases: int = 1
) -> None:
    """Add an interval of serials that was read."""
    values = (SOURCE, first, last, adapter, 2 * releases, releases, at)
    store.db.execute("INSERT OR IGNORE INTO journal_intervals VALUES (?, ?, ?, ?, ?, ?, ?)", values)


def add_gap(store: Store, start: int, end: int, estimate: int, *, filled_at: int | None = None) -> None:
    """Add a gap of the feed, or fill it."""
    values = (SOURCE, start, end, estimate, end, filled_at)
    store.db.execute("INSERT OR REPLACE INTO journal_gaps VALUES (?, ?, ?, ?, ?, ?)", values)


def showcase_journal(store: Store, as_of: int, long_names: Iterable[str] = ()) -> None:
    """Add a journal that has every state of a release, events, both ways of reading, and gaps."""
    follow(store, 31_000_000, as_of)
    serial = 30_990_000
    for day in range(40):
        at = as_of - day * DAY_S
        add_interval(store, serial + 1, serial + 9_000, at=at, adapter=("changelog", "index")[day % 5 == 0], releases=6)
        serial -= 9_000
        for number in range(6):
            name_release(store, f"announced-{day}-{number}", "0.1.0", serial=serial + number, at=at - number)
            (queue_release if number < 4 else skip_release)(store, f"announced-{day}-{number}", "0.1.0")
    for number in range(150):
        name_release(store, f"fresh-{number}", f"1.{number}", serial=30_999_000 + number, at=as_of - 60 * number)
        if number % 7:
            queue_release(store, f"fresh-{number}", f"1.{number}")
    for place, (package, version) in enumerate((("six", "1.17.0"), ("needs-gcc", "1.1"), ("half-a-picture", "11.3"))):
        name_release(store, package, version, serial=30_999_500 + place, at=as_of - place, files=9)
    for name in long_names:
        name_release(store, name, "2024.12.31.post20241231.dev20240425+local", serial=None, at=as_of - 5)
        skip_release(store, name, "2024.12.31.post20241231.dev20240425+local", "unsandboxed")
        add_event(store, 30_999_700, name, "", "project-quarantined", at=as_of - 5)
    add_event(store, 30_999_600, "taken-back", "0.3", "remove-release", at=as_of - 600)
    add_event(store, 30_999_601, "leans-on-the-image", "0.8", "yank", at=as_of - 500)
    add_gap(store, as_of - 30_000, as_of - 20_000, 412)
    add_gap(store, as_of - 3 * DAY_S, as_of - 3 * DAY_S + 9_000, 380, filled_at=as_of - 2 * DAY_S)
