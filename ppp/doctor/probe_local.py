"""Probe this machine: file systems, memory, programs and the node's own files. Nothing is written, no lock is taken."""

import errno
import fnmatch
import os
import re
import shutil
import socket
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterable, Mapping, Sequence
from contextlib import closing
from dataclasses import replace
from ipaddress import IPv6Address, IPv6Network
from pathlib import Path
from typing import Final

from ppp.check.sandbox.bubblewrap import BubblewrapError, find_bubblewrap
from ppp.check.sandbox.host import find_interpreters
from ppp.config import Config
from ppp.doctor.machine import (
    BubblewrapFacts,
    FileSystemFacts,
    InterpreterFacts,
    KeyFacts,
    LedgerFacts,
    MemoryFacts,
    ModelFacts,
    SoundFacts,
    YggdrasilFacts,
)
from ppp.ledger.lock import LOCK_NAME
from ppp.ledger.schema import LEDGER_NAME, read_ledger
from ppp.machine_memory import machine_memory
from ppp.mesh.node import KEY_NAME, load_key
from ppp.mesh.yggdrasil import address_mistake, is_new_enough, read_getself
from ppp.model.errors import LedgerBusyError, PPPError, RejectedDataError
from ppp.model.node_seed import NodeSeed
from ppp.runner.render import NoSound, find_studio
from ppp.storage_errors import translate_storage_errors

#: Where distributions keep programs for root; an ordinary user's PATH lacks these.
SBIN_FOLDERS: Final = "/usr/sbin:/usr/local/sbin:/sbin"
PROGRAM_TIMEOUT_S: Final = 8
IMPORT_TIMEOUT_S: Final = 20
#: Less than a writer waits for readers, so that this check cannot make the commit of a running node fail.
INTEGRITY_TIMEOUT_S: Final = 4.0
#: After how many of its own steps SQLite asks whether to continue.
PROGRESS_STEPS: Final = 20_000
YGGDRASIL_RANGE: Final = IPv6Network("200::/7")
#: Kernel settings that can forbid user namespaces: each with the value that forbids and the value that allows them.
_NOT_THERE: Final = frozenset({errno.ENOENT, errno.ENOTDIR, errno.EACCES, errno.ELOOP, errno.ENAMETOOLONG})
#: How much room a folder must have for this user, in bytes: a quota shows only when something is written.
TRIED_BYTES: Final = 16 * 1024 * 1024
_FORBIDDEN: Final = frozenset({errno.EACCES, errno.EPERM, errno.EROFS})
USERNS_SETTINGS: Final = (
    ("kernel.unprivileged_userns_clone", "0", "1"),
    ("user.max_user_namespaces", "0", "15000"),
    ("kernel.apparmor_restrict_unprivileged_userns", "1", "0"),
)


def file_system(folder: Path) -> FileSystemFacts:
    """Examine the file system of a folder, or of its nearest existing parent; raise `OSError` if that fails too."""
    path, dead_link = folder.absolute(), None
    while True:
        try:
            status, space = path.stat(), os.statvfs(path)
            break
        except OSError as error:
            if path == path.parent or error.errno not in _NOT_THERE:
                raise
            dead_link = path if os.path.islink(path) else dead_link  # noqa: PTH114 - which raises for a loop of links
            path = path.parent
    problem = _problem_of_writing(path)
    return FileSystemFacts(
        path=dead_link or path,
        device=status.st_dev,
        is_folder=path.is_dir() and dead_link is None,
        writable=os.access(path, os.W_OK | os.X_OK) and problem not in _FORBIDDEN,
        # What is left of a quota, no file system says.
        free_bytes=0 if problem == errno.EDQUOT else space.f_bavail * space.f_frsize,
        total_bytes=space.f_blocks * space.f_frsize,
        free_inodes=space.f_favail,
        total_inodes=space.f_files,
    )


def _problem_of_writing(folder: Path) -> int | None:
    """Return the number of the error at which writing into a folder fails; None if it does not, or nobody can tell.

    The file has no name, so that nothing is seen of it, and nothing can be left of it.
    """
    try:
        handle = os.open(folder, os.O_TMPFILE | os.O_WRONLY, 0o600)
    except OSError as error:
        return error.errno
    try:
        os.posix_fallocate(handle, 0, TRIED_BYTES)
    except OSError as error:
        return error.errno
    finally:
        os.close(handle)
    return None


def memory(proc: Path = Path("/proc"), cgroups: Path = Path("/sys/fs/cgroup")) -> MemoryFacts:
    """Return the memory that the kernel reports, or the limit of this process's control group if that is less."""
    total, available = machine_memory(proc, cgroups)
    return MemoryFacts(total_bytes=total, available_bytes=available)


def _run(argv: Sequence[str], environ: Mapping[str, str], timeout_s: float = PROGRAM_TIMEOUT_S) -> tuple[bool, str]:
    """Run a program to its end; return whether it succeeded, and its output without surrounding white space."""
    try:
        done = subprocess.run(
            argv,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=timeout_s,
            check=False,
            env=dict(environ),
        )
    except subprocess.TimeoutExpired:
        return False, f"it did not finish within {timeout_s:g} s"
    except OSError as error:
        return False, error.strerror or str(error)
    return done.returncode == 0, done.stdout.decode("utf-8", "replace").strip()


def _last_line(output: str) -> str:
    return (output.splitlines() or [""])[-1][:200]


def bubblewrap(environ: Mapping[str, str], *, proc: Path = Path("/proc")) -> BubblewrapFacts:
    """Look for bwrap, and start an empty sandbox like a cell's."""
    path = shutil.which("bwrap", path=environ.get("PATH", ""))
    if path is None:
        return BubblewrapFacts(path=None)
    detail = ""
    try:
        find_bubblewrap(environ)
    except (BubblewrapError, subprocess.TimeoutExpired) as error:
        detail = " ".join(str(error).split())
    _, version = _run([path, "--version"], environ)
    _, usage = _run([path, "--help"], environ)
    return BubblewrapFacts(
        path=path,
        version=_last_line(version).rpartition(" ")[2],
        works=not detail,
        supports_size="--size" in usage,
        detail=detail,
        sysctl_fixes=tuple(_sysctl_fixes(proc)) if detail else (),
    )


def _sysctl_fixes(proc: Path) -> Iterable[str]:
    for name, forbids, allows in USERNS_SETTINGS:
        setting = proc / "sys" / name.replace(".", "/")
        if setting.exists() and setting.read_text("ascii").strip() == forbids:
            yield f"{name}={allows}"


def python(version: str, environ: Mapping[str, str]) -> InterpreterFacts | None:
    """Look for a Python of a version such as `3.12` that runs and can make virtual environments."""
    program = "import platform, venv; print(platform.python_version())"
    for path in find_interpreters(version, environ):
        succeeded, output = _run([path, "-I", "-c", program], environ)
        if succeeded and fnmatch.fnmatch(output, f"{version}.*"):
            return InterpreterFacts(path=path, version=output)
    return None


def model(path: Path, environ: Mapping[str, str]) -> ModelFacts:
    """Read a file's first bytes; import llama-cpp-python in a separate process, because the import may crash it."""
    try:
        with path.open("rb") as file:
            head, size = file.read(8), os.fstat(file.fileno()).st_size
    except OSError as error:
        return ModelFacts(problem=error.strerror or str(error))
    imported, output = _run([sys.executable, "-c", "import llama_cpp"], environ, IMPORT_TIMEOUT_S)
    return ModelFacts(
        size=size,
        magic=head[:4],
        version=int.from_bytes(head[4:], "little"),
        library_problem="" if imported else _last_line(output) or "its process died",
    )


def sound(config: Config, environ: Mapping[str, str]) -> SoundFacts:
    """Look for the programs that render the sound of episodes, and ask them for their versions."""
    try:
        studio = find_studio(config, environ)
    except PPPError as error:
        # Its advice is for who renders.
        return SoundFacts(problem=error.message)
    if isinstance(studio, NoSound):
        return SoundFacts(missing=str(studio))
    # What follows a version are its voices.
    return SoundFacts(programs=tuple(one.id.partition(" (")[0] for one in (studio.synthesizer, studio.encoder)))


def yggdrasil(
    environ: Mapping[str, str], *, port: int, proc: Path = Path("/proc"), sbin_folders: str = SBIN_FOLDERS
) -> YggdrasilFacts:
    """Look for the daemon and for this machine's addresses in its range; test whether something listens there."""
    addresses = tuple(mesh_addresses((proc / "net/if_inet6").read_text("ascii") if _has_ipv6(proc) else ""))
    path = f"{environ.get('PATH', '')}:{sbin_folders}"
    program, control = shutil.which("yggdrasil", path=path), shutil.which("yggdrasilctl", path=path)
    running = any(_command(process) == "yggdrasil" for process in proc.glob("[0-9]*"))
    return YggdrasilFacts(
        program=program,
        running=running,
        is_old=program is not None and not is_new_enough(_run([program, "-help"], environ)[1]),
        mistake=_address_mistake(control, environ) if running and control else "",
        addresses=addresses,
        listens=any(_listens(address, port) for address in addresses),
    )


def _address_mistake(control: str, environ: Mapping[str, str]) -> str:
    answered, output = _run([control, "-json", "getself"], environ)
    if not answered:
        # Often only root may ask.
        return ""
    try:
        return address_mistake(read_getself(output)) or ""
    except RejectedDataError as error:
        return error.message


def _has_ipv6(proc: Path) -> bool:
    return (proc / "net/if_inet6").exists()


def mesh_addresses(table: str) -> list[str]:
    """Return the addresses in Yggdrasil's range from the kernel's table of this machine's addresses."""
    found = (IPv6Address(int(line.split()[0], 16)) for line in table.splitlines() if line.strip())
    return [str(address) for address in found if address in YGGDRASIL_RANGE]


def _command(process: Path) -> str:
    try:
        return (process / "comm").read_text("utf-8", "replace").strip()
    except OSError:
        # The process has ended.
        return ""


def _listens(address: str, port: int) -> bool:
    try:
        socket.create_connection((address, port), timeout=2).close()
    except OSError:
        return False
    return True


def ledger(data: Path, *, timeout_s: float = INTEGRITY_TIMEOUT_S, locks: Path = Path("/proc/locks")) -> LedgerFacts:
    """Open a ledger for reading only, and let SQLite check it for at most `timeout_s` seconds."""
    path = data / LEDGER_NAME
    if not path.exists():
        return LedgerFacts(path=path, exists=False)
    holder = find_lock_holder(data / LOCK_NAME, locks)
    found = LedgerFacts(path=path, exists=True, size=path.stat().st_size, lock_holder=holder)
    if path.with_name(f"{path.name}-journal").exists():
        # Opening it now would roll the commit back, which is a write.
        return replace(found, has_journal=True)
    try:
        with translate_storage_errors(path), closing(read_ledger(data)) as db:
            (records,) = db.execute("SELECT count(*) FROM records").fetchone()
            return replace(found, records=records, integrity=_integrity(db.conn, timeout_s))
    except LedgerBusyError:
        return replace(found, lock_holder=holder or "unknown")
    except PPPError as error:
        return replace(found, problem=error.message, remedy=error.hint)


def _integrity(connection: sqlite3.Connection, timeout_s: float) -> str:
    deadline = time.monotonic() + timeout_s
    connection.set_progress_handler(lambda: time.monotonic() > deadline, PROGRESS_STEPS)
    try:
        (result,) = connection.execute("PRAGMA quick_check(1)").fetchone()
    except sqlite3.OperationalError as error:
        if error.sqlite_errorcode == sqlite3.SQLITE_INTERRUPT:
            return ""
        raise
    return " ".join(str(result).split())[:200]


def find_lock_holder(path: Path, locks: Path) -> str | None:
    """Return the process that holds a lock file, from the kernel's table; trying the lock could make a run fail."""
    try:
        inode = path.stat().st_ino
        recorded = path.read_text("ascii", "replace").strip()
        table = locks.read_text("ascii")
    except OSError:
        return None
    for pid, number in re.findall(
        r"^\d+: FLOCK +ADVISORY +WRITE (-?\d+) [0-9a-f]+:[0-9a-f]+:(\d+) ", table, re.MULTILINE
    ):
        # The inode number may belong to another file system; a process of another namespace appears as 0 or less.
        if int(number) == inode and (pid == recorded or int(pid) <= 0):
            return recorded or pid
    return None


def key(data: Path, given: NodeSeed | None = None) -> KeyFacts:
    """Examine the node's key: the given one, or that of a data folder."""
    path = data / KEY_NAME
    if given is None and not path.exists():
        return KeyFacts(path=path, exists=False)
    try:
        return KeyFacts(path=path, exists=True, id=load_key(data, given).id, given=given is not None)
    except PPPError as error:
        return KeyFacts(path=path, exists=True, problem=error.message, remedy=error.hint)
