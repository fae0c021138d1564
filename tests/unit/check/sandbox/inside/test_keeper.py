"""The keeper's parts, each by itself: what it hears, what it removes, what it knows of processes."""

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from importlib import import_module
from pathlib import Path
from typing import Any, Final

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

# Plain code for any Python, without types.
hearing: Final[Any] = import_module("ppp.check.sandbox.inside.hearing")
processes: Final[Any] = import_module("ppp.check.sandbox.inside.processes")
removing: Final[Any] = import_module("ppp.check.sandbox.inside.removing")
starting: Final[Any] = import_module("ppp.check.sandbox.inside.starting")
TAIL: Final[int] = hearing.TAIL_BYTES


# ---------------------------------------------------------------- outputs


@pytest.mark.parametrize("chunk", [1, 7, 4096, 10**6])
@pytest.mark.parametrize("limit", [0, 100, TAIL, TAIL + 100])
def test_output_within_its_limit_is_kept_whole(chunk: int, limit: int) -> None:
    data = b"0123456789" * (limit // 10)
    output = hearing.Output(limit)
    for start in range(0, len(data), chunk):
        output.feed(data[start : start + chunk])
    assert output.data() == data


@pytest.mark.parametrize("chunk", [1000, 4096, 10**7])
def test_output_is_cut_alike_however_it_comes(chunk: int) -> None:
    data = bytes(range(97, 107)) + b"-" * 500_000 + b"z" * TAIL
    output = hearing.Output(TAIL + 10)
    for start in range(0, len(data), chunk):
        output.feed(data[start : start + chunk])
    assert output.data() == b"abcdefghij\n[500000 bytes of output cut here]\n" + b"z" * TAIL


def test_what_is_still_in_a_pipe_is_taken_and_not_waited_for() -> None:
    reading, writing = os.pipe()
    os.set_blocking(reading, False)
    output = hearing.Output(TAIL)
    try:
        os.write(writing, b"one ")
        assert output.take(reading)
        assert output.take(reading), "there may be more while somebody holds the other end"
        os.write(writing, b"two")
        output.take_rest(reading)
    finally:
        os.close(writing)
    assert output.take(reading) is False
    os.close(reading)
    assert output.data() == b"one two"


# ---------------------------------------------------------------- proofs


@pytest.fixture
def proof(tmp_path: Path) -> Iterator[Any]:
    with closing(hearing.Proof(str(tmp_path / "proof"))) as made:
        yield made


def connected(proof: Any, *, pid: int | None = None) -> socket.socket:
    """Connect as this process, and be taken for one whose number is `pid`."""
    there = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    there.settimeout(5)
    there.connect(proof.path)
    proof.admit(os.getpid() if pid is None else pid)
    return there


def rightly(word: bytes) -> bytes:
    return bytes(a ^ b for a, b in zip(word, hearing.PROOF, strict=True))


def test_who_was_started_and_answers_rightly_has_proved_it(proof: Any) -> None:
    with closing(connected(proof)) as there:
        there.send(rightly(there.recv(64)))
        proof.hear()
    assert proof.given is True


def test_both_sides_know_the_same_proof() -> None:
    assert import_module("ppp.check.sandbox.inside.importing").PROOF == hearing.PROOF
    assert len(hearing.PROOF) == 32


def test_nobody_else_is_told_the_word(proof: Any) -> None:
    with closing(connected(proof, pid=os.getpid() + 1)) as there:
        assert there.recv(64) == b""
    proof.hear()
    assert proof.given is False


def test_a_child_is_somebody_else(proof: Any) -> None:
    child = (
        "import socket, sys; s = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET); s.connect(sys.argv[1]);"
        "print(len(s.recv(64)))"
    )
    with subprocess.Popen([sys.executable, "-c", child, proof.path], stdout=subprocess.PIPE) as process:
        while proof.listening and process.poll() is None:
            proof.admit(os.getpid())
        assert process.stdout is not None
        assert process.stdout.read() == b"0\n"
    assert proof.talk is None


@given(said=st.lists(st.binary(max_size=64), max_size=3))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_no_other_answer_proves_anything(tmp_path: Path, said: list[bytes]) -> None:
    with closing(hearing.Proof(str(tmp_path / "another"))) as proof, closing(connected(proof)) as there:
        word = there.recv(64)
        for data in [*said, word, hearing.PROOF, rightly(word)[:-1]]:
            there.send(data)
            proof.hear()
            assert proof.given is False


def test_a_second_conversation_is_not_held(proof: Any) -> None:
    with closing(connected(proof)) as first, closing(connected(proof)) as second:
        assert len(first.recv(64)) == 32
        assert second.recv(64) == b""


def test_a_proof_whose_socket_was_removed_can_be_closed(tmp_path: Path) -> None:
    with closing(hearing.Proof(str(tmp_path / "proof"))):
        (tmp_path / "proof").unlink()
    assert list(tmp_path.iterdir()) == []


def test_two_words_are_never_the_same(tmp_path: Path) -> None:
    with closing(hearing.Proof(str(tmp_path / "1"))) as one, closing(hearing.Proof(str(tmp_path / "2"))) as two:
        assert one.word != two.word


# ---------------------------------------------------------------- removing


def test_a_folder_is_emptied_however_deep_and_strict_it_is(tmp_path: Path) -> None:
    (kept := tmp_path / "kept").mkdir()
    (kept / "file").write_text("kept")
    (top := tmp_path / "top").mkdir()
    (top / "strict" / "within").mkdir(parents=True)
    (top / "strict" / "within" / "file").touch()
    (top / "link").symlink_to(kept)
    (top / "strict" / "dangling").symlink_to(tmp_path / "gone")
    os.mkfifo(top / "pipe")
    (top / "strict" / "within").chmod(0)
    (top / "strict").chmod(0o500)
    deepest = os.open(top, os.O_RDONLY)
    for _ in range(3000):
        os.mkdir("deeper-and-deeper", dir_fd=deepest)
        below = os.open("deeper-and-deeper", os.O_RDONLY, dir_fd=deepest)
        os.close(deepest)
        deepest = below
    os.close(deepest)
    removing.clear(str(top))
    assert list(top.iterdir()) == []
    assert (kept / "file").read_text() == "kept"


def test_a_link_in_a_folders_place_is_not_followed(tmp_path: Path) -> None:
    (kept := tmp_path / "kept").mkdir()
    (kept / "file").touch()
    (tmp_path / "top").symlink_to(kept)
    removing.clear(str(tmp_path / "top"))
    assert (kept / "file").exists()


def test_what_is_not_there_is_nothing_to_remove(tmp_path: Path) -> None:
    removing.clear(str(tmp_path / "gone"))
    removing.set_aside(str(tmp_path / "gone"), str(tmp_path), ours=True)
    assert list(tmp_path.iterdir()) == []


def test_a_folder_is_set_aside_even_if_it_was_made_read_only(tmp_path: Path) -> None:
    (tmp_path / "env" / "bin").mkdir(parents=True)
    (tmp_path / "env").chmod(0o500)
    (used := tmp_path / "used").mkdir()
    removing.set_aside(str(tmp_path / "env"), str(used), ours=True)
    assert not (tmp_path / "env").exists()
    assert (used / "env" / "bin").is_dir()


# ---------------------------------------------------------------- laying out


@pytest.mark.parametrize("user", [None, 65534])
def test_a_bare_virtual_environment_is_laid_out(tmp_path: Path, user: int | None) -> None:
    settings = {"work": str(tmp_path), "user": user, "python": sys.executable}
    starting.lay_out(settings)
    python = tmp_path / "env" / "bin" / "python"
    told = subprocess.run(
        [
            python,
            "-I",
            "-c",
            "import json, sys; print(json.dumps([sys.prefix, sys.path[-1], sys.prefix != sys.base_prefix]))",
        ],
        capture_output=True,
        text=True,
        check=True,
    )
    prefix, site, is_virtual = json.loads(told.stdout)
    assert (prefix, is_virtual) == (str(tmp_path / "env"), True)
    assert site == str(tmp_path / "env" / "lib" / "python{}.{}".format(*sys.version_info[:2]) / "site-packages")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["empty", "env", "scratch"]
    modes = {path.stat().st_mode & 0o7777 for path in tmp_path.rglob("*") if path.is_dir() and path.name != "own"}
    assert modes == ({0o755} if user is None else {0o1777})
    own = Path(starting.own_python(settings))
    assert own.samefile(sys.executable)
    assert own.parent.stat().st_mode & 0o7777 == 0o755


# ---------------------------------------------------------------- processes


def test_a_process_is_known_whatever_it_calls_itself(tmp_path: Path) -> None:
    (odd := tmp_path / "a) Z 1 (b").symlink_to("/bin/sleep")
    with subprocess.Popen([str(odd), "60"]) as process:
        state, parent = processes.state_and_parent(process.pid) or ("", 0)
        assert (state in {*"RSD"}, parent) == (True, os.getpid())
        assert process.pid in processes.stemming_from(os.getpid())
        process.kill()
    assert process.pid not in processes.stemming_from(os.getpid())
    assert processes.state_and_parent(process.pid) is None


def test_grandchildren_stem_from_a_process_too() -> None:
    with subprocess.Popen(["sh", "-c", "sleep 60 & echo $!; wait"], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        grandchild = int(process.stdout.readline())
        assert {process.pid, grandchild} <= processes.stemming_from(os.getpid())
        assert processes.stemming_from(process.pid) == {grandchild}
        os.kill(grandchild, signal.SIGKILL)


@pytest.mark.parametrize(
    ("ending", "code"),
    [("pass", 9), ("raise SystemExit", 0), ("raise SystemExit(3)", 3), ("raise SystemExit('no')", 1), ("1 / 0", 9)],
)
def test_what_was_forked_never_comes_back(ending: str, code: int) -> None:
    program = (
        "import sys; from ppp.check.sandbox.inside.processes import leaving\n"
        f"with leaving(9):\n    print('said', flush=False)\n    {ending}\nprint('came back')"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (code, "said\n")
