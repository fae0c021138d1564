"""The system calls that a cell may not make: a seccomp filter, as a program of classic BPF, the same in every runtime.

It denies what container engines deny, and tracing and io_uring as well: no package needs them to be installed or
imported, and they are ways out of sandboxes. In containers it is added to the engine's own filter.

- A denied call fails as not permitted; calls of another architecture kill the process.
- Sockets are those of `SOCKET_PROTOCOLS`, which belong to the cell's own network namespace. Others do not (AF_VSOCK
  reaches the hypervisor), or have the kernel load a module. They fail as in a kernel that does not have them.
- The contexts of `io_setup` are counted for the whole machine, so that one cell could use them up.
- Calls that are newer than `NEWEST_CALL` fail as in a kernel that does not have them: nobody has judged them yet.
"""

import errno
import os
import platform
import struct
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

_LOAD, _IF_EQUAL, _IF_AT_LEAST, _IF_ANY_BIT, _AND, _RETURN = 0x20, 0x15, 0x35, 0x45, 0x54, 0x06
ALLOW: Final = 0x7FFF0000
KILL: Final = 0x80000000
_ERRNO: Final = 0x00050000
NOT_PERMITTED: Final = _ERRNO | errno.EPERM
NOT_IMPLEMENTED: Final = _ERRNO | errno.ENOSYS
NO_SUCH_FAMILY: Final = _ERRNO | errno.EAFNOSUPPORT
NO_SUCH_TYPE: Final = _ERRNO | errno.ESOCKTNOSUPPORT
NO_SUCH_PROTOCOL: Final = _ERRNO | errno.EPROTONOSUPPORT
#: Offsets in what the kernel shows to a filter: the call's number, the architecture, the lower halves of arguments.
_NUMBER, _MACHINE, _ARGUMENTS = 0, 4, (16, 24, 32)
#: All flags of `clone` that create a namespace.
NEW_NAMESPACES: Final = 0x7E020000
#: Requests that put text into a terminal's input, as if somebody had typed it: TIOCSTI and TIOCLINUX.
TERMINAL_INPUT_REQUESTS: Final = (0x5412, 0x541C)
#: `mseal`, of Linux 6.10.
NEWEST_CALL: Final = 462
#: What `personality` may be asked for, as in container engines: nothing, plain Linux in its four forms.
PERSONALITIES: Final = (0xFFFFFFFF, 0x0, 0x8, 0x20000, 0x20008)
#: SOCK_STREAM, SOCK_DGRAM, SOCK_RAW (for AF_NETLINK; of AF_INET it needs a capability), SOCK_SEQPACKET. AF_INET with
#: SOCK_PACKET, for one, would be a socket of AF_PACKET.
SOCKET_TYPES: Final = (1, 2, 3, 5)
_SOCKET_TYPE_MASK: Final = 0xF
#: IPPROTO_IP (the usual one of the type), ICMP, TCP, UDP, ICMPV6.
_INTERNET_PROTOCOLS: Final = (0, 1, 6, 17, 58)
#: The protocols of sockets, by family: AF_UNIX, AF_INET, AF_INET6, and AF_NETLINK with NETLINK_ROUTE, by which C
#: libraries list the addresses of this machine. AF_UNIX has one protocol by two names.
SOCKET_PROTOCOLS: Final[Mapping[int, tuple[int, ...]]] = {
    1: (0, 1),
    2: _INTERNET_PROTOCOLS,
    10: _INTERNET_PROTOCOLS,
    16: (0,),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Architecture:
    """An architecture's number in the kernel, and its numbers of system calls.

    `sockets` are `socket` and `socketpair`. Calls that are `missing` fail as in a kernel that does not have them, and
    programs then do without. From `foreign_from` on, numbers belong to another architecture.
    """

    audit_number: int
    clone: int
    ioctl: int
    personality: int
    sockets: tuple[int, int]
    foreign_from: int | None
    denied: Mapping[str, int]
    missing: Mapping[str, int]


#: The same on every architecture.
_SHARED: Final = {
    "io_uring_setup": 425, "io_uring_enter": 426, "io_uring_register": 427, "open_tree": 428, "move_mount": 429,
    "fsopen": 430, "fsconfig": 431, "fsmount": 432, "fspick": 433, "pidfd_getfd": 438, "mount_setattr": 442,
    "quotactl_fd": 443, "set_mempolicy_home_node": 450,
}  # fmt: skip
#: Its flags are in memory, where a filter cannot see them. C libraries fall back to `clone`.
_CLONE3: Final = {"clone3": 435}
ARCHITECTURES: Final[Mapping[str, Architecture]] = {
    "x86_64": Architecture(
        audit_number=0xC000003E,
        clone=56,
        ioctl=16,
        personality=135,
        sockets=(41, 53),
        foreign_from=0x40000000,
        denied=_SHARED | {
            "ptrace": 101, "syslog": 103, "uselib": 134, "ustat": 136, "sysfs": 139, "vhangup": 153,
            "modify_ldt": 154, "pivot_root": 155, "_sysctl": 156, "adjtimex": 159, "chroot": 161, "acct": 163,
            "settimeofday": 164, "mount": 165, "umount2": 166, "swapon": 167, "swapoff": 168, "reboot": 169,
            "sethostname": 170, "setdomainname": 171, "iopl": 172, "ioperm": 173, "create_module": 174,
            "init_module": 175, "delete_module": 176, "get_kernel_syms": 177, "query_module": 178, "quotactl": 179,
            "nfsservctl": 180, "lookup_dcookie": 212, "clock_settime": 227, "mbind": 237, "set_mempolicy": 238,
            "get_mempolicy": 239, "kexec_load": 246, "add_key": 248, "request_key": 249, "keyctl": 250,
            "migrate_pages": 256, "unshare": 272, "move_pages": 279, "perf_event_open": 298, "fanotify_init": 300,
            "fanotify_mark": 301, "name_to_handle_at": 303, "open_by_handle_at": 304, "clock_adjtime": 305,
            "setns": 308, "process_vm_readv": 310, "process_vm_writev": 311, "kcmp": 312, "finit_module": 313,
            "kexec_file_load": 320, "bpf": 321, "userfaultfd": 323,
        },
        missing=_CLONE3 | {"io_setup": 206},
    ),
    "aarch64": Architecture(
        audit_number=0xC00000B7,
        clone=220,
        ioctl=29,
        personality=92,
        sockets=(198, 199),
        foreign_from=None,
        denied=_SHARED | {
            "lookup_dcookie": 18, "umount2": 39, "mount": 40, "pivot_root": 41, "nfsservctl": 42, "chroot": 51,
            "vhangup": 58, "quotactl": 60, "acct": 89, "unshare": 97, "kexec_load": 104, "init_module": 105,
            "delete_module": 106, "clock_settime": 112, "syslog": 116, "ptrace": 117, "reboot": 142,
            "sethostname": 161, "setdomainname": 162, "settimeofday": 170, "adjtimex": 171, "add_key": 217,
            "request_key": 218, "keyctl": 219, "swapon": 224, "swapoff": 225, "mbind": 235, "get_mempolicy": 236,
            "set_mempolicy": 237, "migrate_pages": 238, "move_pages": 239, "perf_event_open": 241,
            "fanotify_init": 262, "fanotify_mark": 263, "name_to_handle_at": 264, "open_by_handle_at": 265,
            "clock_adjtime": 266, "setns": 268, "process_vm_readv": 270, "process_vm_writev": 271, "kcmp": 272,
            "finit_module": 273, "bpf": 280, "userfaultfd": 282, "kexec_file_load": 294,
        },
        missing=_CLONE3 | {"io_setup": 0},
    ),
}  # fmt: skip


def filter_program(architecture: Architecture) -> bytes:
    """Return the filter for an architecture: instructions of classic BPF, of 8 bytes each."""
    instructions = [
        _load(_MACHINE),
        *_unless(_IF_EQUAL, architecture.audit_number, _return(KILL)),
        _load(_NUMBER),
        *(_when(_IF_AT_LEAST, architecture.foreign_from, _return(KILL)) if architecture.foreign_from else ()),
        *_when(_IF_AT_LEAST, NEWEST_CALL + 1, _return(NOT_IMPLEMENTED)),
        *(step for number in sorted(architecture.denied.values()) for step in _when(_IF_EQUAL, number, NO)),
        *(
            step
            for number in sorted(architecture.missing.values())
            for step in _when(_IF_EQUAL, number, _return(NOT_IMPLEMENTED))
        ),
        *(step for number in architecture.sockets for step in _when(_IF_EQUAL, number, *_judge_socket())),
        *_when(_IF_EQUAL, architecture.personality, _load(_ARGUMENTS[0]), *_allow_only(PERSONALITIES, NOT_PERMITTED)),
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


def _judge_socket() -> Iterator[bytes]:
    """Yield the steps that judge a call of `socket` or `socketpair`: by type, then family, then protocol."""
    yield from (_load(_ARGUMENTS[1]), _instruction(_AND, _SOCKET_TYPE_MASK))
    known = [_instruction(_IF_EQUAL, type_, hit=len(SOCKET_TYPES) - place) for place, type_ in enumerate(SOCKET_TYPES)]
    yield from (*known, _return(NO_SUCH_TYPE), _load(_ARGUMENTS[0]))
    for family, protocols in SOCKET_PROTOCOLS.items():
        yield from _when(_IF_EQUAL, family, _load(_ARGUMENTS[2]), *_allow_only(protocols, NO_SUCH_PROTOCOL))
    yield _return(NO_SUCH_FAMILY)


def _allow_only(values: Sequence[int], otherwise: int) -> tuple[bytes, ...]:
    return *(step for value in values for step in _when(_IF_EQUAL, value, YES)), _return(otherwise)


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
