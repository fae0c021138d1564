"""The port of `ppp.check.runtime`, held to by the fake in memory, by the host platform and by Docker.

A command is told twice: as a Python program for the real runtimes, and as an act for the fake.
"""

import gc
import json
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import pytest
from fake_runtime import Act, FakeRuntime, Files
from places import ALPINE, SLIM, PinnedPip, host_environ, host_environment, tiny_matrix

from ppp.check.docker import LABEL, DockerRuntime, engine
from ppp.check.host import HostRuntime
from ppp.check.runtime import (
    TAIL_BYTES,
    Completed,
    EnvironmentUnavailableError,
    Output,
    Prepared,
    Runtime,
    Sandbox,
    SandboxLostError,
    pip_environment,
)
from ppp.model.matrix import Environment, Matrix, Platform

FLOOD: Final = b"the beginning\n" + b"x" * 300_000 + b"\nthe end\n"
ALTERNATING: Final = b"".join(b"%d\n" % n for n in range(300))
#: More than the tail is kept, so that there is a head as well.
LOG_KB: Final = 128
NOWHERE: Final = "http://127.0.0.1:9/simple/"
#: What a command that must be ended would take otherwise.
LONG_S: Final = 60


@dataclass(frozen=True, slots=True, kw_only=True)
class Program:
    """What a command does, for real and as an act."""

    source: str
    act: Callable[[Files], Act]


def _acts(source: str, **act: object) -> Program:
    return Program(source=source, act=lambda _: Act(**act))  # type: ignore[arg-type]


def _keeps(files: Files) -> Act:
    files["kept"] = b"something"
    return Act()


PROGRAMS: Final = {
    "talks": _acts("import sys; print('out', flush=True); print('err', file=sys.stderr)", output=b"out\nerr\n"),
    "alternates": _acts("import os; [os.write(1 + n % 2, b'%d\\n' % n) for n in range(300)]", output=ALTERNATING),
    "fails": _acts("print('no'); raise SystemExit(3)", output=b"no\n", exit_code=3),
    "segfaults": _acts("import os; os.kill(os.getpid(), 11)", exit_code=-11),
    "aborts": _acts("import os; os.kill(os.getpid(), 6)", exit_code=-6),
    "hangs": _acts(f"import time; print('begun', flush=True); time.sleep({LONG_S})", output=b"begun\n", takes_s=LONG_S),
    "floods": _acts("import sys; sys.stdout.write('the beginning\\n' + 'x' * 300_000 + '\\nthe end\\n')", output=FLOOD),
    "no text": _acts("import os; os.write(1, b'\\xff\\x00ok\\n')", output=b"\xff\x00ok\n"),
    "keeps": Program(source="import os; open(os.path.join(WORK, 'kept'), 'w').write('something')", act=_keeps),
    "looks": Program(
        source="import os; print(*os.listdir(WORK))",
        act=lambda files: Act(output=" ".join(files).encode() + b"\n"),
    ),
    "leaves": _acts(
        "import subprocess, sys;"
        f"subprocess.Popen([sys.executable, '-c', 'import time; time.sleep({LONG_S})', 'left-behind-' + WORK[-8:]])"
    ),
}


def script(argv: Sequence[str], files: Files) -> Act:
    """Do what the program of that name does."""
    return PROGRAMS[argv[-1]].act(files)


@dataclass(kw_only=True)
class Place:
    """A runtime, and what of it can be counted from outside."""

    runtime: Runtime
    environment: Environment
    file: Path
    remains: Callable[[], Sequence[object]]
    #: What was prepared before by a runtime of this kind; None where each has to prepare for itself.
    held: dict[str, Prepared] | None = None

    def prepared(self) -> Prepared:
        if self.held is None:
            return self.runtime.prepare(self.environment)
        if self.environment.id not in self.held:
            self.held[self.environment.id] = self.runtime.prepare(self.environment)
        return self.held[self.environment.id]


def run(box: Sandbox, name: str, *, timeout_s: float = 30) -> Completed:
    """Run a program in a sandbox."""
    source = f"WORK = {box.work!r}\n{PROGRAMS[name].source}"
    return box.run([box.python, "-I", "-c", source, name], timeout_s=timeout_s)


REAL: Final = [
    pytest.param("host", id="host", marks=pytest.mark.online),
    pytest.param(SLIM, id=SLIM.id, marks=[pytest.mark.docker, pytest.mark.online]),
    pytest.param(ALPINE, id=ALPINE.id, marks=[pytest.mark.docker, pytest.mark.online]),
]


@pytest.fixture(scope="module")
def held() -> dict[str, Prepared]:
    """Images that stand ready: asking one what it is takes longer than most tests."""
    return {}


@pytest.fixture(params=["fake", *REAL])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Place]:
    (tmp_path / "file").mkdir()
    file = tmp_path / "file" / "example_lib-1.0-py3-none-any.whl"
    file.write_bytes(b"a wheel")
    with ExitStack() as stack:
        match request.param:
            case "fake":
                matrix = _matrix(SLIM)
                fake = FakeRuntime(matrix, script)
                yield Place(runtime=fake, environment=SLIM, file=file, remains=lambda: list(fake.open))
            case "host":
                pip: PinnedPip = request.getfixturevalue("pinned_pip")
                (cells := tmp_path / "cells").mkdir()
                stack.enter_context(pytest.MonkeyPatch.context()).setattr(tempfile, "tempdir", str(cells))
                matrix = _matrix(host_environment())
                host = HostRuntime(matrix, pip=pip.folder, index_url=NOWHERE, environ=host_environ())
                stack.callback(host.close)
                yield Place(
                    runtime=host, environment=host_environment(), file=file, remains=lambda: list(cells.iterdir())
                )
            case Environment() as environment:
                pip = request.getfixturevalue("pinned_pip")
                client = engine()
                assert client is not None
                stack.callback(client.close)
                docker = DockerRuntime(client, _matrix(environment), data=tmp_path, pip=pip.folder, index_url=NOWHERE)
                stack.callback(docker.close)
                label = {"label": f"{LABEL}={docker._label}"}
                yield Place(
                    runtime=docker,
                    environment=environment,
                    file=file,
                    remains=lambda: client.containers.list(all=True, filters=label),
                    held=request.getfixturevalue("held"),
                )


def _command_lines() -> Iterator[str]:
    """Give what every process of this machine was started with, those in containers too."""
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            yield (process / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")


def _matrix(environment: Environment) -> Matrix:
    matrix = tiny_matrix(environment)
    return replace(matrix, limits=replace(matrix.limits, log_kb=LOG_KB))


# ---------------------------------------------------------------- what a prepared environment says


def test_an_environment_says_what_it_is(place: Place) -> None:
    prepared = place.prepared()
    assert prepared.environment is place.environment
    assert prepared.python.startswith(f"{place.environment.python}.")
    assert prepared.tags[-1] == "py30-none-any" or "py3-none-any" in prepared.tags
    assert len(prepared.tags) == len(set(prepared.tags))
    assert {".py", ".so"} <= set(prepared.suffixes)
    assert prepared.arch
    assert prepared.pip_version == tiny_matrix().pip.version
    assert (prepared.image_digest is None) == (place.environment.platform is Platform.HOST)


def test_an_environment_can_be_prepared_twice(place: Place) -> None:
    assert place.runtime.prepare(place.environment) == place.prepared()


# ---------------------------------------------------------------- how a command ends


def test_output_and_success(place: Place) -> None:
    with place.runtime.sandbox(place.prepared(), place.file) as box:
        done = run(box, "talks")
    assert (done.exit_code, done.ok, done.timed_out, done.oom) == (0, True, False, False)
    assert done.output == "out\nerr\n"
    assert done.duration_ms >= 0


def test_both_streams_stand_in_the_order_in_which_they_were_written(place: Place) -> None:
    with place.runtime.sandbox(place.prepared(), place.file) as box:
        assert run(box, "alternates").output == ALTERNATING.decode()


def test_a_status_is_told_as_it_is(place: Place) -> None:
    with place.runtime.sandbox(place.prepared(), place.file) as box:
        done = run(box, "fails")
    assert (done.exit_code, done.ok, done.output) == (3, False, "no\n")


@pytest.mark.parametrize(("name", "signal"), [("segfaults", 11), ("aborts", 6)])
def test_a_signal_is_below_zero(place: Place, name: str, signal: int) -> None:
    with place.runtime.sandbox(place.prepared(), place.file) as box:
        done = run(box, name)
    assert (done.exit_code, done.ok, done.oom) == (-signal, False, False)


def test_time_that_is_up_ends_a_command(place: Place) -> None:
    with place.runtime.sandbox(place.prepared(), place.file) as box:
        started = time.monotonic()
        done = run(box, "hangs", timeout_s=1.5)
        took = time.monotonic() - started
    assert (done.exit_code, done.timed_out, done.ok) == (None, True, False)
    assert done.output == "begun\n"
    assert 1.4 < took < 12
    assert 1400 <= done.duration_ms < 12_000


def test_output_beyond_the_limit_is_cut_in_the_middle_and_said_so(place: Place) -> None:
    with place.runtime.sandbox(place.prepared(), place.file) as box:
        done = run(box, "floods")
    assert done.ok
    assert done.output.startswith("the beginning\n")
    assert done.output.endswith("\nthe end\n")
    assert f"[{len(FLOOD) - LOG_KB * 1024} bytes of output cut here]" in done.output
    assert len(done.output) < LOG_KB * 1024 + 100


def test_what_is_no_text_is_told_as_text(place: Place) -> None:
    with place.runtime.sandbox(place.prepared(), place.file) as box:
        assert run(box, "no text").output == "\N{REPLACEMENT CHARACTER}\x00ok\n"


# ---------------------------------------------------------------- sandboxes


def test_a_sandbox_keeps_its_files_between_commands(place: Place) -> None:
    with place.runtime.sandbox(place.prepared(), place.file) as box:
        assert run(box, "looks").output == "\n"
        assert run(box, "keeps").ok
        assert run(box, "looks").output == "kept\n"


def test_two_sandboxes_do_not_see_each_others_files(place: Place) -> None:
    prepared = place.prepared()
    with place.runtime.sandbox(prepared, place.file) as one, place.runtime.sandbox(prepared, place.file) as two:
        assert run(one, "keeps").ok
        assert run(two, "looks").output == "\n"


def test_a_sandbox_knows_where_its_file_is(place: Place) -> None:
    with place.runtime.sandbox(place.prepared(), place.file) as box:
        assert box.file.endswith(f"/{place.file.name}")
        assert box.pip.endswith("/pip")


def test_nothing_remains_of_a_sandbox(place: Place) -> None:
    with place.runtime.sandbox(place.prepared(), place.file) as box:
        assert run(box, "keeps").ok
        assert len(place.remains()) == 1
    assert not place.remains()


def test_nothing_remains_of_a_sandbox_that_an_error_left(place: Place) -> None:
    def breaks_off() -> None:
        with place.runtime.sandbox(place.prepared(), place.file) as box:
            run(box, "keeps")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        breaks_off()
    assert not place.remains()


def test_what_a_command_started_ends_with_it(place: Place) -> None:
    with place.runtime.sandbox(place.prepared(), place.file) as box:
        assert run(box, "leaves").ok
        mark = f"left-behind-{box.work[-8:]}"
    assert not [words for words in _command_lines() if mark in words]


# ---------------------------------------------------------------- ending all


def test_close_ends_a_running_command(place: Place) -> None:
    prepared = place.prepared()
    raised: list[str] = []

    def work() -> None:
        with place.runtime.sandbox(prepared, place.file) as box:
            begun.set()
            try:
                run(box, "hangs", timeout_s=LONG_S)
            except SandboxLostError as error:
                raised.append(str(error))

    begun = threading.Event()
    thread = threading.Thread(target=work)
    thread.start()
    assert begun.wait(20)
    time.sleep(0.5)  # into the command itself
    started = time.monotonic()
    place.runtime.close()
    thread.join(20)
    assert not thread.is_alive()
    assert time.monotonic() - started < 15
    assert len(raised) == 1
    assert raised[0]
    assert not place.remains()


def test_a_closed_runtime_runs_nothing(place: Place) -> None:
    with place.runtime.sandbox(place.prepared(), place.file) as box:
        place.runtime.close()
        with pytest.raises(SandboxLostError):
            run(box, "talks")


def test_closing_twice_is_closing_once(place: Place) -> None:
    place.runtime.close()
    place.runtime.close()
    assert not place.remains()


# ---------------------------------------------------------------- what cannot be had


def test_what_the_fake_does_not_offer_is_unavailable_with_the_reason() -> None:
    with pytest.raises(EnvironmentUnavailableError, match="no image today"):
        FakeRuntime(tiny_matrix(), script, unavailable="no image today").prepare(SLIM)


def test_a_python_that_this_machine_has_not_is_unavailable(tmp_path: Path) -> None:
    runtime = HostRuntime(tiny_matrix(), pip=tmp_path, index_url=NOWHERE, environ={"PATH": str(tmp_path)})
    missing = Environment(id="py39-host", python="3.9", platform=Platform.HOST)
    with pytest.raises(EnvironmentUnavailableError, match=r"no working Python 3\.9 .*none on PATH"):
        runtime.prepare(missing)


@pytest.mark.parametrize(
    "source",
    [
        "#!/bin/sh\nexit 127\n",
        "#!/bin/sh\necho no JSON\n",
        '#!/bin/sh\necho \'{"python": "3.8.1"}\'\n',
        "no program at all",
    ],
)
def test_a_python_that_does_not_answer_as_one_is_unavailable(tmp_path: Path, source: str) -> None:
    shim = tmp_path / "python3.9"
    shim.write_text(source)
    shim.chmod(0o755)
    runtime = HostRuntime(tiny_matrix(), pip=tmp_path, index_url=NOWHERE, environ={"PATH": str(tmp_path)})
    with pytest.raises(EnvironmentUnavailableError, match=r"no working Python 3\.9 .*tried .*python3\.9"):
        runtime.prepare(Environment(id="py39-host", python="3.9", platform=Platform.HOST))


@pytest.mark.docker
@pytest.mark.parametrize(
    ("image", "python", "reason"),
    [
        # Nothing listens there, so that no registry is asked.
        ("localhost:9/python:3.12-alpine", "3.12", "is not here and cannot be pulled"),
        ("python:3.9-slim", "3.12", r"holds Python 3\.9\.\d+, not 3\.12"),
    ],
)
def test_an_image_that_cannot_be_had_is_unavailable(tmp_path: Path, image: str, python: str, reason: str) -> None:
    client = engine()
    assert client is not None
    environment = Environment(id="py312-alpine", python=python, platform=Platform.ALPINE, image=image)
    (tmp_path / "pip").mkdir()
    try:
        # The probe wants no more of pip than its folder's name.
        packaging = tmp_path / "pip" / "pip" / "_vendor" / "packaging"
        packaging.mkdir(parents=True)
        for name, text in FAKE_PIP.items():
            (packaging / name).write_text(text)
        runtime = DockerRuntime(client, tiny_matrix(), data=tmp_path, pip=tmp_path / "pip", index_url=NOWHERE)
        with pytest.raises(EnvironmentUnavailableError, match=reason):
            runtime.prepare(environment)
    finally:
        client.close()


FAKE_PIP: Final = {
    "tags.py": "def sys_tags():\n    return ['py3-none-any']\n",
}


# docker-py leaves a socket behind where nobody answers.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_without_an_engine_there_is_none(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/nothing.sock")
    assert engine() is None
    gc.collect()


# ---------------------------------------------------------------- the parts that runtimes share


@pytest.mark.parametrize("chunk", [1, 7, 4096, 10**6])
@pytest.mark.parametrize("limit", [0, 100, TAIL_BYTES, TAIL_BYTES + 100])
def test_output_within_its_limit_is_kept_whole(chunk: int, limit: int) -> None:
    data = b"0123456789" * (limit // 10)
    output = Output(limit)
    for start in range(0, len(data), chunk):
        output.feed(data[start : start + chunk])
    assert output.text() == data.decode()


@pytest.mark.parametrize("chunk", [1000, 4096, 10**7])
def test_output_is_cut_alike_however_it_comes(chunk: int) -> None:
    limit = TAIL_BYTES + 10
    data = bytes(range(97, 107)) + b"-" * 500_000 + b"z" * TAIL_BYTES
    output = Output(limit)
    for start in range(0, len(data), chunk):
        output.feed(data[start : start + chunk])
    assert output.text() == f"abcdefghij\n[500000 bytes of output cut here]\n{'z' * TAIL_BYTES}"


def test_pip_reads_no_configuration_and_asks_one_index() -> None:
    with_tls = pip_environment("https://index.example/simple/")
    assert with_tls["PIP_INDEX_URL"] == "https://index.example/simple/"
    assert with_tls["PIP_CONFIG_FILE"] == "/dev/null"
    assert "PIP_TRUSTED_HOST" not in with_tls
    assert pip_environment("http://10.0.0.1:8080/simple/")["PIP_TRUSTED_HOST"] == "10.0.0.1:8080"


@pytest.mark.online
def test_nothing_of_this_process_reaches_a_host_cell(
    pinned_pip: PinnedPip, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PPP_SECRET", "hunter2")
    monkeypatch.setenv("PIP_INDEX_URL", "https://other.example/simple/")
    environ = {**host_environ(), "PPP_SECRET": "hunter2", "SSL_CERT_FILE": "/etc/some.pem"}
    runtime = HostRuntime(tiny_matrix(), pip=pinned_pip.folder, index_url=NOWHERE, environ=environ)
    with runtime.sandbox(runtime.prepare(host_environment()), tmp_path / "file") as box:
        done = box.run([box.python, "-I", "-c", "import json, os; print(json.dumps(dict(os.environ)))"], timeout_s=10)
    seen = json.loads(done.output)
    assert "PPP_SECRET" not in seen
    assert seen["SSL_CERT_FILE"] == "/etc/some.pem"
    assert seen["PIP_INDEX_URL"] == NOWHERE
    assert seen["HOME"] == seen["TMPDIR"] == box.work


@pytest.mark.online
def test_a_command_that_does_not_start_is_a_lost_sandbox(pinned_pip: PinnedPip, tmp_path: Path) -> None:
    runtime = HostRuntime(tiny_matrix(), pip=pinned_pip.folder, index_url=NOWHERE, environ=host_environ())
    with (
        runtime.sandbox(runtime.prepare(host_environment()), tmp_path / "file") as box,
        pytest.raises(SandboxLostError, match="did not start"),
    ):
        box.run([f"{box.work}/no/such/python"], timeout_s=10)
