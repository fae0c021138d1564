"""100,000 events are followed in bounded memory, each release once; a fault is a clear line and moves no cursor."""

import json
import re
import subprocess
import threading
import xmlrpc.client
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import pytest
from cell_environments import SLIM, matrix_toml, tiny_matrix
from program import CompletedCommand, Program
from warehouse import AT, Answer, LongBody, Warehouse, fault, served

EVENTS: Final = 100_000
PEAK_KIB: Final = 150_000_000 // 1024
POLL_S: Final = 6 * 3_600


def run_with_peak(program: Program, *arguments: str) -> tuple[CompletedCommand, int]:
    """Run a command to its end; return how it ended, and the most memory that it held, in KiB."""
    process, peak, ended = program.start(*arguments), [0], threading.Event()
    watcher = threading.Thread(target=_watch_peak, args=(process, peak, ended))
    watcher.start()
    out, err = process.communicate(timeout=300)
    ended.set()
    watcher.join()
    return CompletedCommand(code=process.returncode, out=out, err=err), peak[0]


def _watch_peak(process: "subprocess.Popen[str]", peak: list[int], ended: threading.Event) -> None:
    # Not `getrusage`: a child begins with the peak of the process that started it.
    while not ended.wait(0.02):
        try:
            found = re.search(r"VmHWM:\s+(\d+) kB", Path(f"/proc/{process.pid}/status").read_text("utf-8"))
        except OSError:
            return
        peak[0] = max(peak[0], int(found[1]) if found else 0)


@pytest.fixture
def following(program: Program) -> Program:
    program.matrix.write_text(matrix_toml(tiny_matrix(SLIM)))
    return program


def test_100_000_events_in_bounded_memory_and_none_lost(following: Program) -> None:
    warehouse = Warehouse()
    warehouse.release("old", "1.0", at=AT - 60)
    with served(warehouse):
        following.settings |= {**warehouse.settings, "PPP_JOURNAL": "changelog"}
        following.run_in_process_ok("watch")
        warehouse.generate(EVENTS)
        done, peak = run_with_peak(following, "watch")
    assert done.code == 0, done
    assert following.query("SELECT serial FROM journal_cursors") == [(warehouse.serial,)]
    named = set(following.query("SELECT package, version FROM journal_releases"))
    assert set(warehouse.releases[1:]) <= named <= set(warehouse.releases)
    assert 0 < peak < PEAK_KIB
    coverage = json.loads(following.run_in_process_ok("coverage", "--json"))
    assert set(re.findall(r'"lost": (\d+)', json.dumps(coverage))) == {"0"}


#: 1 GB as it is, and the same in gzip, of a thousandth of that: a part that repeats itself.
GIGABYTE: Final = LongBody(start=b"<methodResponse>", piece=b" " * 1_000_000, times=1_000)
_GZIP: Final = zlib.compressobj(wbits=31)
GZIPPED: Final = LongBody(
    start=_GZIP.compress(b"<methodResponse>") + _GZIP.flush(zlib.Z_FULL_FLUSH),
    piece=_GZIP.compress(b" " * 1_000_000) + _GZIP.flush(zlib.Z_FULL_FLUSH),
    times=1_000,
)
ENTITIES: Final = '<!DOCTYPE x [<!ENTITY a "ha"><!ENTITY b "&a;&a;&a;&a;"><!ENTITY c "&b;&b;&b;&b;">]>'
LEDGER: Final = (
    "SELECT source, serial, target FROM journal_cursors",
    "SELECT package, version FROM journal_releases",
    "SELECT package, version FROM queue",
    "SELECT serial, event FROM journal_margin",
    "SELECT first_serial, last_serial FROM journal_intervals",
)


def xml(value: Any) -> bytes:
    """Return a response of XML-RPC."""
    return xmlrpc.client.dumps((value,), methodresponse=True, allow_none=True).encode()


def ok(body: bytes | LongBody, **headers: str) -> Answer:
    return 200, {"Content-Type": "text/xml", **{k.replace("_", "-"): v for k, v in headers.items()}}, body


#: What is answered in place of the last serial, or, where there are two, of the rows after it.
FAULTS: Final[dict[str, tuple[list[Answer], int, str]]] = {
    "a page of HTML": ([ok(b"<!DOCTYPE html><html><body>Sorry</body></html>")], 47, "is a page of HTML"),
    "cut": ([ok(b'<?xml version="1.0"?><methodResponse><params>')], 47, "is cut short"),
    "cut within a row": ([ok(xml(4)), ok(xml([["six", "1.0", AT, "new release", 4]])[:-90])], 47, "is cut short"),
    "entities": ([ok(f"<?xml version='1.0'?>{ENTITIES}<methodResponse>&c;".encode())], 47, "declares a document type"),
    "1 GB": ([ok(GIGABYTE)], 47, "larger than"),
    "1 GB in gzip": ([ok(GZIPPED, Content_Encoding="gzip")], 47, "larger than"),
    "no rows": (
        [ok(xml(99)), ok(xml([]))],
        47,
        "has no event after serial 2 in 0 rows, although its last serial is 99",
    ),
    "the same rows": (
        [ok(xml(99)), ok(xml([["old", "1.0", AT, "new release", 1], ["old", "1.0", AT, "add source file x", 2]]))],
        47,
        "has no event after serial",
    ),
    "no serial": ([ok(xml("soon"))], 47, "has no serial"),
    "no rows but words": ([ok(xml(99)), ok(xml("soon"))], 47, "is no list of rows"),
    "backwards": ([ok(xml(1))], 47, "went backwards"),
    "status 500": ([(500, {}, b"")], 46, "status 500"),
    "a fault": ([fault("RuntimeError: broken")], 46, "RuntimeError: broken"),
    "throttled": ([(429, {"Retry-After": "99999"}, b"")], 48, "asked too often"),
}
#: Those that are told by a process of its own.
WHOLE: Final = ("a page of HTML", "cut", "entities", "the same rows", "1 GB", "1 GB in gzip")


@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_is_a_clear_line_and_leaves_the_cursor(following: Program, name: str) -> None:
    answers, code, words = FAULTS[name]
    warehouse = Warehouse()
    warehouse.release("old", "1.0", at=AT)
    with served(warehouse):
        following.settings |= {**warehouse.settings, "PPP_JOURNAL": "changelog"}
        following.run_in_process_ok("watch")
        before = [following.query(sql) for sql in LEDGER]
        warehouse.release("six", "1.17.0", at=AT + 60)
        warehouse.answers.extend(answers)
        # The slower way, for those whose memory or end matters most.
        done, peak = run_with_peak(following, "watch") if name in WHOLE else (following.run_in_process("watch"), 0)
        assert peak < PEAK_KIB
        assert (done.code, "Traceback" in done.err) == (code, False), done
        assert len(re.findall(re.escape(words), done.err)) == 1, done.err
        assert [following.query(sql) for sql in LEDGER] == before
        warehouse.answers.clear()
        following.run_in_process_ok("watch")
    assert following.query("SELECT serial FROM journal_cursors") == [(warehouse.serial,)]
    assert following.query("SELECT package FROM journal_releases WHERE package = 'six'") == [("six",)]


@pytest.mark.parametrize("name", ["", "..", "six/../../etc", "<script>", "\u202esix", "a" * 400, "six\n1.0"])
def test_a_name_that_is_none_is_reported_and_the_rest_is_taken(following: Program, name: str) -> None:
    warehouse = Warehouse()
    warehouse.release("old", "1.0", at=AT)
    with served(warehouse):
        following.settings |= {**warehouse.settings, "PPP_JOURNAL": "changelog"}
        following.run_in_process_ok("watch")
        warehouse.add(name, "1.0", "new release", at=AT + 1)
        warehouse.release("six", "1.17.0", at=AT + 2)
        done = following.run_in_process("watch")
    assert (done.code, done.err.count("1 entries of the journal name no valid release")) == (0, 1), done
    assert following.query("SELECT package FROM journal_releases") == [("six",)]
    assert following.query("SELECT serial FROM journal_cursors") == [(warehouse.serial,)]
    (line,) = [line for line in following.run_in_process_ok("coverage").splitlines() if line.startswith("  ")]
    assert line.isascii()
    assert line.isprintable()
    assert len(line) < 400


def even() -> Warehouse:
    """Return an index at an even pace."""
    model = Warehouse()
    model.generate(20_000)
    return model


def uneven() -> Warehouse:
    """Return an index with quiet nights, and a heavy hour each afternoon."""
    model = Warehouse()
    for hour in range(24 * 4):
        releases = {14: 1_500}.get(hour % 24, 1 if hour % 24 < 7 else 60)
        for place in range(releases):
            model.release(f"p{hour}-{place}", "1.0", at=AT + hour * 3_600 + place * 3_600 // releases)
    return model


@pytest.mark.parametrize(("pace", "tolerance"), [(even, 0.2), (uneven, None)])
def test_the_gaps_of_a_feed_hold_exactly_what_it_missed(
    following: Program, pace: Callable[[], Warehouse], tolerance: float | None
) -> None:
    model = pace()
    with served(Warehouse()) as warehouse:
        following.settings |= {**warehouse.settings, "PPP_JOURNAL": "feed"}
        for until in range(AT + POLL_S, model.events[-1][2], POLL_S):
            warehouse.events = [event for event in model.events if event[2] <= until]
            following.run_in_process_ok("watch")
    seen = set(following.query("SELECT package, version FROM journal_releases"))
    gaps = following.query("SELECT start_at, end_at, estimate FROM journal_gaps")
    began = min(at for name, version, at, _, _ in warehouse.events if (name, version) in seen)
    named = [event for event in warehouse.events if event[3] == "new release" and event[2] >= began]
    missed = {(name, version) for name, version, *_ in named} - seen
    inside = {(name, version) for name, version, at, *_ in named if any(start < at < end for start, end, _ in gaps)}
    assert len(gaps) > 5
    assert inside == missed
    # Of a heavy hour that it has not seen, an estimate knows nothing; the times are exact whatever the pace.
    assert tolerance is None or sum(estimate for *_, estimate in gaps) == pytest.approx(len(missed), rel=tolerance)
