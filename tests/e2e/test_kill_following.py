"""`ppp watch` is killed while it follows a changelog over HTTP: no serial is skipped, and none is taken twice."""

import os
import random
import signal
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Final
from xmlrpc.server import SimpleXMLRPCServer

import pytest
from cell_environments import SLIM, matrix_toml, tiny_matrix
from program import Program, wait_until

AT: Final = 1_715_000_000
#: Serials skip; so many rows are read again by each run, and a page has a few times as many.
SKIP, PAGE_ROWS, RELEASES = 40, 150, 500
KILLS: Final = 5
Row = tuple[str, str, int, str, int]


@dataclass(slots=True)
class ServedChangelog:
    """An index's changelog, which gives `PAGE_ROWS` rows at once, and how often it was asked."""

    rows: list[Row] = field(default_factory=list)
    url: str = ""
    asked: int = 0

    def changelog_last_serial(self) -> int:
        self.asked += 1
        return max(row[4] for row in self.rows)

    def changelog_since_serial(self, serial: int) -> list[Row]:
        self.asked += 1
        return [row for row in self.rows if row[4] > serial][:PAGE_ROWS]


@contextmanager
def served(changelog: ServedChangelog) -> Iterator[ServedChangelog]:
    """Yield a changelog while it is served on loopback."""
    with SimpleXMLRPCServer(("127.0.0.1", 0), logRequests=False) as server:
        server.register_instance(changelog)
        changelog.url = f"http://127.0.0.1:{server.server_address[1]}/RPC2"
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            yield changelog
        finally:
            server.shutdown()
            thread.join()


def has_asked(changelog: ServedChangelog, times: int, process: "subprocess.Popen[str]") -> bool:
    return changelog.asked >= times or process.poll() is not None


@pytest.mark.attack("crash-safe")
def test_kill_9_while_following_skips_no_serial_and_takes_none_twice(program: Program) -> None:
    program.matrix.write_text(matrix_toml(tiny_matrix(SLIM)))
    dice = random.Random(14)
    start = 1_000
    with served(ServedChangelog([("old", "1.0", AT, "new release", start)])) as changelog:
        program.settings |= {"PPP_JOURNAL": "changelog", "PPP_JOURNAL_URL": changelog.url}
        program.run_in_process_ok("watch")
        assert program.query("SELECT serial FROM journal_cursors") == [(start,)]
        for n in range(RELEASES):
            serial = start + SKIP * (n + 1)
            name = f"project-{n:03}"
            changelog.rows.append((name, "1.0", AT + n, "new release", serial))
            changelog.rows.append((name, "1.0", AT + n, f"add source file {name}-1.0.tar.gz", serial + 1))
        cursors = []
        for _ in range(KILLS):
            asked = changelog.asked + dice.randint(1, 4)
            process = program.start("watch")
            wait_until(partial(has_asked, changelog, asked, process))
            time.sleep(dice.uniform(0, 0.3))
            os.kill(process.pid, signal.SIGKILL)
            process.wait(10)
            cursors += program.query("SELECT serial FROM journal_cursors")
            assert program.query("PRAGMA integrity_check") == [("ok",)]
        assert cursors == sorted(cursors), "the cursor never goes back"
        program.run_ok("watch")
    end = changelog.rows[-1][4]
    assert program.query("SELECT serial, first_serial FROM journal_cursors") == [(end, start)]
    named = [(f"project-{n:03}", "1.0", start + SKIP * (n + 1), 1) for n in range(RELEASES)]
    assert program.query("SELECT package, version, serial, files FROM journal_releases ORDER BY package") == named
    assert program.query("SELECT package, version FROM queue ORDER BY package") == [row[:2] for row in named]
    intervals = program.query("SELECT first_serial, last_serial, releases FROM journal_intervals ORDER BY last_serial")
    assert [first for first, _, _ in intervals] == [start + 1, *(last + 1 for _, last, _ in intervals[:-1])]
    assert (intervals[-1][1], sum(releases for _, _, releases in intervals)) == (end, RELEASES)
