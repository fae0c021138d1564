"""What the filter decides, read by a small machine that runs such programs as the kernel does."""

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
    CLONE3,
    KILL,
    NOT_IMPLEMENTED,
    NOT_PERMITTED,
    Architecture,
    filter_program,
)

#: What the kernel takes at most, in instructions.
LONGEST: Final = 4096
SIGCHLD: Final = 17
#: What a thread is made with: CLONE_VM, CLONE_FS, CLONE_FILES, CLONE_SIGHAND, CLONE_THREAD and more.
THREAD: Final = 0x3D0F00

machines = pytest.mark.parametrize("machine", ARCHITECTURES.values(), ids=ARCHITECTURES)


def decided(machine: Architecture, number: int, *arguments: int, audit: int | None = None) -> int:
    """Run the filter on a call; a step that leads backwards or past the end is an error."""
    call = struct.pack("<IIQ6Q", number, audit or machine.audit_number, 0, *arguments, *[0] * (6 - len(arguments)))
    instructions = list(struct.iter_unpack("=HBBI", filter_program(machine)))
    place, held = 0, 0
    while True:
        code, hit, otherwise, value = instructions[place]
        place += 1
        match code:
            case 0x20:
                (held,) = struct.unpack_from("<I", call, value)
            case 0x06:
                return int(value)
            case 0x15:
                place += hit if held == value else otherwise
            case 0x35:
                place += hit if held >= value else otherwise
            case 0x45:
                place += hit if held & value else otherwise
            case _:
                raise AssertionError(f"no such instruction: {code:#x}")


@machines
def test_what_is_held_back_is_not_permitted(machine: Architecture) -> None:
    assert {
        "unshare",
        "setns",
        "mount",
        "ptrace",
        "bpf",
        "keyctl",
        "kexec_load",
        "finit_module",
    } <= machine.denied.keys()
    for name, number in machine.denied.items():
        assert decided(machine, number) == NOT_PERMITTED, name
    assert NOT_PERMITTED & 0xFFFF == errno.EPERM


@machines
@given(number=st.integers(min_value=0, max_value=600), first=st.integers(min_value=0, max_value=2**64 - 1))
def test_everything_else_is_allowed(machine: Architecture, number: int, first: int) -> None:
    screened = {*machine.denied.values(), machine.clone, machine.ioctl, CLONE3}
    assert (decided(machine, number, first) == ALLOW) or number in screened


@machines
@pytest.mark.parametrize("flag", [0x20000, 0x2000000, 0x4000000, 0x8000000, 0x10000000, 0x20000000, 0x40000000])
def test_a_process_may_be_made_and_a_namespace_not(machine: Architecture, flag: int) -> None:
    assert decided(machine, machine.clone, SIGCHLD) == ALLOW
    assert decided(machine, machine.clone, THREAD) == ALLOW
    assert decided(machine, machine.clone, flag | SIGCHLD) == NOT_PERMITTED
    # Whatever stands in the half that the kernel does not read.
    assert decided(machine, machine.clone, 2**40 | flag) == NOT_PERMITTED


@machines
def test_a_call_whose_flags_no_filter_sees_is_not_there(machine: Architecture) -> None:
    assert decided(machine, CLONE3) == NOT_IMPLEMENTED
    assert NOT_IMPLEMENTED & 0xFFFF == errno.ENOSYS


@machines
def test_nobody_types_for_others(machine: Architecture) -> None:
    assert decided(machine, machine.ioctl, 0, 0x5412) == NOT_PERMITTED
    assert decided(machine, machine.ioctl, 0, 2**32 | 0x5412) == NOT_PERMITTED
    assert decided(machine, machine.ioctl, 0, 0x541C) == NOT_PERMITTED
    assert decided(machine, machine.ioctl, 0x5412, 0x5413) == ALLOW


@machines
def test_another_machines_calls_end_who_makes_them(machine: Architecture) -> None:
    for audit in {0x40000003, 0x40000028, *(other.audit_number for other in ARCHITECTURES.values())} - {
        machine.audit_number
    }:
        assert decided(machine, 39, audit=audit) == KILL


def test_x32_is_another_machine() -> None:
    assert decided(ARCHITECTURES["x86_64"], 0x40000000 | 39) == KILL


@machines
def test_it_is_short_enough_for_the_kernel_and_a_pipe(machine: Architecture) -> None:
    assert len(filter_program(machine)) % 8 == 0
    assert len(filter_program(machine)) // 8 <= LONGEST
    assert len(filter_program(machine)) <= 4096


def test_a_machine_that_is_not_known_has_no_filter(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("platform.machine", lambda: "vax")
    with pytest.raises(LookupError), seccomp.open_filter():
        pass
