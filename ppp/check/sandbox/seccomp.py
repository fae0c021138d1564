"""The system calls that a cell under bubblewrap may not make: a seccomp filter, as a program of classic BPF.

It denies what container engines deny, and tracing as well: no package needs it to be installed or imported, and it is a
way out of sandboxes. A denied call fails as not permitted; calls of another architecture kill the process.
"""

import errno
import os
import platform
import struct
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

_LOAD, _IF_EQUAL, _IF_AT_LEAST, _IF_ANY_BIT, _RETURN = 0x20, 0x15, 0x35, 0x45, 0x06
ALLOW: Final = 0x7FFF0000
KILL: Final = 0x80000000
_ERRNO: Final = 0x00050000
NOT_PERMITTED: Final = _ERRNO | errno.EPERM
#: For `clone3`, whose flags are in memory, where a filter cannot see them: C libraries then fall back to `clone`.
NOT_IMPLEMENTED: Final = _ERRNO | errno.ENOSYS
#: Offsets in what the kernel shows to a filter: the call's number, the architecture, the lower halves of arguments.
_NUMBER, _MACHINE, _ARGUMENTS = 0, 4, (16, 24)
#: All flags of `clone` that create a namespace.
NEW_NAMESPACES: Final = 0x7E020000
#: Requests that put text into a terminal's input, as if somebody had typed it: TIOCSTI and TIOCLINUX.
TERMINAL_INPUT_REQUESTS: Final = (0x5412, 0x541C)
CLONE3: Final = 435


@dataclass(frozen=True, slots=True, kw_only=True)
class Architecture:
    """An architecture's number in the kernel, and its numbers of system calls.

    From `foreign_from` on, numbers belong to another architecture.
    """

    audit_number: int
    clone: int
    ioctl: int
    foreign_from: int | None
    denied: Mapping[str, int]


#: The same on every architecture.
_SHARED: Final = {
    "io_uring_setup": 425, "io_uring_enter": 426, "io_uring_register": 427, "open_tree": 428, "move_mount": 429,
    "fsopen": 430, "fsconfig": 431, "fsmount": 432, "fspick": 433, "pidfd_getfd": 438, "mount_setattr": 442,
    "quotactl_fd": 443,
}  # fmt: skip
ARCHITECTURES: Final[Mapping[str, Architecture]] = {
    "x86_64": Architecture(
        audit_number=0xC000003E,
        clone=56,
        ioctl=16,
        foreign_from=0x40000000,
        denied=_SHARED | {
            "ptrace": 101, "syslog": 103, "personality": 135, "modify_ldt": 154, "pivot_root": 155, "_sysctl": 156,
            "adjtimex": 159, "chroot": 161, "acct": 163, "settimeofday": 164, "mount": 165, "umount2": 166,
            "swapon": 167, "swapoff": 168, "reboot": 169, "sethostname": 170, "setdomainname": 171, "iopl": 172,
            "ioperm": 173, "create_module": 174, "init_module": 175, "delete_module": 176, "quotactl": 179,
            "lookup_dcookie": 212, "clock_settime": 227, "kexec_load": 246, "add_key": 248, "request_key": 249,
            "keyctl": 250, "unshare": 272, "perf_event_open": 298, "name_to_handle_at": 303,
            "open_by_handle_at": 304, "clock_adjtime": 305, "setns": 308, "process_vm_readv": 310,
            "process_vm_writev": 311, "kcmp": 312, "finit_module": 313, "kexec_file_load": 320, "bpf": 321,
            "userfaultfd": 323,
        },
    ),
    "aarch64": Architecture(
        audit_number=0xC00000B7,
        clone=220,
        ioctl=29,
        foreign_from=None,
        denied=_SHARED | {
            "lookup_dcookie": 18, "umount2": 39, "mount": 40, "pivot_root": 41, "chroot": 51, "quotactl": 60,
            "acct": 89, "personality": 92, "unshare": 97, "kexec_load": 104, "init_module": 105,
            "delete_module": 106, "clock_settime": 112, "syslog": 116, "ptrace": 117, "reboot": 142,
            "sethostname": 161, "setdomainname": 162, "settimeofday": 170, "adjtimex": 171, "add_key": 217,
            "request_key": 218, "keyctl": 219, "swapon": 224, "swapoff": 225, "perf_event_open": 241,
            "name_to_handle_at": 264, "open_by_handle_at": 265, "clock_adjtime": 266, "setns": 268,
            "process_vm_readv": 270, "process_vm_writev": 271, "kcmp": 272, "finit_module": 273, "bpf": 280,
            "userfaultfd": 282, "kexec_file_load": 294,
        },
    ),
}  # fmt: skip


def filter_program(architecture: Architecture) -> bytes:
    """Return the filter for an architecture: instructions of classic BPF, of 8 bytes each."""
    instructions = [
        _load(_MACHINE),
        *_unless(_IF_EQUAL, architecture.audit_number, _return(KILL)),
        _load(_NUMBER),
        *(_when(_IF_AT_LEAST, architecture.foreign_from, _return(KILL)) if architecture.foreign_from else ()),
        *(step for number in sorted(architecture.denied.values()) for step in _when(_IF_EQUAL, number, NO)),
        *_when(_IF_EQUAL, CLONE3, _return(NOT_IMPLEMENTED)),
        *_when(_IF_EQUAL, architecture.clone, _load(_ARGUMENTS[0]), *_when(_IF_ANY_BIT, NEW_NAMESPACES, NO), YES),
        *_when(
            _IF_EQUAL,
            architecture.ioctl,
            _load(_ARGUMENTS[1]),
            *(step for request in TERMINAL_INPUT_REQUESTS for step in _when(_IF_EQUAL, request, NO)),
            YES,
        ),
        YES,
    ]
    return b"".join(instructions)


def _load(offset: int) -> bytes:
    return _instruction(_LOAD, offset)


def _return(verdict: int) -> bytes:
    return _instruction(_RETURN, verdict)


def _when(test: int, value: int, *then: bytes) -> tuple[bytes, ...]:
    return _instruction(test, value, otherwise=len(then)), *then


def _unless(test: int, value: int, *then: bytes) -> tuple[bytes, ...]:
    return _instruction(test, value, hit=len(then)), *then


def _instruction(code: int, value: int, *, hit: int = 0, otherwise: int = 0) -> bytes:
    return struct.pack("=HBBI", code, hit, otherwise, value)


YES: Final = _return(ALLOW)
NO: Final = _return(NOT_PERMITTED)


def this_architecture() -> Architecture:
    """Return this machine's architecture; raise `LookupError` if its system calls are not known here."""
    return ARCHITECTURES[platform.machine()]


@contextmanager
def open_filter() -> Iterator[int]:
    """Yield a descriptor from which this machine's filter can be read once."""
    machine = this_architecture()
    reading, writing = os.pipe()
    try:
        with os.fdopen(writing, "wb") as file:
            # It is far shorter than what a pipe can hold, so this does not block.
            file.write(filter_program(machine))
        yield reading
    finally:
        os.close(reading)
