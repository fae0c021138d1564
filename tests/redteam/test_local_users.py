"""Another user of the operator's machine, with a shell: what a run keeps among temporary files, and the node's key."""

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest
from local_gateway import gateway_to
from local_index import LocalIndex
from projects import module_project

from ppp.mesh.node import create_key
from ppp.run_folders import RUN_PREFIXES, remove_leftovers, run_folder

OTHER_USER: Final = 65534

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root can act as somebody else")


@pytest.fixture(name="temporary")
def _temporary() -> Iterator[Path]:
    """A folder for temporary files, in which everybody may create some, as in /tmp."""
    with tempfile.TemporaryDirectory(prefix="ppp-t-") as folder:
        Path(folder).chmod(0o1777)
        yield Path(folder)


def as_other_user(program: str, *arguments: object) -> str:
    """Return what a program prints that runs as another user, without any privilege."""
    source = f"import os, socket, sys\nos.setgroups([])\nos.setresgid({OTHER_USER}, {OTHER_USER}, {OTHER_USER})\n"
    source += f"os.setresuid({OTHER_USER}, {OTHER_USER}, {OTHER_USER})\n{program}"
    command = [sys.executable, "-I", "-c", source, *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout


#: Prints what of a folder can be read, written, or connected to.
SEARCH: Final = """
found = []
def attempt(name, act, *arguments):
    try:
        act(*arguments)
        found.append(name)
    except OSError:
        pass
def connect(path):
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(path)
for top in sys.argv[1:]:
    attempt('list ' + top, os.listdir, top)
    attempt('read ' + top, lambda: open(top).read())
    attempt('write ' + top, open, top, 'a')
    attempt('add to ' + top, open, os.path.join(top, 'new'), 'w')
    attempt('replace ' + top, os.rename, top, top + '-old')
    attempt('connect to ' + top, connect, top)
print('\\n'.join(found))
"""


@pytest.mark.attack("credentials")
def test_the_key_is_for_its_owner_only(temporary: Path) -> None:
    (data := temporary / "data").mkdir()
    create_key(data)
    assert f"list {temporary}" in as_other_user(SEARCH, temporary), "it sees what is open to it"
    assert "node.key" not in as_other_user(SEARCH, data / "node.key")


@pytest.mark.attack("separate-cells")
@pytest.mark.parametrize("prefix", RUN_PREFIXES)
def test_nobody_looks_into_the_folders_of_a_run(temporary: Path, prefix: str) -> None:
    with run_folder(prefix, temporary) as folder:
        (folder / "inside").mkdir(mode=0o777)
        (folder / "inside" / "file").write_text("text")
        assert as_other_user(SEARCH, folder, folder / "inside", folder / "inside" / "file").split() == []


@pytest.mark.attack("credentials")
@pytest.mark.nginx
def test_nobody_reads_a_private_index_through_a_gateway(tmp_path: Path) -> None:
    """The gateway sends the operator's credentials to the index, so its sockets are for the operator's cells only."""
    with LocalIndex() as index:
        index.add(module_project("lib", ""))
        with gateway_to(index, tmp_path) as gateway, gateway.cell_socket() as path:
            assert as_other_user(SEARCH, path, path.parent, gateway.socket, gateway.socket.parent).split() == []


@pytest.mark.attack("crash-safe")
@pytest.mark.parametrize("prefix", RUN_PREFIXES)
def test_only_this_users_leftovers_are_removed(temporary: Path, prefix: str) -> None:
    """Whoever may create files among temporary ones must not lead the removal elsewhere."""
    (elsewhere := temporary / "elsewhere").mkdir()
    (elsewhere / "precious").write_text("text")
    others = """
for name, made in (("folder", os.mkdir), ("link", lambda path: os.symlink(sys.argv[2], path))):
    made(sys.argv[1] + name)
os.symlink(sys.argv[2], sys.argv[1] + "folder/link")
os.mkfifo(sys.argv[1] + "pipe")
"""
    as_other_user(others, temporary / prefix, elsewhere)
    (temporary / f"{prefix}own").mkdir()
    (temporary / f"{prefix}own" / "link").symlink_to(elsewhere)
    assert remove_leftovers(parent=temporary) == [temporary / f"{prefix}own"]
    assert (elsewhere / "precious").read_text() == "text"
    assert {path.name for path in temporary.iterdir()} == {
        "elsewhere",
        *(f"{prefix}{name}" for name in ("folder", "link", "pipe")),
    }
