"""Real Datasette on a real copy of a ledger: every saved query has rows, no query returns a gigabyte."""

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
import requests
from datasette_server import fill_ledger, running_datasette, wait_until_answered

from ppp.ledger.store import Store
from ppp.model.record import Record
from ppp.publish.datasette.definition import saved_queries
from ppp.publish.datasette.serve import ServeCommand, prepare


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def running(argv: Sequence[str], url: str) -> Iterator[str]:
    """Run Datasette; yield the URL of the database."""
    process = subprocess.Popen(argv, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    try:
        wait_until_answered(f"{url}.json", process)
        yield url
    finally:
        process.terminate()
        process.communicate(timeout=10)


@pytest.fixture(name="command")
def _command(store: Store, record: Callable[..., Record], tmp_path: Path) -> ServeCommand:
    fill_ledger(store, record)
    return prepare(tmp_path / "data", tmp_path / "serve")


@pytest.fixture(name="datasette")
def _datasette(store: Store, record: Callable[..., Record], tmp_path: Path) -> Iterator[str]:
    fill_ledger(store, record)
    with running_datasette(tmp_path / "data") as running_one:
        yield running_one.database


@pytest.fixture(name="datasette_next")
def _datasette_next(command: ServeCommand) -> Iterator[str]:
    """The next version of Datasette, with its own style of configuration; `nox -s datasette_next` installs it."""
    python = os.environ.get("PPP_DATASETTE_NEXT")
    if not python:
        pytest.skip("PPP_DATASETTE_NEXT names no Python with the next version of Datasette")
    out = command.database.parent
    shown = ("-m", str(out / "1.0a/metadata.json"), "-c", str(out / "1.0a/datasette.json"))
    served = (*shown, "--plugins-dir", str(out / "plugins"), "--inspect-file", str(out / "inspect-data.json"))
    port = free_port()
    argv = (
        python,
        "-m",
        "datasette",
        "serve",
        "-i",
        str(command.database),
        *served,
        "-h",
        "127.0.0.1",
        "-p",
        str(port),
    )
    with running(argv, f"http://127.0.0.1:{port}/ppp") as url:
        yield url


def assert_answers_all_queries(datasette: str) -> None:
    """Check what our version of Datasette and the next have in common."""
    for name, params in ((query.name, query.params) for query in saved_queries()):
        answer = requests.get(f"{datasette}/{name}.json", params={**params, "_shape": "objects"}, timeout=10)
        assert answer.status_code == 200, (name, answer.text)
        assert answer.json()["rows"], name
        empty = requests.get(f"{datasette}/{name}.json", params={"_shape": "objects"}, timeout=10)
        assert empty.status_code == 200, (name, empty.text)
        page = requests.get(f"{datasette}/{name}", params=params, timeout=10)
        assert page.status_code == 200

    oversize = requests.get(f"{datasette}.json", params={"sql": "select zeroblob(900000000)"}, timeout=10)
    assert oversize.status_code == 400
    assert "too big" in oversize.json()["error"]
    assert requests.get(f"{datasette}.json", params={"sql": "delete from records"}, timeout=10).status_code == 400

    rows = requests.get(f"{datasette}.json", params={"sql": "select 1 as one"}, timeout=10)
    assert rows.json()["rows"] == [[1]] or rows.json()["rows"] == [{"one": 1}]

    table = requests.get(f"{datasette}/records", timeout=10).text
    assert 'href="/ppp/packages/lxml"' in table
    assert "sha256 of the record" in table
    for facet in ("result", "environment", "cause", "blame"):
        assert f'id="facet-{facet}"' in table or f'data-column="{facet}"' in table
    assert 'href="/ppp/packages/lxml"' in requests.get(f"{datasette}/newly_broken", timeout=10).text
    found = requests.get(f"{datasette}/packages.json", params={"_search": "xml", "_shape": "array"}, timeout=10)
    assert found.json() == [{"package": "lxml"}]
    stream = requests.get(f"{datasette}/records.csv", params={"_stream": "on"}, timeout=10)
    assert stream.status_code == 400
    root = datasette.rpartition("/")[0]
    assert "--ground" in requests.get(f"{root}/ppp-look.css", timeout=10).text
    assert "/ppp-look.css" in table
    assert '<span class="ppp-fail">✗ FAIL</span>' in table
    assert '<span class="ppp-' in requests.get(f"{datasette}/results", timeout=10).text
    assert "CC0-1.0" in requests.get(root, timeout=10).text
    every = requests.get(f"{datasette}/needs_a_compiler", timeout=10).text
    assert '<a href="failures?cause__in=no-compiler,missing-header,no-build-tool&amp;result=FAIL">failures</a>' in every
    for query in saved_queries():
        if query.rows is not None:
            assert requests.get(f"{datasette}/{query.rows}", timeout=10).status_code == 200, query.rows
    robots = requests.get(f"{root}/robots.txt", timeout=10)
    assert "Disallow: /ppp/" in robots.text


def test_datasette(datasette: str) -> None:
    assert_answers_all_queries(datasette)
    assert "max-age=3600" in requests.get(f"{datasette}/records.json", timeout=10).headers["cache-control"]


def test_the_next_datasette(datasette_next: str) -> None:
    assert_answers_all_queries(datasette_next)


def test_what_a_container_is_made_of_is_written_and_not_served(
    store: Store, record: Callable[..., Record], tmp_path: Path
) -> None:
    fill_ledger(store, record)
    program = [sys.executable, "-m", "ppp", "serve", "--data", str(tmp_path / "data")]
    out = tmp_path / "out"
    done = subprocess.run([*program, "--into", out], capture_output=True, text=True, check=True, timeout=60)
    assert "Containerfile" in done.stdout
    recipe = (out / "Containerfile").read_text()
    for name in ("ppp.db", "metadata.json", "settings.json", "inspect-data.json", "plugins"):
        assert name in recipe
        assert (out / name).exists()
    refused = subprocess.run([*program, "--mesh", "--into", out], capture_output=True, text=True, check=False)
    assert refused.returncode == 2
    assert "--into" in refused.stderr


def port_is_open(port: int) -> bool:
    """Return whether anything accepts connections on a port of this machine."""
    with socket.socket() as client:
        return client.connect_ex(("127.0.0.1", port)) == 0


def child_processes(pid: int) -> list[int]:
    """Return the ids of a process's children."""
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


@pytest.mark.attack("crash-safe")
@pytest.mark.usefixtures("store")
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT])
@pytest.mark.parametrize("to_group", [False, True], ids=["to-ppp-alone", "to-the-group"])
def test_a_signal_ends_datasette_too(number: signal.Signals, to_group: bool, tmp_path: Path) -> None:  # noqa: FBT001 - parametrized
    port = free_port()
    process = subprocess.Popen(
        [sys.executable, "-m", "ppp", "serve", "--data", str(tmp_path / "data"), "--port", str(port)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        start_new_session=True,
    )
    try:
        wait_until_answered(f"http://127.0.0.1:{port}/ppp.json", process)
        children = child_processes(process.pid)
        # A service manager signals ppp alone, a terminal the whole process group.
        (os.killpg if to_group else os.kill)(process.pid, number)
        _, errors = process.communicate(timeout=20)
        assert process.returncode == 0, errors.decode()
        assert not port_is_open(port)
        assert len(children) == 1
        assert not Path(f"/proc/{children[0]}").exists()
        assert (tmp_path / "data" / "cache" / "serve" / "ppp.db").is_file()
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
