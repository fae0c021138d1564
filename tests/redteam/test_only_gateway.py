"""What package code may ask the kernel for, so that a cell reaches only the gateway, and no way out of its sandbox.

Each attack is one system call, made as package code would make it, with the numbers of this machine. What the filter
decides for any arguments is in `tests/unit/check/sandbox/test_seccomp.py`.
"""

import errno
import json
import platform
import socket
from collections.abc import Iterator
from typing import Any, Final

import pytest
from cell_environments import FetchedPip
from runtimes import CONFINED, RuntimePlace, json_output, running_runtime

from ppp.check.runtime import Sandbox
from ppp.check.sandbox import seccomp

pytestmark = pytest.mark.attack("only-gateway")


@pytest.fixture(scope="module", params=CONFINED)
def running(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, pinned_pip: FetchedPip
) -> Iterator[RuntimePlace]:
    with running_runtime(request.param, tmp_path_factory.mktemp(request.param), pinned_pip) as running:
        yield running


@pytest.fixture(scope="module")
def sandbox(running: RuntimePlace) -> Iterator[Sandbox]:
    with running.sandbox() as sandbox:
        yield sandbox


# ---------------------------------------------------------------- sockets

#: Families of Linux that are none of a cell's business, by their names in <sys/socket.h>.
FAMILIES: Final = {
    "AX25": 3, "IPX": 4, "APPLETALK": 5, "NETROM": 6, "X25": 9, "ROSE": 11, "DECNET": 12, "KEY": 15, "PACKET": 17,
    "ATMSVC": 20, "RDS": 21, "IRDA": 23, "PPPOX": 24, "LLC": 26, "IB": 27, "MPLS": 28, "CAN": 29, "TIPC": 30,
    "BLUETOOTH": 31, "IUCV": 32, "RXRPC": 33, "PHONET": 35, "IEEE802154": 36, "CAIF": 37, "ALG": 38, "NFC": 39,
    "VSOCK": 40, "KCM": 41, "QIPCRTR": 42, "SMC": 43, "XDP": 44, "MCTP": 45,
}  # fmt: skip
#: Tries every type and the first protocols of each family; prints the error numbers, and 0 if there was a socket.
SOCKETS: Final = """
import socket
found = {}
for family in FAMILIES:
    numbers = found[family] = set()
    for type_ in range(1, 7):
        for protocol in (0, 1, 2, 3, 6):
            for make in (socket.socket, socket.socketpair):
                try:
                    make(family, type_, protocol)
                    numbers.add(0)
                except OSError as error:
                    numbers.add(error.errno)
print(json.dumps({family: sorted(numbers) for family, numbers in found.items()}))
"""


@pytest.fixture(scope="module")
def refused(sandbox: Sandbox) -> dict[str, list[int]]:
    """What each family answers in a cell, by its number: one program asks for all, as to start it takes the time."""
    found: dict[str, list[int]] = json_output(sandbox, SOCKETS.replace("FAMILIES", str([*FAMILIES.values()])))
    return found


@pytest.mark.parametrize("family", FAMILIES)
def test_a_cell_has_no_socket_of_another_family(refused: dict[str, list[int]], family: str) -> None:
    found = refused[str(FAMILIES[family])]
    assert found
    assert set(found) <= {errno.EAFNOSUPPORT, errno.ESOCKTNOSUPPORT}


#: Protocols of usual families that are none of a cell's business: family, type, protocol.
PROTOCOLS: Final = {
    "sock-diag": (socket.AF_NETLINK, socket.SOCK_RAW, 4),
    "xfrm": (socket.AF_NETLINK, socket.SOCK_RAW, 6),
    "audit": (socket.AF_NETLINK, socket.SOCK_RAW, 9),
    "connector": (socket.AF_NETLINK, socket.SOCK_RAW, 11),
    "netfilter": (socket.AF_NETLINK, socket.SOCK_RAW, 12),
    "uevent": (socket.AF_NETLINK, socket.SOCK_DGRAM, 15),
    "generic": (socket.AF_NETLINK, socket.SOCK_RAW, 16),
    "crypto": (socket.AF_NETLINK, socket.SOCK_RAW, 21),
    "sctp": (socket.AF_INET, socket.SOCK_SEQPACKET, 132),
    "sctp6": (socket.AF_INET6, socket.SOCK_STREAM, 132),
    "mptcp": (socket.AF_INET, socket.SOCK_STREAM, 262),
    "smc": (socket.AF_INET, socket.SOCK_STREAM, 256),
    "l2tp": (socket.AF_INET, socket.SOCK_DGRAM, 115),
    "dccp": (socket.AF_INET, 6, 33),
    "packet": (socket.AF_INET, 10, 0),
    "raw": (socket.AF_INET, socket.SOCK_RAW, 1),
    "raw6": (socket.AF_INET6, socket.SOCK_RAW, 255),
}
#: Asks for a socket of each; prints the error numbers, 0 for one that there was.
PROTOCOL_SOCKETS: Final = """
import socket
found = []
for arguments in PROTOCOLS:
    try:
        socket.socket(*arguments)
        found.append(0)
    except OSError as error:
        found.append(error.errno)
print(json.dumps(found))
"""


@pytest.fixture(scope="module")
def refused_protocols(sandbox: Sandbox) -> dict[str, int]:
    """What each protocol answers in a cell: one program asks for all."""
    numbers = [[int(number) for number in arguments] for arguments in PROTOCOLS.values()]
    found = json_output(sandbox, PROTOCOL_SOCKETS.replace("PROTOCOLS", str(numbers)))
    return dict(zip(PROTOCOLS, found, strict=True))


@pytest.mark.parametrize("name", PROTOCOLS)
def test_a_cell_has_no_socket_of_another_protocol(refused_protocols: dict[str, int], name: str) -> None:
    assert refused_protocols[name] in {errno.EPROTONOSUPPORT, errno.ESOCKTNOSUPPORT, errno.EPERM}


USUAL: Final = """
import socket
for family in (socket.AF_UNIX, socket.AF_INET, socket.AF_INET6):
    for type_ in (socket.SOCK_STREAM, socket.SOCK_DGRAM):
        socket.socket(family, type_ | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK).close()
socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET).close()
for end in (*socket.socketpair(), *socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)):
    end.close()
socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, 0).close()
import asyncio, getpass, multiprocessing.pool, pwd, subprocess
asyncio.run(asyncio.sleep(0))
with multiprocessing.pool.ThreadPool(2) as pool:
    pool.map(abs, range(4))
print(json.dumps([
    socket.getaddrinfo('localhost', 80)[0][4][1], [name for _, name in socket.if_nameindex()].count('lo'),
    getpass.getuser(), pwd.getpwuid(os.getuid()).pw_gid == os.getgid(),
    subprocess.run(['true']).returncode,
]))
"""


def test_what_packages_use_at_their_import_is_there(sandbox: Sandbox) -> None:
    assert json_output(sandbox, USUAL) == [80, 1, "nobody", True, 0]


# ---------------------------------------------------------------- system calls

#: Makes each call in a process of its own, which it may end or change for good; prints [null, 0] for one that it ends.
CALLING: Final = """
import ctypes, mmap
libc = ctypes.CDLL(None, use_errno=True)

def answer(number, texts):
    memory = mmap.mmap(-1, 65536)
    address = ctypes.addressof(ctypes.c_char.from_buffer(memory))
    names = {'address': address, 'own': os.getpid()}
    arguments = [ctypes.c_long(eval(text, names)) for text in texts]
    result = libc.syscall(ctypes.c_long(number), *arguments)
    return json.dumps([result, ctypes.get_errno()])

answers = []
for number, texts in CALLS:
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        os.write(writer, answer(number, texts).encode())
        os._exit(0)
    os.close(writer)
    with open(reader) as file:
        answers.append(json.loads(file.read() or '[null, 0]'))
    os.waitpid(child, 0)
print(json.dumps(answers))
"""
#: Calls that the kernel grants to every user, or did in some version, with arguments that are valid where that matters.
CALLS: Final = {
    "io_uring_setup": ("8", "address"),
    "io_uring_enter": ("-1", "1", "0", "0"),
    "io_uring_register": ("-1", "0", "0", "0"),
    "ptrace": ("0", "0", "0", "0"),
    "process_vm_readv": ("own", "address", "1", "address", "1", "0"),
    "process_vm_writev": ("own", "address", "1", "address", "1", "0"),
    "pidfd_getfd": ("-1", "0", "0"),
    "kcmp": ("own", "own", "0", "0", "1"),
    "keyctl": ("0", "-3", "1"),
    "add_key": ("address", "address", "0", "0", "-2"),
    "request_key": ("address", "address", "0", "-2"),
    "userfaultfd": ("1",),
    "bpf": ("0", "address", "72"),
    "perf_event_open": ("address", "0", "-1", "-1", "0"),
    "unshare": ("0x10000000",),
    "setns": ("-1", "0"),
    "mount": ("address", "address", "address", "0", "0"),
    "umount2": ("address", "0"),
    "pivot_root": ("address", "address"),
    "chroot": ("address",),
    "fsopen": ("address", "0"),
    "open_tree": ("-100", "address", "1"),
    "move_mount": ("-1", "address", "-1", "address", "0"),
    "mount_setattr": ("-1", "address", "0", "address", "32"),
    "name_to_handle_at": ("-100", "address", "address", "address", "0"),
    "open_by_handle_at": ("-1", "address", "0"),
    "fanotify_init": ("0x200", "0"),
    "quotactl": ("0", "address", "0", "address"),
    "syslog": ("3", "address", "64"),
    "sethostname": ("address", "1"),
    "init_module": ("address", "0", "address"),
    "finit_module": ("-1", "address", "0"),
    "kexec_load": ("0", "0", "address", "0"),
    "acct": ("0",),
    "reboot": ("0xfee1dead", "672274793", "0", "0"),
    "swapon": ("address", "0"),
    "settimeofday": ("0", "0"),
    "clock_settime": ("0", "address"),
    "move_pages": ("0", "0", "0", "0", "0", "0"),
    "mbind": ("address", "4096", "0", "0", "0", "0"),
    "lookup_dcookie": ("0", "address", "64"),
}


def call(sandbox: Sandbox, *calls: tuple[int, tuple[str, ...]]) -> Any:
    """Make system calls in a cell, and return the result and the error number of each."""
    return json_output(sandbox, CALLING.replace("CALLS", json.dumps(calls)))


@pytest.fixture(scope="module")
def permitted(sandbox: Sandbox) -> dict[str, Any]:
    """What the kernel answers to each way out in a cell; one program tries all, as to start it takes the time."""
    denied = seccomp.this_architecture().denied
    return dict(zip(CALLS, call(sandbox, *((denied[name], CALLS[name]) for name in CALLS)), strict=True))


def test_a_permitted_call_is_told_apart(sandbox: Sandbox) -> None:
    getpid = {"x86_64": 39, "aarch64": 172}[platform.machine()]
    (one, error), (other, _) = call(sandbox, (getpid, ()), (getpid, ()))
    assert 0 < one != other > 0, "each call has a process of its own"
    assert error == 0


@pytest.mark.parametrize("name", CALLS)
def test_a_way_out_is_not_permitted(permitted: dict[str, Any], name: str) -> None:
    assert permitted[name] == [-1, errno.EPERM]


NAMESPACES: Final = {
    "time": 0x80, "mount": 0x20000, "cgroup": 0x2000000, "uts": 0x4000000, "ipc": 0x8000000, "user": 0x10000000,
    "pid": 0x20000000, "net": 0x40000000,
}  # fmt: skip


@pytest.mark.parametrize("namespace", NAMESPACES)
def test_a_cell_creates_no_namespace(sandbox: Sandbox, namespace: str) -> None:
    architecture, flag = seccomp.this_architecture(), NAMESPACES[namespace]
    calls: list[tuple[int, tuple[str, ...]]] = [
        (architecture.denied["unshare"], (hex(flag),)),
        (architecture.missing["clone3"], ("address", "88")),
    ]
    # Of `clone`, the lowest bits are a signal.
    if flag > 0xFF:
        calls.append((architecture.clone, (hex(flag | NAMESPACES["user"] | 17), "0", "0", "0", "0")))
    unshared, cloned3, *cloned = call(sandbox, *calls)
    assert unshared == [-1, errno.EPERM]
    assert cloned3 == [-1, errno.ENOSYS]
    assert cloned == [[-1, errno.EPERM]] * (len(calls) - 2)


@pytest.mark.attack("separate-cells")
def test_what_is_counted_for_the_whole_machine_is_not_there(sandbox: Sandbox) -> None:
    number = seccomp.this_architecture().missing["io_setup"]
    assert call(sandbox, (number, ("60000", "address"))) == [[-1, errno.ENOSYS]]


def test_a_call_that_is_newer_than_the_filter_is_not_implemented(sandbox: Sandbox) -> None:
    every = f"""
        import ctypes
        libc, found = ctypes.CDLL(None, use_errno=True), set()
        for number in range({seccomp.NEWEST_CALL + 1}, 1024):
            found.add((libc.syscall(ctypes.c_long(number), -1, 0, 0, 0, 0, 0), ctypes.get_errno()))
        print(json.dumps(sorted(found)))
    """
    assert json_output(sandbox, every) == [[-1, errno.ENOSYS]]


def test_what_pip_runs_is_under_the_filter_too(sandbox: Sandbox) -> None:
    backend = (
        "import ctypes, os, socket\n"
        "found = []\n"
        "try:\n"
        "    socket.socket(40, 1)\n"
        "    found.append('vsock')\n"
        "except OSError:\n"
        "    pass\n"
        "if ctypes.CDLL(None).ptrace(0, 0, 0, 0) == 0:\n"
        "    found.append('ptrace')\n"
        "raise SystemExit('found ' + repr(found))\n"
    )
    project = 'build-system = {requires = [], build-backend = "b", backend-path = ["."]}'
    json_output(
        sandbox,
        f"open('b.py', 'w').write({backend!r})\nopen('pyproject.toml', 'w').write({project!r})\nprint('null')",
    )
    done = sandbox.pip(["install", "--no-deps", sandbox.scratch], timeout_s=30)
    assert not done.ok
    assert "found []" in done.output


STATUS: Final = """
with open('/proc/self/status') as file:
    rows = dict(line.split(':', 1) for line in file)
print(json.dumps([int(rows['Seccomp']), int(rows['NoNewPrivs'])]))
"""


def test_whatever_runs_in_a_cell_is_filtered_for_good(sandbox: Sandbox) -> None:
    assert json_output(sandbox, STATUS) == [2, 1]


# ---------------------------------------------------------------- files

DEVICES: Final = """
usual = {'null', 'zero', 'full', 'random', 'urandom', 'tty', 'ptmx', 'pts/ptmx', 'console'}
found = []
for folder, _, names in os.walk('/dev'):
    for name in names:
        path = os.path.relpath(os.path.join(folder, name), '/dev')
        try:
            kind = os.stat('/dev/' + path).st_mode & 0o170000
        except OSError:
            continue
        if kind in (0o020000, 0o060000) and path not in usual and not path.startswith('fd/') and path not in (
            'stdin', 'stdout', 'stderr',
        ):
            found.append(path)
print(json.dumps(found))
"""


def test_a_cell_has_no_devices_but_the_usual(sandbox: Sandbox) -> None:
    assert json_output(sandbox, DEVICES) == []


UNIX_SOCKETS: Final = """
import socket, stat
found = []
for folder, folders, names in os.walk('/'):
    folders[:] = [name for name in folders if os.path.join(folder, name) not in ('/proc', '/sys')]
    for name in names:
        path = os.path.join(folder, name)
        try:
            if stat.S_ISSOCK(os.lstat(path).st_mode):
                found.append(path)
        except OSError:
            pass
with open('/proc/net/unix') as file:
    bound = [line.split()[7] for line in file if len(line.split()) == 8][1:]
print(json.dumps([sorted(found), sorted(bound)]))
"""


def test_the_only_sockets_in_sight_are_the_cells_own(running: RuntimePlace, sandbox: Sandbox) -> None:
    found, bound = json_output(sandbox, UNIX_SOCKETS)
    assert found == (["/ppp/sockets/socket"] if running.kind.is_gated else [])
    assert [name for name in bound if name.startswith("@")] == []
