"""Bubblewrap as a user who is not root runs it: the same user inside and outside, in a namespace of its own."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

import pytest
from cell_environments import FetchedPip, host_environ
from runtimes import WRITABLE

from ppp.check.sandbox.host import find_interpreters

pytestmark = [pytest.mark.online, pytest.mark.sandbox, pytest.mark.nginx]

NOBODY: Final = 65534
#: Python versions to try, newest first.
VERSIONS: Final = ("3.12", "3.11", "3.9")

#: Imports all that it needs as the user who runs the tests, who alone may be able to read it, and then changes users.
PROGRAM: Final = """
import json, os, sys, tempfile
from pathlib import Path
folder, pip, version, executable, user, support = sys.argv[1:7]
sys.path[:0] = [support, *sys.argv[7:]]
import encodings.idna, stringprep, multiprocessing, concurrent.futures.thread
import cell_environments
from cell_environments import FetchedPip
from ppp.check.sandbox import bubblewrap
from ppp.check.sandbox.inside import keeper_package, program_source
from ppp.model.matrix import Environment, Platform
environment = Environment(id="host", python=version, platform=Platform.HOST)
cell_environments.host_environment = lambda: environment
from runtimes import OTHER, RuntimeKind, run_python, running_runtime
keeper_package(), [program_source(name) for name in ("probe", "preinstalled", "startup", "importer")]
OTHER.build()

os.setgroups([])
os.setresgid(int(user), int(user), int(user))
os.setresuid(int(user), int(user), int(user))
os.environ.update(HOME=folder, TMPDIR=folder, PATH="/usr/local/bin:/usr/bin:/bin:/usr/sbin")
# It runs our own small programs.
sys.executable, tempfile.tempdir = executable, folder
try:
    bubblewrap.find_bubblewrap(os.environ)
except bubblewrap.BubblewrapError as error:
    print(json.dumps({"reason": str(error)}))
    raise SystemExit

found = {}
pinned_pip = FetchedPip(wheel=Path(), folder=Path(pip))
with running_runtime(RuntimeKind.BUBBLEWRAP, Path(folder), pinned_pip) as place:
    with place.sandbox() as sandbox:
        def say(source):
            done = run_python(sandbox, "import json, os\\n" + source)
            return json.loads(done.output.splitlines()[-1]) if done.ok else done.output
        found["uid"] = say("print(os.getuid())")
        found["status"] = say(STATUS)
        had = sandbox.pip(["install", "--no-cache-dir", "other"], timeout_s=30)
        found["installed"] = had.ok or had.output
        found["proved"] = sandbox.prove_import("other", timeout_s=30).import_proved
        found["keeper"] = say(KEEPER)
        found["writable"] = say(WRITABLE)
        found["daemon"] = say("import time\\nif os.fork() == 0:\\n    os.setsid()\\n    time.sleep(60)\\nprint('1')")
        found["processes"] = say("print(len([name for name in os.listdir('/proc') if name.isdigit()]))")
        found["forks"] = say(FORKS)
        found["destroyed"] = say(DESTROYING)
        sandbox.reset()
        found["gone"] = sandbox.prove_import("other", timeout_s=30).import_proved
        found["new"] = sandbox.prove_import("json", timeout_s=30).import_proved
        sandbox.isolate()
        found["isolated"] = sandbox.pip(["install", "--retries", "0", "other"], timeout_s=30).ok
print(json.dumps(found))
"""

STATUS: Final = """
with open('/proc/self/status') as file:
    rows = dict(line.split(':', 1) for line in file)
print(json.dumps({name: row.strip() for name, row in rows.items() if name.startswith(('Cap', 'NoNew'))}))
"""
#: The keeper, the first process, runs as the same user.
KEEPER: Final = """
import ctypes
found = []
for number in (9, 19, 15):
    os.kill(1, number)
for name in ('mem', 'environ', 'maps', 'fd/3'):
    try:
        open('/proc/1/' + name, 'rb').read(1)
        found.append(name)
    except OSError:
        pass
if ctypes.CDLL(None).ptrace(16, 1, None, None) == 0:
    found.append('ptrace')
print(json.dumps(found))
"""
FORKS: Final = """
import time
count = 0
try:
    while count < 500:
        if os.fork() == 0:
            time.sleep(60)
        count += 1
except OSError:
    pass
print(count, flush=True)
"""
#: The cell's user owns all of the environment, and can destroy it.
DESTROYING: Final = """
import sys
os.unlink(sys.executable)
os.symlink('/bin/true', sys.executable)
os.rename('../empty', '../moved')
os.chmod(sys.prefix, 0)
os.mkdir('../used-1')
os.mkdir('../proof')
print('1')
"""


def _interpreter() -> tuple[str, str]:
    """Return the version and the path of a Python that other users may run; skip the test if there is none."""
    environ = {**host_environ(), "PATH": "/usr/local/bin:/usr/bin:/bin", "HOME": "", "PYENV_ROOT": "/nowhere"}
    for version in VERSIONS:
        for path in find_interpreters(version, environ):
            return version, path
    pytest.skip(f"nobody else can run a Python of {', '.join(VERSIONS)} here")


@pytest.fixture(scope="module")
def found(pinned_pip: FetchedPip) -> Mapping[str, Any]:
    if os.geteuid() != 0:
        pytest.skip("only root can become somebody else; all other tests run as an ordinary user then")
    version, python = _interpreter()
    with TemporaryDirectory(prefix="ppp-nobody-", dir="/tmp") as folder:
        pip = Path(folder, "pip")
        shutil.copytree(pinned_pip.folder, pip)
        for path in (Path(folder), *Path(folder).rglob("*")):
            os.chown(path, NOBODY, NOBODY)
        support = str(Path(__file__).parents[1] / "support")
        values = {"STATUS": STATUS, "KEEPER": KEEPER, "WRITABLE": WRITABLE, "FORKS": FORKS, "DESTROYING": DESTROYING}
        setup = "".join(f"{name} = {value!r}\n" for name, value in values.items())
        rest = [folder, str(pip), version, python, str(NOBODY), support, *sys.path[1:]]
        done = subprocess.run(
            [sys.executable, "-c", setup + PROGRAM, *rest],
            capture_output=True,
            text=True,
            check=False,
            timeout=180,
            cwd=Path(__file__).parents[2],
        )
    assert done.returncode == 0, done.stderr
    results: Mapping[str, Any] = json.loads(done.stdout.splitlines()[-1])
    if "reason" in results:
        pytest.skip(results["reason"])
    return results


@pytest.mark.attack("only-gateway")
def test_package_code_has_no_privileges(found: Mapping[str, Any]) -> None:
    status = found["status"]
    assert found["uid"] == NOBODY
    assert status.pop("NoNewPrivs") == "1"
    assert {int(value, 16) for value in status.values()} == {0}, status


def test_pip_installs_and_an_import_is_proved(found: Mapping[str, Any]) -> None:
    assert (found["installed"], found["proved"]) == (True, True)
    assert found["isolated"] is False


@pytest.mark.attack("own-verdict")
def test_the_keeper_of_the_same_user_cannot_be_ended_or_inspected(found: Mapping[str, Any]) -> None:
    assert found["keeper"] == []


@pytest.mark.attack("separate-cells")
def test_only_the_cells_own_folders_are_writable(found: Mapping[str, Any]) -> None:
    own = ("/ppp/work", "/tmp", "/dev/shm", "/dev/mqueue")  # noqa: S108 - inside
    assert [path for path in found["writable"] if not path.startswith(own)] == []


@pytest.mark.attack("separate-cells")
def test_processes_are_limited_and_end_with_their_command(found: Mapping[str, Any]) -> None:
    assert (found["daemon"], found["processes"]) == (1, 2)
    assert 10 < found["forks"] <= 64


@pytest.mark.attack("separate-cells")
def test_a_reset_restores_an_environment_that_was_removed(found: Mapping[str, Any]) -> None:
    assert (found["destroyed"], found["gone"], found["new"]) == (1, False, True)
