"""What confined sandboxes prevent hostile package code from: gaining privileges, seeing, filling and reaching things.

The same rules apply to containers and bubblewrap.
"""

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest
from cell_environments import LIMITS, FetchedPip
from runtimes import CONFINED, OTHER, WRITABLE, RuntimePlace, json_output, run_python, running_runtime

from ppp.check.runtime import Sandbox

MIB: Final = 1024 * 1024
TMP: Final = "/tmp"  # noqa: S108 - inside
SHM: Final = "/dev/shm"  # noqa: S108 - inside
SECRET: Final = "hunter2"


@pytest.fixture(scope="module", params=CONFINED)
def running(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, pinned_pip: FetchedPip
) -> Iterator[RuntimePlace]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PPP_SECRET", SECRET)
        with running_runtime(request.param, tmp_path_factory.mktemp(request.param), pinned_pip) as running:
            yield running


@pytest.fixture(scope="module")
def sandbox(running: RuntimePlace) -> Iterator[Sandbox]:
    with running.sandbox() as sandbox:
        yield sandbox


@pytest.fixture
def other_user(running: RuntimePlace, sandbox: Sandbox) -> Sandbox:
    """A sandbox whose keeper runs as another user than the cell."""
    if not running.kind.is_container and os.geteuid() != 0:
        pytest.skip("an ordinary user's bubblewrap has one user only")
    return sandbox


# ---------------------------------------------------------------- privileges

STATUS: Final = """
with open('/proc/self/status') as file:
    rows = dict(line.split(':', 1) for line in file)
print(json.dumps({name: row.split() for name, row in rows.items()}))
"""


@pytest.mark.attack("only-gateway")
def test_package_code_has_no_privileges(running: RuntimePlace, other_user: Sandbox) -> None:
    status = json_output(other_user, STATUS)
    capabilities = {name: int(status[name][0], 16) for name in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb")}
    assert set(capabilities.values()) == {0}, capabilities
    assert "0" not in status["Uid"] + status["Gid"]
    assert status["Groups"] == []
    assert status["NoNewPrivs"] == ["1"]
    if running.kind.is_container:
        assert status["Seccomp"] == ["2"]


BACKEND: Final = """
with open("b.py", "w") as file:
    file.write("raise SystemExit(open('/proc/self/status').read())")
with open("pyproject.toml", "w") as file:
    file.write('build-system = {requires = [], build-backend = "b", backend-path = ["."]}')
print("null")
"""


@pytest.mark.attack("only-gateway")
def test_what_pip_runs_has_no_privileges(other_user: Sandbox) -> None:
    json_output(other_user, BACKEND)
    done = other_user.pip(["install", "--no-deps", other_user.scratch], timeout_s=30)
    assert not done.ok
    status = dict(line.split()[:2] for line in done.output.splitlines() if len(line.split()) > 1)
    assert {status["CapEff:"], status["CapBnd:"]} == {"0" * 16}
    assert status["NoNewPrivs:"] == "1"
    assert status["Uid:"] != "0"


KEEPER: Final = """
import ctypes
libc, found, keeper = ctypes.CDLL(None, use_errno=True), [], KEEPER or os.getppid()
for number in (9, 15, 19, 2):
    try:
        os.kill(keeper, number)
        found.append('signal %d' % number)
    except PermissionError:
        pass
for name in ('mem', 'environ', 'fd/0', 'root/etc/passwd', 'cwd/etc/passwd', 'maps', 'stack', 'syscall'):
    try:
        with open('/proc/%d/%s' % (keeper, name), 'rb') as file:
            file.read(1)
        found.append(name)
    except OSError:
        pass
for name in ('mem', 'oom_score_adj', 'comm', 'attr/current', 'clear_refs', 'timerslack_ns'):
    try:
        with open('/proc/%d/%s' % (keeper, name), 'r+b', 0) as file:
            file.write(b'0')
        found.append('writing ' + name)
    except OSError:
        pass
PTRACE_ATTACH, PTRACE_SEIZE = 16, 0x4206
for request in (PTRACE_ATTACH, PTRACE_SEIZE):
    if libc.ptrace(request, keeper, None, None) == 0:
        found.append('ptrace %d' % request)
print(json.dumps(found))
"""


@pytest.mark.attack("own-verdict")
def test_package_code_cannot_affect_its_keeper(other_user: Sandbox) -> None:
    assert json_output(other_user, KEEPER.replace("KEEPER or os.getppid()", "1")) == []
    assert json_output(other_user, "print(os.getppid())") == 1


@pytest.mark.attack("separate-cells")
def test_processes_outside_are_not_visible(sandbox: Sandbox) -> None:
    seen = json_output(
        sandbox, "print(json.dumps(sorted(int(name) for name in os.listdir('/proc') if name.isdigit())))"
    )
    assert len(seen) == 2
    assert 1 in seen


@pytest.mark.attack("separate-cells")
def test_only_the_cells_own_folders_can_be_written(sandbox: Sandbox) -> None:
    sandbox.reset()
    own = ("/ppp/work/env", "/ppp/work/scratch", "/ppp/work/empty", TMP, SHM, "/dev/mqueue")
    writable = json_output(sandbox, WRITABLE, timeout_s=60)
    assert {"/ppp/work/scratch", TMP, SHM} <= set(writable)
    assert [path for path in writable if not path.startswith(own)] == []


REPLACING: Final = """
import sys, sysconfig
bin, top = os.path.dirname(sys.executable), sys.prefix
open('evil', 'w').close()
found = []
def attempt(name, act, *arguments):
    try:
        act(*arguments)
        found.append(name)
    except OSError:
        pass
files = (sys.executable, bin + '/python3', top + '/pyvenv.cfg', top + '/own/python')
for path in (*files, bin, top + '/own', top + '/lib', sysconfig.get_path('purelib'), top):
    attempt('replace ' + path, os.replace, 'evil', path)
    attempt('unlink ' + path, os.unlink, path)
    attempt('rename ' + path, os.rename, path, 'gone')
    attempt('chmod ' + path, os.chmod, path, 0o777)
    attempt('write ' + path, open, path, 'w')
for path in ('/ppp/pip/pip/__init__.py', '/ppp/pip/pip/new.py', top + '/own/pyvenv.cfg', FILE):
    attempt('write ' + path, open, path, 'w')
    attempt('unlink ' + path, os.unlink, path)
    attempt('replace ' + path, os.replace, 'evil', path)
print(json.dumps(found))
"""


@pytest.mark.attack("own-verdict")
def test_neither_the_interpreter_nor_pip_nor_the_file_can_be_replaced(other_user: Sandbox) -> None:
    assert json_output(other_user, REPLACING.replace("FILE", repr(other_user.file))) == []
    assert other_user.prove_import("json", timeout_s=30).import_proved
    assert other_user.pip(["--version"], timeout_s=30).ok


@pytest.mark.attack("credentials")
def test_nothing_of_this_process_is_visible_in_a_cell(sandbox: Sandbox) -> None:
    seen = json_output(sandbox, "print(json.dumps(dict(os.environ)))")
    assert SECRET not in json.dumps(seen)
    assert (seen["HOME"], seen["TMPDIR"]) == (sandbox.scratch, TMP)
    assert seen["PIP_CONFIG_FILE"] == "/dev/null"


@pytest.mark.attack("credentials")
def test_the_host_and_its_users_are_not_visible(sandbox: Sandbox) -> None:
    here = str(Path(__file__).resolve())
    assert json_output(sandbox, f"print(json.dumps(os.path.exists({here!r})))") is False
    assert json_output(sandbox, "import socket; print(json.dumps(socket.gethostname()))") != os.uname().nodename


# ---------------------------------------------------------------- limits


@pytest.mark.attack("separate-cells")
def test_a_fork_bomb_is_limited_and_killed(sandbox: Sandbox) -> None:
    bomb = """
        import time
        count = 0
        try:
            while count < 1000:
                if os.fork() == 0:
                    time.sleep(60)
                count += 1
        except OSError as error:
            print(json.dumps(count), flush=True)
    """
    count = json_output(sandbox, bomb)
    assert LIMITS.processes / 2 < count <= LIMITS.processes
    endless = run_python(
        sandbox, "import os\nwhile True:\n    try:\n        os.fork()\n    except OSError:\n        pass", timeout_s=2
    )
    assert endless.timed_out
    assert json_output(sandbox, "print(len([name for name in os.listdir('/proc') if name.isdigit()]))") == 2


@pytest.mark.attack("separate-cells")
@pytest.mark.parametrize("folder", [TMP, "/ppp/work/scratch", SHM])
def test_disk_is_limited_and_freed(sandbox: Sandbox, folder: str) -> None:
    filling = f"""
        count = 0
        os.chdir({folder!r})
        try:
            while count < 1000:
                with open('part-%d' % count, 'wb') as file:
                    file.write(bytes({MIB}))
                count += 1
        except OSError as error:
            print(json.dumps([error.strerror, count]))
    """
    reason, count = json_output(sandbox, filling)
    assert reason in {"No space left on device", "No space left"}
    assert 0 < count <= LIMITS.disk_mb
    sandbox.reset()
    assert json_output(sandbox, f"print(json.dumps(os.listdir({folder!r})))") == []


NAMESPACE: Final = """
import ctypes
libc = ctypes.CDLL(None)
CLONE_NEWNS, CLONE_NEWUSER = 0x20000, 0x10000000
made = libc.unshare(CLONE_NEWUSER | CLONE_NEWNS) == 0
print(json.dumps([made, libc.mount(b'none', b'/tmp', b'tmpfs', 0, b'size=10g') == 0]))
"""


@pytest.mark.attack("only-gateway")
def test_package_code_cannot_become_root_in_a_namespace(sandbox: Sandbox) -> None:
    assert json_output(sandbox, NAMESPACE) == [False, False]


@pytest.mark.attack("separate-cells")
def test_shared_memory_is_limited_too(running: RuntimePlace, sandbox: Sandbox, request: pytest.FixtureRequest) -> None:
    if not running.kind.is_container:
        request.applymarker(pytest.mark.xfail(reason="RLIMIT_DATA does not count what is shared", strict=True))
    size = (LIMITS.memory_mb + LIMITS.disk_mb) * 2 * MIB
    source = f"import mmap\nheld = mmap.mmap(-1, {size})\nfor n in range(0, {size}, 4096):\n    held[n] = 1"
    assert not run_python(sandbox, source).ok


# ---------------------------------------------------------------- the network

ROUTES: Final = """
import socket
with open('/proc/net/route') as file:
    routes = [line.split()[0] for line in file][1:]
up = [name for _, name in socket.if_nameindex() if name.startswith('eth')]
try:
    socket.create_connection(('127.0.0.1', 8080), timeout=2).close()
    up.append('gateway')
except OSError:
    pass
print(json.dumps(routes + up))
"""


@pytest.mark.attack("only-gateway")
def test_only_pip_reaches_anything_and_nothing_once_isolated(running: RuntimePlace) -> None:
    install = ["install", "--no-cache-dir", "--no-deps", "--retries", "0", "--ignore-installed", "other"]
    with running.sandbox() as sandbox:
        if running.kind.is_gated:
            assert json_output(sandbox, ROUTES) == []
            had = sandbox.pip(install, timeout_s=30)
            assert had.ok, had.output
            assert had.received_bytes > len(OTHER.build())
        else:
            assert "eth0" in json_output(sandbox, ROUTES), "it has the engine's network: this test can tell"
        sandbox.isolate()
        assert json_output(sandbox, ROUTES) == []
        refused = sandbox.pip(install, timeout_s=30)
        assert (refused.ok, refused.received_bytes) == (False, 0)
        assert sandbox.prove_import("other", timeout_s=30).import_proved is running.kind.is_gated


def test_no_resolver_waits_for_an_answer_that_cannot_come(running: RuntimePlace, sandbox: Sandbox) -> None:
    if not (running.kind.is_container and running.kind.is_gated):
        pytest.skip("only a container behind the gateway has settings of its own for names")
    # musl waits for its timeout even where there is no network: ten seconds for each name.
    options = json_output(sandbox, "print(json.dumps(open('/etc/resolv.conf').read().split()))")
    assert {"timeout:1", "attempts:1"} <= set(options)
