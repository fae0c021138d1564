"""The challenge that proves an import: who is asked, and what counts as a response."""

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Final

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ppp.check.sandbox.inside import importer
from ppp.check.sandbox.inside.proof import RESPONSE_KEY, Proof

WATCHED: Final = ["pip", "pkg_resources"]


@pytest.fixture
def proof(tmp_path: Path) -> Iterator[Proof]:
    with closing(Proof(str(tmp_path / "proof"), WATCHED)) as made:
        yield made


def connected(proof: Proof, *, pid: int | None = None) -> socket.socket:
    """Connect as this process, while the keeper expects `pid`."""
    there = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    there.settimeout(5)
    there.connect(proof.path)
    proof.accept_from(os.getpid() if pid is None else pid)
    return there


def response_to(challenge: bytes) -> bytes:
    return bytes(a ^ b for a, b in zip(challenge, RESPONSE_KEY, strict=True))


def test_the_started_process_proves_it_with_the_right_response(proof: Proof) -> None:
    with closing(connected(proof)) as there:
        there.send(response_to(there.recv(64)))
        proof.read_response()
    assert proof.given is True


def test_after_the_proof_the_process_names_what_it_loaded_of_what_is_watched(proof: Proof) -> None:
    with closing(connected(proof)) as there:
        there.send(response_to(there.recv(64)))
        there.send(b"other,pkg_resources," + b"x" * 70_000)
        proof.read_response()
    assert (proof.given, proof.loaded) == (True, ["pkg_resources"])


@pytest.mark.attack("own-verdict")
@pytest.mark.parametrize("message", [None, b"", b"\xff\x00,", b"pip " * 9])
def test_whatever_it_names_is_no_part_of_the_proof(proof: Proof, message: bytes | None) -> None:
    with closing(connected(proof)) as there:
        there.send(response_to(there.recv(64)))
        if message is not None:
            there.send(message)
        proof.read_response()
    assert (proof.given, proof.loaded) == (True, [])


def test_both_sides_have_the_same_key() -> None:
    assert importer.RESPONSE_KEY == RESPONSE_KEY
    assert len(RESPONSE_KEY) == 32


@pytest.mark.attack("own-verdict")
def test_another_process_gets_no_challenge(proof: Proof) -> None:
    with closing(connected(proof, pid=os.getpid() + 1)) as there:
        assert there.recv(64) == b""
    proof.read_response()
    assert proof.given is False


@pytest.mark.attack("own-verdict")
def test_a_child_process_gets_no_challenge(proof: Proof) -> None:
    child = (
        "import socket, sys; s = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET); s.connect(sys.argv[1]);"
        "print(len(s.recv(64)))"
    )
    with subprocess.Popen([sys.executable, "-c", child, proof.path], stdout=subprocess.PIPE) as process:
        while proof.listening and process.poll() is None:
            proof.accept_from(os.getpid())
        assert process.stdout is not None
        assert process.stdout.read() == b"0\n"
    assert proof.connection is None


@pytest.mark.attack("own-verdict")
@given(responses=st.lists(st.binary(max_size=64), max_size=3))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_no_other_response_is_a_proof(tmp_path: Path, responses: list[bytes]) -> None:
    with closing(Proof(str(tmp_path / "another"), WATCHED)) as proof, closing(connected(proof)) as there:
        challenge = there.recv(64)
        for data in [*responses, challenge, RESPONSE_KEY, response_to(challenge)[:-1]]:
            there.send(data)
            proof.read_response()
            assert proof.given is False


@pytest.mark.attack("own-verdict")
def test_a_second_connection_gets_no_challenge(proof: Proof) -> None:
    with closing(connected(proof)) as first, closing(connected(proof)) as second:
        assert len(first.recv(64)) == 32
        assert second.recv(64) == b""


def test_a_proof_whose_socket_was_removed_can_be_closed(tmp_path: Path) -> None:
    with closing(Proof(str(tmp_path / "proof"), WATCHED)):
        (tmp_path / "proof").unlink()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.attack("own-verdict")
def test_every_challenge_is_different(tmp_path: Path) -> None:
    with closing(Proof(str(tmp_path / "1"), WATCHED)) as one, closing(Proof(str(tmp_path / "2"), WATCHED)) as two:
        assert one.challenge != two.challenge
