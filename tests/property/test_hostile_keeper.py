"""The host's side of a sandbox, with anything at the other end: a result, or a lost sandbox, and nothing else."""

import json
import socket
import threading
from contextlib import closing, suppress
from typing import Any, Final

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ppp.check.runtime import CommandResult, SandboxLostError
from ppp.check.sandbox.keeper_client import MAX_NUMBER, MAX_OUTPUT_BYTES, KeeperSandbox, Layout

LAYOUT: Final = Layout(
    work="/work",
    tmp="/inside",
    pip="/pip",
    file="/file/lib-1.0.tar.gz",
    control="/control",
    gateway=None,
    user=None,
    counts_oom=False,
)
HEADS: Final = ("exit_code", "duration_ms", "oom", "import_proved", "received_bytes", "waited_ms", "output_bytes")
VALUES: Final = st.recursive(
    st.one_of(
        st.none(),
        st.booleans(),
        st.floats(),
        st.integers(-3, 300),
        st.sampled_from([MAX_NUMBER, MAX_NUMBER + 1, MAX_OUTPUT_BYTES + 1, 2**63, 10**400, -(2**70)]),
        st.text(max_size=20),
    ),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=5), inner, max_size=3)),
    max_leaves=5,
)
VALID: Final = {
    **dict.fromkeys(HEADS, 0),
    "oom": False,
    "import_proved": True,
}


def answer(head: dict[str, Any], output: bytes, noise: bytes) -> bytes:
    return json.dumps(head).encode() + b"\n" + output + noise


ANSWERS: Final = st.one_of(
    st.binary(max_size=300),
    st.builds(
        answer,
        st.dictionaries(st.sampled_from(HEADS), VALUES, max_size=3).map(lambda changes: {**VALID, **changes}),
        st.binary(max_size=300),
        st.binary(max_size=20),
    ),
    st.builds(
        lambda deep, end: deep * 20_000 + end, st.sampled_from([b"[", b'{"a":', b"1", b" "]), st.binary(max_size=5)
    ),
)


@pytest.mark.fuzz
@pytest.mark.attack("own-verdict")
@given(answers=st.lists(ANSWERS, max_size=4), cut=st.booleans())
@settings(max_examples=200)
def test_any_answer_is_a_result_or_a_lost_sandbox(answers: list[bytes], *, cut: bool) -> None:
    ours, theirs = socket.socketpair()

    def send() -> None:
        with suppress(OSError):
            ours.sendall(b'{"ready": true, "output_bytes": 0}\n' + b"".join(answers))
            # Otherwise the host would wait for the rest until its deadline.
            ours.shutdown(socket.SHUT_WR)

    sender = threading.Thread(target=send)
    with closing(ours), closing(theirs):
        sender.start()
        sandbox = KeeperSandbox(theirs, LAYOUT, closed=threading.Event(), disconnect=lambda: None)
        for _ in answers:
            with suppress(SandboxLostError):
                assert_plain(sandbox.prove_import("lib", timeout_s=5))
        if cut:
            with suppress(SandboxLostError):
                sandbox.reset()
        theirs.shutdown(socket.SHUT_RDWR)
    sender.join()


def assert_plain(result: CommandResult) -> None:
    assert type(result.exit_code) is int or result.timed_out
    for number in (result.duration_ms, result.received_bytes, result.waited_ms):
        assert type(number) is int
        assert 0 <= number <= MAX_NUMBER
    assert {type(result.oom), type(result.import_proved)} == {bool}
    assert result.output.isascii() or result.output.encode()
