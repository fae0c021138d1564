"""The README's own steps, in two fresh clones of a repository of this tree: both end on the same bytes.

Cells run on this machine's own Python, and packages come from a local index; only addresses are changed in the steps.
"""

import hashlib
import os
import pty
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, closing, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final

import pytest
from cell_environments import FetchedPip, host_environment, host_python
from local_index import LocalIndex
from program import REMOVED_SETTINGS, wait_until
from projects import module_project

from ppp.ledger.schema import read_ledger
from ppp.mesh.node import load_key
from ppp.mesh.trust import shipped_keys

REPOSITORY: Final = Path(__file__).parents[2]
TIMEOUT_S: Final = 240
PORTS: Final = ("8001", "8002")
SECTION: Final = re.compile(r"^## Run a node\n.*?^```sh\n(.*?)^```$", re.MULTILINE | re.DOTALL)
#: What lies in a tree that is worked in, also if an archive of it has no .gitignore.
NOT_OURS: Final = (
    ".git",
    ".nox",
    ".venv",
    "__pycache__",
    "node-run",
    "dist",
    "data/*",
    "!data/ppp.db",
    "!data/LICENSE",
)
#: What `scripts/nox` compares to tell whether it has to create the node's environment.
STAMPED: Final = ("pyproject.toml", "scripts/requirements-build.txt", "scripts/requirements.txt")

pytestmark = pytest.mark.online


@dataclass(kw_only=True)
class Clone:
    """A clone, with the settings of its commands and what they started."""

    root: Path
    environ: Mapping[str, str]
    stack: ExitStack

    @property
    def current(self) -> bytes:
        return (self.root / "data/public/current.json").read_bytes()

    def run(self, script: str) -> str:
        """Run steps in a shell whose standard input is a terminal, at which a person always answers yes.

        The shell stays until the end of the test, with what runs in its background, as that of a person would.
        """
        ours, theirs = pty.openpty()
        log, done = self.root.with_suffix(".log"), self.root.with_suffix(".done")
        done.unlink(missing_ok=True)
        with log.open("ab") as output:
            start = output.tell()
            process = subprocess.Popen(
                ["bash", "-e", "-c", f"{script}\ntouch '{done}'\nwait"],
                cwd=self.root,
                env=self.environ,
                stdin=theirs,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        os.close(theirs)
        self.stack.callback(os.close, ours)
        self.stack.callback(end_group, process)
        os.write(ours, b"y\n" * 4)
        wait_until(lambda: done.exists() or process.poll() is not None, timeout_s=TIMEOUT_S)
        told = log.read_bytes()[start:].decode("utf-8", "replace")
        assert done.exists(), told
        return told


def end_group(process: "subprocess.Popen[bytes]") -> None:
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait(10)


def make_repository(folder: Path) -> Path:
    """Return a repository of the tree that is tested, which is none itself where it was unpacked from an archive."""
    repository = folder / "repository.git"
    git = ["git", f"--git-dir={repository}", f"--work-tree={REPOSITORY}"]
    subprocess.run([*git, "init", "--quiet", "--initial-branch=main"], check=True, timeout=60)
    (repository / "info" / "exclude").write_text("\n".join(NOT_OURS))
    subprocess.run([*git, "add", "--all", "."], cwd=REPOSITORY, check=True, timeout=60)
    identity = ["-c", "user.name=Somebody", "-c", "user.email=somebody@fork.example", "-c", "commit.gpgsign=false"]
    subprocess.run([*git, *identity, "commit", "--quiet", "--message", "The tree"], check=True, timeout=60)
    return repository


def make_clone(
    folder: Path, name: str, *, environ: Mapping[str, str], stack: ExitStack, repository: Path, nox: Path
) -> Clone:
    """Clone a repository; its commands run by the Python of this test, so that nothing is installed."""
    root = folder / name
    subprocess.run(["git", "clone", "--quiet", str(repository), str(root)], check=True, timeout=60)
    programs = root / ".nox" / "ppp" / "bin"
    programs.mkdir(parents=True)
    if nox.exists():
        (root / ".nox" / "bootstrap").symlink_to(nox)
    program = programs / "ppp"
    program.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m ppp "$@"\n')
    program.chmod(0o755)
    wanted = hashlib.sha256(b"".join((root / each).read_bytes() for each in STAMPED) + repr([]).encode())
    (root / ".nox" / "ppp" / "ppp-stamp").write_text(wanted.hexdigest())
    return Clone(root=root, environ=environ, stack=stack)


@pytest.fixture
def environ(tmp_path: Path, pinned_pip: FetchedPip) -> Iterator[Mapping[str, str]]:
    """Settings with which cells run on this machine, and see two packages."""
    with LocalIndex() as index:
        index.add_pip(pinned_pip.wheel)
        index.add(*(module_project(name, "") for name in ("six", "docopt")))
        ours = {name: value for name, value in os.environ.items() if not name.startswith(REMOVED_SETTINGS)}
        # One Python is enough: cells in others take their time, and show nothing more.
        programs = tmp_path / "bin"
        programs.mkdir()
        python = programs / f"python{host_environment().python}"
        python.write_text(f'#!/bin/sh\nexec "{host_python()}" "$@"\n')
        python.chmod(0o755)
        yield {
            **ours,
            "HOME": str(tmp_path),
            "PATH": f"{programs}:/usr/sbin:/usr/bin:/sbin:/bin",
            "PYENV_ROOT": str(tmp_path),
            # No engine: the environments are those of this machine.
            "DOCKER_HOST": f"unix://{tmp_path}/none.sock",
            "PPP_INDEX_URL": index.url,
            "PPP_NETWORK": "open",
            "PPP_CANARY": "off",
        }


def free_port() -> str:
    with closing(socket.socket()) as probe:
        probe.bind(("127.0.0.1", 0))
        return str(probe.getsockname()[1])


def answers(port: str) -> bool:
    with suppress(OSError), closing(socket.create_connection(("127.0.0.1", int(port)), timeout=1)):
        return True
    return False


def steps(root: Path, ports: Mapping[str, str]) -> dict[str, str]:
    """Return the README's commands by their comments: in which clone they are run."""
    (block,) = SECTION.findall((root / "README.md").read_text("utf-8"))
    for written, real in ports.items():
        block = block.replace(written, real)
    _, *parts = re.split(r"^# (.*)$", block, flags=re.MULTILINE)
    return dict(zip(parts[::2], parts[1::2], strict=True))


def nodes_of_records(data: Path) -> dict[str, int]:
    with closing(read_ledger(data)) as db:
        return dict(db.execute("SELECT node, count(*) FROM records GROUP BY node").fetchall())


def test_two_fresh_clones_that_follow_the_readme_end_on_the_same_bytes(
    tmp_path: Path, environ: Mapping[str, str]
) -> None:
    ports = {port: free_port() for port in PORTS}
    with ExitStack() as stack:
        make = partial(make_clone, tmp_path, environ=environ, stack=stack, repository=make_repository(tmp_path))
        one = make("one", nox=REPOSITORY / ".nox" / "bootstrap")
        other = make("other", nox=one.root / ".nox" / "bootstrap")
        todo = steps(one.root, ports)
        assert list(todo) == ["in one clone", "in the other clone", "in the first clone again", "in both: the same"]
        one.run(todo["in one clone"])
        wait_until(lambda: answers(ports["8001"]))
        told = other.run(todo["in the other clone"])
        assert "[y/N]" in told
        assert "the sets of records differ" in told, "the first one lacks the other's records"
        wait_until(lambda: answers(ports["8002"]))
        assert one.current != other.current
        told = one.run(todo["in the first clone again"])
        assert "the same set of records" in told
        assert "left out" not in told
        assert one.current == other.current
        assert one.run(todo["in both: the same"]) == other.run(todo["in both: the same"])
        held = nodes_of_records(one.root / "data")
        assert len(held) == 3
        assert shipped_keys() < held.keys()

        # A node that begins with nothing gets the founding node's records too, from whoever has them; nobody else's.
        key, others = (load_key(clone.root / "data", None).id for clone in (one, other))
        fresh = tmp_path / "fresh"
        for command in (f"peer add http://127.0.0.1:{ports['8001']}/ --key {key}", "peer sync"):
            told = one.run(f".nox/ppp/bin/ppp {command} --data {fresh}")
        assert nodes_of_records(fresh).keys() == {*shipped_keys(), key}
        assert f"`ppp peer trust {others}` changes that" in told
