"""What the filter decides, by a small interpreter of such programs that works as the kernel does."""

import errno
import struct
from typing import Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ppp.check.sandbox import seccomp
from ppp.check.sandbox.seccomp import (
    ALLOW,
    ARCHITECTURES,
    KILL,
    NEWEST_CALL,
    NO_SUCH_FAMILY,
    NO_SUCH_PROTOCOL,
    NO_SUCH_TYPE,
    NOT_IMPLEMENTED,
    NOT_PERMITTED,
    PERSONALITIES,
    SOCKET_PROTOCOLS,
    SOCKET_TYPES,
    Architecture,
    filter_program,
)

#: The longest program that the kernel accepts, in instructions.
LONGEST: Final = 4096
SIGCHLD: Final = 17
#: The flags that create a thread: CLONE_VM, CLONE_FS, CLONE_FILES, CLONE_SIGHAND, CLONE_THREAD and more.
THREAD: Final = 0x3D0F00

architectures = pytest.mark.parametrize("architecture", ARCHITECTURES.values(), ids=ARCHITECTURES)


def decided(architecture: Architecture, number: int, *arguments: int, audit: int | None = None) -> int:
    """Run the filter on a system call; a jump past the end is an error."""
    call = struct.pack("<IIQ6Q", number, audit or architecture.audit_number, 0, *arguments, *[0] * (6 - len(arguments)))
    instructions = list(struct.iter_unpack("=HBBI", filter_program(architecture)))
    place, accumulator = 0, 0
    while True:
        code, hit, otherwise, value = instructions[place]
        place += 1
        match code:
            case 0x20:
                (accumulator,) = struct.unpack_from("<I", call, value)
            case 0x06:
                return int(value)
            case 0x54:
                accumulator &= value
            case 0x15:
                place += hit if accumulator == value else otherwise
            case 0x35:
                place += hit if accumulator >= value else otherwise
            case 0x45:
                place += hit if accumulator & value else otherwise
            case _:
                raise AssertionError(f"no such instruction: {code:#x}")


@pytest.mark.attack("only-gateway")
@architectures
def test_denied_calls_are_not_permitted(architecture: Architecture) -> None:
    assert {
        "unshare",
        "setns",
        "mount",
        "ptrace",
        "bpf",
        "keyctl",
        "kexec_load",
        "finit_module",
    } <= architecture.denied.keys()
    for name, number in architecture.denied.items():
        assert decided(architecture, number) == NOT_PERMITTED, name
    assert NOT_PERMITTED & 0xFFFF == errno.EPERM


@architectures
@given(number=st.integers(min_value=0, max_value=NEWEST_CALL), first=st.integers(min_value=0, max_value=2**64 - 1))
def test_everything_else_is_allowed(architecture: Architecture, number: int, first: int) -> None:
    judged = {architecture.clone, architecture.ioctl, architecture.personality, *architecture.sockets}
    known = {*judged, *architecture.denied.values(), *architecture.missing.values()}
    assert (decided(architecture, number, first) == ALLOW) or number in known


@architectures
@given(number=st.integers(min_value=NEWEST_CALL + 1, max_value=0x3FFFFFFF), first=st.integers(0, 2**64 - 1))
def test_a_call_that_nobody_has_judged_is_not_implemented(architecture: Architecture, number: int, first: int) -> None:
    assert decided(architecture, number, first) == NOT_IMPLEMENTED


@architectures
@given(
    family=st.integers(0, 2**32 - 1) | st.sampled_from(list(SOCKET_PROTOCOLS)) | st.integers(0, 46),
    type_=st.sampled_from(range(16)) | st.integers(0, 2**32 - 1),
    protocol=st.integers(0, 300) | st.integers(0, 2**32 - 1),
    unread=st.integers(0, 2**32 - 1),
    pair=st.booleans(),
)
def test_a_socket_is_of_a_known_family_type_and_protocol(
    architecture: Architecture, family: int, type_: int, protocol: int, unread: int, *, pair: bool
) -> None:
    # The kernel ignores the upper halves.
    above = unread << 32
    verdict = decided(architecture, architecture.sockets[pair], above | family, above | type_, above | protocol)
    if type_ % 16 not in SOCKET_TYPES:
        assert verdict == NO_SUCH_TYPE
    elif family not in SOCKET_PROTOCOLS:
        assert verdict == NO_SUCH_FAMILY
    else:
        assert verdict == (ALLOW if protocol in SOCKET_PROTOCOLS[family] else NO_SUCH_PROTOCOL)


@architectures
@pytest.mark.parametrize(
    ("family", "type_", "protocol", "verdict"),
    [
        pytest.param(1, 5 | 0o2000000, 0, ALLOW, id="unix-seqpacket-cloexec"),
        pytest.param(2, 1 | 0o4000, 6, ALLOW, id="tcp-nonblock"),
        pytest.param(10, 2, 17, ALLOW, id="udp6"),
        pytest.param(16, 3, 0, ALLOW, id="netlink-route"),
        pytest.param(16, 3, 12, NO_SUCH_PROTOCOL, id="netlink-netfilter"),
        pytest.param(16, 2, 15, NO_SUCH_PROTOCOL, id="netlink-uevent"),
        pytest.param(2, 5, 132, NO_SUCH_PROTOCOL, id="sctp"),
        pytest.param(2, 10, 0, NO_SUCH_TYPE, id="inet-packet"),
        pytest.param(2, 6, 0, NO_SUCH_TYPE, id="dccp"),
        pytest.param(17, 3, 768, NO_SUCH_FAMILY, id="packet"),
        pytest.param(38, 5, 0, NO_SUCH_FAMILY, id="alg"),
        pytest.param(40, 1, 0, NO_SUCH_FAMILY, id="vsock"),
    ],
)
def test_sockets_by_name(architecture: Architecture, family: int, type_: int, protocol: int, verdict: int) -> None:
    for number in architecture.sockets:
        assert decided(architecture, number, family, type_, protocol) == verdict


@architectures
@given(value=st.integers(0, 2**64 - 1) | st.sampled_from([*PERSONALITIES, 0x40000, 0x0400000]))
def test_a_personality_is_that_of_plain_linux(architecture: Architecture, value: int) -> None:
    allowed = value % 2**32 in PERSONALITIES
    assert decided(architecture, architecture.personality, value) == (ALLOW if allowed else NOT_PERMITTED)


@pytest.mark.attack("only-gateway")
@architectures
@pytest.mark.parametrize("flag", [0x20000, 0x2000000, 0x4000000, 0x8000000, 0x10000000, 0x20000000, 0x40000000])
def test_a_process_can_be_created_but_no_namespace(architecture: Architecture, flag: int) -> None:
    assert decided(architecture, architecture.clone, SIGCHLD) == ALLOW
    assert decided(architecture, architecture.clone, THREAD) == ALLOW
    assert decided(architecture, architecture.clone, flag | SIGCHLD) == NOT_PERMITTED
    # Whatever is in the half that the kernel does not read.
    assert decided(architecture, architecture.clone, 2**40 | flag) == NOT_PERMITTED


@pytest.mark.attack("only-gateway")
@architectures
def test_missing_calls_are_not_implemented(architecture: Architecture) -> None:
    assert architecture.missing.keys() == {"clone3", "io_setup"}
    for name, number in architecture.missing.items():
        assert decided(architecture, number) == NOT_IMPLEMENTED, name
    assert NOT_IMPLEMENTED & 0xFFFF == errno.ENOSYS


@pytest.mark.attack("only-gateway")
@architectures
def test_terminal_input_cannot_be_faked(architecture: Architecture) -> None:
    assert decided(architecture, architecture.ioctl, 0, 0x5412) == NOT_PERMITTED
    assert decided(architecture, architecture.ioctl, 0, 2**32 | 0x5412) == NOT_PERMITTED
    assert decided(architecture, architecture.ioctl, 0, 0x541C) == NOT_PERMITTED
    assert decided(architecture, architecture.ioctl, 0x5412, 0x5413) == ALLOW


@pytest.mark.attack("only-gateway")
@architectures
def test_calls_of_another_architecture_kill_the_process(architecture: Architecture) -> None:
    for audit in {0x40000003, 0x40000028, *(other.audit_number for other in ARCHITECTURES.values())} - {
        architecture.audit_number
    }:
        assert decided(architecture, 39, audit=audit) == KILL


@pytest.mark.attack("only-gateway")
def test_x32_is_another_architecture() -> None:
    assert decided(ARCHITECTURES["x86_64"], 0x40000000 | 39) == KILL


@architectures
def test_it_is_short_enough_for_the_kernel_and_a_pipe(architecture: Architecture) -> None:
    assert len(filter_program(architecture)) % 8 == 0
    assert len(filter_program(architecture)) // 8 <= LONGEST
    assert len(filter_program(architecture)) <= 4096


def test_an_unknown_architecture_has_no_filter(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("platform.machine", lambda: "vax")
    with pytest.raises(LookupError), seccomp.open_filter():
        pass
