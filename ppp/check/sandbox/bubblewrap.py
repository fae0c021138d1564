"""The command line by which bubblewrap confines a cell: an interpreter and the cell's file, read-only, and no network.

If root runs it, the cell belongs to another user; for anybody else it is the same user in a namespace of its own.
Either way it cannot create a further namespace, in which it would be root: see `seccomp`.
"""

import os
import platform
import re
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from ppp.check.sandbox import seccomp
from ppp.check.sandbox.keeper_client import MIB, Layout
from ppp.check.sandbox.users import Accounts
from ppp.model.matrix import Limits

PROBE_TIMEOUT_S: Final = 20
WORK: Final = "/ppp/work"
TMP: Final = "/tmp"  # noqa: S108 - inside
SITE: Final = "/ppp/site"
SHM: Final = "/dev/shm"  # noqa: S108 - inside
#: What an interpreter may need of this machine's files, besides its own folders.
SYSTEM_PATHS: Final = (
    "/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/etc/ld.so.cache", "/etc/alternatives", "/etc/localtime",
    "/etc/mime.types",
)  # fmt: skip
#: The namespaces that a cell has of its own.
NAMESPACES: Final = ("--unshare-ipc", "--unshare-pid", "--unshare-net", "--unshare-uts", "--unshare-cgroup-try")
#: Since this version of Linux, processes are counted by user *and* namespace.
COUNTS_PER_NAMESPACE: Final = (5, 14)


class BubblewrapError(Exception):
    """Bubblewrap is missing or does not work here; the text says why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Mounts:
    """What a cell sees of this machine, read-only: folders of its interpreter, of pip, its file and its sockets.

    `site` is a folder with what its virtual environment starts with; None for nothing.
    """

    folders: Sequence[str]
    pip: Path
    file: Path
    sockets: Path
    site: Path | None = None


def find_bubblewrap(environ: Mapping[str, str]) -> str:
    """Return the path of a bubblewrap that works here; raise `BubblewrapError` if there is none."""
    path = shutil.which("bwrap", path=environ.get("PATH"))
    if path is None:
        raise BubblewrapError("no bubblewrap (bwrap) on this machine")
    try:
        seccomp.this_architecture()
    except LookupError as error:
        raise BubblewrapError(f"the system calls of {platform.machine()} are not known to PPP") from error
    mounts = ["--ro-bind", "/", "/", "--proc", "/proc", "--size", str(MIB), "--tmpfs", TMP]
    with seccomp.open_filter() as filter_fd:
        done = subprocess.run(
            [path, *NAMESPACES, *_privileges(), "--die-with-parent", "--seccomp", str(filter_fd), *mounts, "true"],
            capture_output=True,
            check=False,
            timeout=PROBE_TIMEOUT_S,
            stdin=subprocess.DEVNULL,
            pass_fds=(filter_fd,),
        )
    if done.returncode != 0:
        raise BubblewrapError(f"bubblewrap does not work here: {done.stderr.decode(errors='replace').strip()[-200:]}")
    return path


def layout(
    file: str, *, user: int | None, environ: Mapping[str, str], limits: Limits, site_folders: tuple[str, ...]
) -> Layout:
    """Return the layout of a confined cell that installs `file`, with the limits of each of its processes."""
    counted = user is not None or _kernel_version() >= COUNTS_PER_NAMESPACE
    return Layout(
        work=WORK,
        tmp=TMP,
        pip="/ppp/pip",
        file=f"/ppp/file/{file}",
        control="/ppp/sockets/control",
        gateway="/ppp/sockets/socket",
        user=user,
        counts_oom=False,
        environ=environ,
        rlimits={
            "RLIMIT_DATA": limits.memory_mb * MIB,
            **({"RLIMIT_NPROC": limits.processes} if counted else {}),
        },
        site_folders=site_folders,
    )


def command(path: str, layout: Layout, mounts: Mounts, limits: Limits, *, filter_fd: int) -> list[str]:
    """Return the command line that confines the one appended to it.

    `filter_fd` is a descriptor from which `seccomp`'s filter can be read. Writes files into the folder of sockets.
    """
    _write_user_files(mounts.sockets, layout.user)
    size = str(limits.disk_mb * MIB)
    seen = [*((folder, folder) for folder in (*SYSTEM_PATHS, *mounts.folders)), *_own_binds(mounts)]
    # Parents that bubblewrap creates by itself can be entered by root only.
    parents = sorted({str(parent) for _, place in seen for parent in Path(place).parents} - {"/"})
    return [
        path,
        *NAMESPACES,
        *_privileges(),
        "--die-with-parent",
        "--as-pid-1",
        *("--seccomp", str(filter_fd)),
        *("--hostname", "cell"),
        *("--dev", "/dev"),
        *("--size", size, "--perms", "1777", "--tmpfs", SHM),
        *("--remount-ro", "/dev"),
        *("--proc", "/proc"),
        *(word for parent in parents for word in ("--perms", "0755", "--dir", parent)),
        *("--size", size, "--perms", "0755", "--tmpfs", WORK),
        *("--size", size, "--perms", "1777", "--tmpfs", TMP),
        *(word for source, place in seen for word in ("--ro-bind-try", source, place)),
        # Last the root itself, a file system in memory where bubblewrap created all these mount points.
        *("--remount-ro", "/"),
        *("--chdir", "/"),
    ]


def _own_binds(mounts: Mounts) -> list[tuple[str, str]]:
    return [
        (str(mounts.pip), "/ppp/pip"),
        (str(mounts.file), "/ppp/file"),
        (str(mounts.sockets), "/ppp/sockets"),
        *([(str(mounts.site), SITE)] if mounts.site else []),
        *((str(mounts.sockets / name), f"/etc/{name}") for name in ("passwd", "group", "hosts")),
    ]


def _privileges() -> list[str]:
    if os.geteuid() != 0:
        return ["--unshare-user"]
    kept = ("CAP_SETUID", "CAP_SETGID", "CAP_SETPCAP")
    return ["--cap-drop", "ALL", *(word for name in kept for word in ("--cap-add", name))]


def _write_user_files(folder: Path, user: int | None) -> None:
    """Write `passwd`, `group` and `hosts` for inside, where nothing of this machine's users can be seen."""
    number, group = (user, user) if user is not None else (os.geteuid(), os.getegid())
    root = "root:x:0:0::/:/bin/sh\n" if user is not None else ""
    Accounts(passwd=f"{root}nobody:x:{number}:{group}::{WORK}/scratch:/bin/sh\n", group=f"nobody:x:{group}:\n").write(
        folder
    )
    (folder / "hosts").write_text("127.0.0.1 localhost\n", "utf-8")
    (folder / "hosts").chmod(0o644)


def _kernel_version() -> tuple[int, ...]:
    return tuple(map(int, re.findall(r"\d+", platform.release())[:2]))
