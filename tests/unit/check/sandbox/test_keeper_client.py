"""The host's side of a sandbox, with a keeper whose responses are scripted."""

import json
import os
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from pathlib import Path
from typing import Any, Final

import pytest
from cell_environments import LIMITS

from ppp.check.runtime import CommandResult, SandboxLostError
from ppp.check.sandbox.inside import install_keeper, keeper_package, program_source
from ppp.check.sandbox.keeper_client import (
    CHUNK_BYTES,
    FULL_PAGES_EVERY,
    MAX_HEAD_BYTES,
    MAX_OUTPUT_BYTES,
    MIB,
    ControlSocket,
    KeeperResponses,
    KeeperSandbox,
    Layout,
    gets_full_pages,
)

LAYOUT: Final = Layout(
    work="/inside/work",
    tmp="/inside/tmp",
    pip="/inside/pip",
    file="/inside/file/lib-1.0-py3-none-any.whl",
    control="/inside/sockets/control",
    gateway=None,
    user=1234,
    counts_oom=True,
    environ={"PIP_NO_INPUT": "1"},
    rlimits={"RLIMIT_NPROC": 7},
)
TMP: Final = "/tmp"  # noqa: S108 - a name in a log
READY: Final = b'{"ready": true, "output_bytes": 0}\n'
ENDED: Final = {
    "exit_code": 0,
    "duration_ms": 12,
    "oom": False,
    "import_proved": False,
    "received_bytes": 0,
    "waited_ms": 0,
    "loaded": [],
}


class ScriptedKeeper:
    """The other end of the connection: sends scripted responses."""

    def __init__(self) -> None:
        self.end, self.theirs = socket.socketpair()
        self.closed = threading.Event()
        self.calls: list[str] = []
        self.send(READY)

    def send(self, data: bytes) -> None:
        self.end.sendall(data)

    def send_all_that_is_read(self, data: bytes) -> None:
        """Send data that may be more than the connection holds, until the other end closes it."""
        with suppress(OSError):
            self.send(data)

    def respond(self, output: bytes = b"", **how: object) -> None:
        self.send(json.dumps({**ENDED, **how, "output_bytes": len(output)}).encode() + b"\n" + output)

    @property
    def request(self) -> dict[str, Any]:
        """The one request that was made."""
        (line,) = self.end.recv(1 << 20).splitlines()
        request: dict[str, Any] = json.loads(line)
        return request

    def sandbox(self) -> KeeperSandbox:
        return KeeperSandbox(
            self.theirs, LAYOUT, closed=self.closed, disconnect=lambda: self.calls.append("disconnect")
        )


@pytest.fixture
def keeper() -> Iterator[ScriptedKeeper]:
    made = ScriptedKeeper()
    with closing(made.end), closing(made.theirs):
        yield made


@pytest.fixture
def sandbox(keeper: ScriptedKeeper) -> Iterator[KeeperSandbox]:
    with closing(keeper.sandbox()) as made:
        yield made


def test_a_sandbox_has_the_paths_of_its_layout(sandbox: KeeperSandbox) -> None:
    assert sandbox.python == "/inside/work/env/bin/python"
    assert (sandbox.scratch, sandbox.file) == ("/inside/work/scratch", LAYOUT.file)
    assert sandbox.aliases == {
        "/inside/file": "/ppp/file",
        "/inside/pip": "/ppp/pip",
        "/inside/work": "/ppp/work",
        "/inside/tmp": TMP,
    }


def test_a_response_becomes_a_result(keeper: ScriptedKeeper, sandbox: KeeperSandbox) -> None:
    keeper.respond(
        b"\xc3\xa9t\xc3\xa9 \xff", exit_code=-9, oom=True, import_proved=True, received_bytes=2**40, waited_ms=3
    )
    assert sandbox.run(["true"], timeout_s=5, cwd="/") == CommandResult(
        exit_code=-9,
        output="\N{LATIN SMALL LETTER E WITH ACUTE}t\N{LATIN SMALL LETTER E WITH ACUTE} \N{REPLACEMENT CHARACTER}",
        duration_ms=12,
        oom=True,
        import_proved=True,
        received_bytes=2**40,
        waited_ms=3,
    )
    assert keeper.request == {"do": "run", "argv": ["true"], "cwd": "/", "timeout_s": 5}


def test_pip_is_requested_with_its_arguments(keeper: ScriptedKeeper, sandbox: KeeperSandbox) -> None:
    keeper.respond(exit_code=None)
    assert sandbox.pip(("check",), timeout_s=9).timed_out
    assert keeper.request == {"do": "pip", "argv": ["check"], "timeout_s": 9}


def test_an_import_is_requested_with_the_importers_source(keeper: ScriptedKeeper, sandbox: KeeperSandbox) -> None:
    keeper.respond()
    assert not sandbox.prove_import("lib.part", timeout_s=9).import_proved
    assert keeper.request == {
        "do": "prove",
        "program": program_source("importer"),
        "module": "lib.part",
        "watched": [],
        "hidden": [],
        "timeout_s": 9,
    }


def test_the_watched_modules_that_were_loaded_are_returned(keeper: ScriptedKeeper, sandbox: KeeperSandbox) -> None:
    keeper.respond(import_proved=True, loaded=["pkg_resources"])
    done = sandbox.prove_import("lib", timeout_s=9, watched=["pip", "pkg_resources"], hidden=["setuptools"])
    assert done.loaded == ("pkg_resources",)
    request = keeper.request
    assert (request["watched"], request["hidden"]) == (["pip", "pkg_resources"], ["setuptools"])


def test_an_inspection_is_requested_with_the_packages_name(keeper: ScriptedKeeper, sandbox: KeeperSandbox) -> None:
    keeper.respond(b"{}")
    assert sandbox.inspect_installation("lib", timeout_s=9).output == "{}"
    assert keeper.request == {"do": "inspect", "package": "lib", "folder": None, "timeout_s": 9}
    keeper.respond(b"{}")
    sandbox.inspect_installation("lib", folder="lib-1.0.dist-info", timeout_s=9)
    assert keeper.request == {"do": "inspect", "package": "lib", "folder": "lib-1.0.dist-info", "timeout_s": 9}


def test_isolating_disconnects_from_outside_before_the_request(keeper: ScriptedKeeper, sandbox: KeeperSandbox) -> None:
    keeper.respond()
    sandbox.isolate()
    assert keeper.calls == ["disconnect"]
    assert keeper.request == {"do": "isolate"}


def test_a_reset_is_requested(keeper: ScriptedKeeper, sandbox: KeeperSandbox) -> None:
    keeper.respond()
    sandbox.reset()
    assert keeper.request == {"do": "reset"}


@pytest.mark.attack("own-verdict")
@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (b"", "ended during the command"),
        (b"no JSON\n", "was lost"),
        (b'{"exit_code": 0', "ended"),
        (b'{"output_bytes": 10}\nshort', "ended"),
    ],
)
def test_a_truncated_response_is_a_lost_sandbox(
    keeper: ScriptedKeeper, sandbox: KeeperSandbox, answer: bytes, reason: str
) -> None:
    keeper.send(answer)
    keeper.end.shutdown(socket.SHUT_WR)
    with pytest.raises(SandboxLostError, match=reason):
        sandbox.run(["true"], timeout_s=5)


@pytest.mark.attack("own-verdict")
@pytest.mark.parametrize(
    "change",
    [
        {"exit_code": "0"},
        {"exit_code": True},
        {"exit_code": 0.0},
        {"duration_ms": -1},
        {"duration_ms": 10**30},
        {"received_bytes": [1]},
        {"received_bytes": float("nan")},
        {"waited_ms": None},
        {"loaded": None},
        {"loaded": "pip"},
        {"loaded": [1]},
    ],
    ids=str,
)
def test_a_malformed_response_is_a_lost_sandbox(
    keeper: ScriptedKeeper, sandbox: KeeperSandbox, change: dict[str, object]
) -> None:
    keeper.respond(b"", **change)
    with pytest.raises(SandboxLostError, match=f"a response has {next(iter(change))}"):
        sandbox.run(["true"], timeout_s=5)


@pytest.mark.attack("own-verdict")
@pytest.mark.parametrize("word", ["true", 1, [True], {"yes": True}], ids=str)
def test_only_true_proves_an_import(keeper: ScriptedKeeper, sandbox: KeeperSandbox, word: object) -> None:
    keeper.respond(import_proved=word)
    assert not sandbox.prove_import("lib", timeout_s=5).import_proved


@pytest.mark.attack("bounded-input")
@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (b"x" * (MAX_HEAD_BYTES + CHUNK_BYTES + 1), "no line end within 65,536 bytes"),
        (b'{"output_bytes": -1}\n', "output_bytes -1"),
        (b'{"output_bytes": %d}\n' % (MAX_OUTPUT_BYTES + 1), "announces 68157441 bytes"),
        (b'{"output_bytes": 1e99}\n', "output_bytes 1e[+]99"),
        (b'{"output_bytes": null}\n', "output_bytes None"),
        (b"[" * 60_000 + b"\n", "too deep"),
        (b"[1]\n", "not a JSON object"),
    ],
    ids=["line", "negative", "output", "float", "null", "deep", "array"],
)
def test_an_oversized_response_is_a_lost_sandbox(
    keeper: ScriptedKeeper, sandbox: KeeperSandbox, answer: bytes, reason: str
) -> None:
    sender = threading.Thread(target=keeper.send_all_that_is_read, args=(answer,))
    sender.start()
    with pytest.raises(SandboxLostError, match=reason):
        sandbox.run(["true"], timeout_s=5)
    sandbox.close()
    sender.join()


@pytest.mark.attack("deadlines")
@pytest.mark.parametrize("drip", [b" ", b"{"], ids=["white space", "JSON"])
def test_a_response_that_trickles_in_has_one_deadline(keeper: ScriptedKeeper, drip: bytes) -> None:
    stopped = threading.Event()

    def trickle() -> None:
        while not stopped.wait(0.05):
            keeper.send(drip)

    responses = KeeperResponses(keeper.theirs)
    assert responses.next(5)[0]["ready"] is True
    sender = threading.Thread(target=trickle)
    sender.start()
    started = time.monotonic()
    try:
        with pytest.raises(TimeoutError):
            responses.next(0.5)
    finally:
        stopped.set()
        sender.join()
    assert time.monotonic() - started < 15


def test_a_request_to_a_keeper_that_is_gone_is_a_lost_sandbox(keeper: ScriptedKeeper, sandbox: KeeperSandbox) -> None:
    keeper.end.close()
    for ask in (sandbox.reset, lambda: sandbox.run(["true"], timeout_s=5)):
        with pytest.raises(SandboxLostError):
            ask()


def test_nothing_is_requested_once_the_run_has_ended(keeper: ScriptedKeeper, sandbox: KeeperSandbox) -> None:
    keeper.respond()
    keeper.closed.set()
    with pytest.raises(SandboxLostError, match="the run was ended"):
        sandbox.pip(["check"], timeout_s=5)
    keeper.end.settimeout(0)
    with pytest.raises(BlockingIOError):
        keeper.end.recv(1)


@pytest.mark.attack("own-verdict")
def test_a_response_after_the_end_of_the_run_does_not_count(keeper: ScriptedKeeper, sandbox: KeeperSandbox) -> None:
    def answers() -> None:
        keeper.end.recv(1 << 16)
        keeper.closed.set()
        keeper.respond(import_proved=True)

    thread = threading.Thread(target=answers)
    thread.start()
    with pytest.raises(SandboxLostError, match="the run was ended"):
        sandbox.prove_import("lib", timeout_s=5)
    thread.join()


@pytest.mark.attack("deadlines")
def test_a_sandbox_that_is_never_ready_is_closed() -> None:
    ours, theirs = socket.socketpair()
    with closing(ours):
        ours.shutdown(socket.SHUT_WR)
        with pytest.raises(SandboxLostError):
            KeeperSandbox(theirs, LAYOUT, closed=threading.Event(), disconnect=lambda: None)
        assert ours.recv(1) == b""


@pytest.mark.attack("only-gateway")
def test_a_sandbox_that_cannot_be_confined_runs_nothing() -> None:
    ours, theirs = socket.socketpair()
    with closing(ours):
        ours.sendall(b'{"ready": false, "reason": "no filters here", "output_bytes": 0}\n')
        with pytest.raises(SandboxLostError, match="could not be confined: no filters here"):
            KeeperSandbox(theirs, LAYOUT, closed=threading.Event(), disconnect=lambda: None)
        assert ours.recv(1) == b""


# ---------------------------------------------------------------- the control socket


def test_a_keeper_connects_and_nobody_else_can(tmp_path: Path) -> None:
    with ControlSocket(tmp_path) as control, closing(socket.socket(socket.AF_UNIX)) as keeper:
        keeper.connect(str(control.path))
        with closing(control.accept(lambda: True)) as connection:
            assert not control.path.exists()
            keeper.sendall(b"hello")
            assert connection.recv(5) == b"hello"
    assert not control.path.exists()


def test_a_keeper_that_ended_is_not_waited_for(tmp_path: Path) -> None:
    with ControlSocket(tmp_path) as control, pytest.raises(SandboxLostError, match="ended before it was ready"):
        control.accept(lambda: False)


@pytest.mark.attack("separate-cells")
@pytest.mark.skipif(os.geteuid() != 0, reason="only root can come as somebody else")
def test_other_users_cannot_connect(tmp_path: Path) -> None:
    (folder := tmp_path / "control").mkdir()
    other_user = (
        "import os, socket, sys; s = socket.socket(socket.AF_UNIX); os.chdir(sys.argv[1]);"
        "os.setresuid(65534, 65534, 65534); s.connect('control'); print(s.recv(1) == b'')"
    )
    seen: list[bytes] = []

    def connect() -> None:
        import subprocess  # noqa: PLC0415

        seen.append(subprocess.check_output([sys.executable, "-c", other_user, str(folder)]))

    with ControlSocket(folder) as control:
        thread = threading.Thread(target=connect)
        thread.start()
        with pytest.raises(SandboxLostError, match="ended before it was ready"):
            control.accept(thread.is_alive)
        thread.join()
    assert seen == [b"True\n"]


# ---------------------------------------------------------------- starting a keeper


@pytest.mark.attack("crash-safe")
@pytest.mark.parametrize("damage", [lambda path: path.write_bytes(b""), Path.unlink], ids=["empty", "missing"])
def test_a_keeper_that_a_crash_damaged_is_installed_again(tmp_path: Path, damage: Callable[[Path], object]) -> None:
    before = os.umask(0o077)
    try:
        install_keeper(tmp_path)
        damage(tmp_path / keeper_package() / "keeper.py")
        install_keeper(tmp_path)
    finally:
        os.umask(before)
    keeper = tmp_path / keeper_package() / "keeper.py"
    assert keeper.read_text() == program_source("keeper")
    assert keeper.stat().st_mode & 0o777 == 0o644
    assert [path.name for path in tmp_path.iterdir()] == [keeper_package()]


@pytest.mark.attack("crash-safe")
def test_what_a_killed_installation_left_is_removed(tmp_path: Path) -> None:
    (tmp_path / ".keeper-killed").mkdir()
    install_keeper(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == [keeper_package()]


def test_the_command_that_starts_a_keeper_has_its_settings() -> None:
    python, *options, settings = LAYOUT.command("/usr/bin/python3", LIMITS)
    assert (python, options) == ("/usr/bin/python3", ["-I", "-S", "-c", program_source("startup")])
    sent = json.loads(settings)
    assert sent["package"] == keeper_package()
    assert (sent["user"], sent["counts_oom"], sent["gateway"]) == (1234, True, None)
    assert sent["log_bytes"] == LIMITS.log_kb * 1024
    assert sent["environ"] == {"PIP_NO_INPUT": "1"}
    assert sent["rlimits"] == {
        "RLIMIT_CORE": 0,
        "RLIMIT_NOFILE": LIMITS.open_files,
        "RLIMIT_FSIZE": LIMITS.disk_mb * MIB,
        "RLIMIT_NPROC": 7,
    }


def test_the_keepers_package_is_installed_once_and_completely(tmp_path: Path) -> None:
    install_keeper(tmp_path)
    laid = {path.name: path.stat().st_ino for path in (tmp_path / keeper_package()).iterdir()}
    assert {"__init__.py", "keeper.py", "startup.py"} <= laid.keys()
    install_keeper(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == [keeper_package()]
    assert {path.name: path.stat().st_ino for path in (tmp_path / keeper_package()).iterdir()} == laid


def test_a_small_share_of_cells_gets_full_pages_always_the_same() -> None:
    files = [Path(f"lib-{n}-py3-none-any.whl") for n in range(5000)]
    shown = [file for file in files if gets_full_pages("py312-slim", file)]
    assert 0.5 < len(shown) * FULL_PAGES_EVERY / len(files) < 2
    assert shown == [file for file in files if gets_full_pages("py312-slim", Path("/elsewhere") / file)]
    assert shown != [file for file in files if gets_full_pages("py39-slim", file)]
