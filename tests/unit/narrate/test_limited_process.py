"""Programs run within limits: of time, memory, output, environment, and of what they leave behind."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ppp.narrate.limited_process import FinishedProcess, ProcessLimits, run_limited

MIB = 1024 * 1024


def python(
    code: str,
    *,
    stdin: bytes = b"",
    seconds: float = 30,
    memory_mib: int = 512,
    output_bytes: int = 100_000,
    environ: dict[str, str] | None = None,
) -> FinishedProcess:
    limits = ProcessLimits(seconds=seconds, memory_bytes=memory_mib * MIB, output_bytes=output_bytes)
    given_environ = {"PATH": os.environ["PATH"]} if environ is None else environ
    return run_limited((sys.executable, "-S", "-c", code), stdin, limits, environ=given_environ)


def gone(pid: int) -> bool:
    """Return whether a process ends soon: init must still take leave of it."""
    for _ in range(100):
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return True
        if "\nState:\tZ" in Path(f"/proc/{pid}/status").read_text("utf-8"):
            return True
        time.sleep(0.05)
    return False


def test_a_program_reads_its_input_and_both_its_outputs_are_returned() -> None:
    code = "import sys; print(sys.stdin.read().upper(), end=''); print('aside', file=sys.stderr); sys.exit(7)"
    assert python(code, stdin=b"words") == FinishedProcess(status=7, stdout=b"WORDS", stderr=b"aside\n")


@settings(max_examples=8)
@given(st.binary(max_size=3000))
def test_any_bytes_arrive_and_return_as_they_are(data: bytes) -> None:
    code = "import sys; sys.stdout.buffer.write(sys.stdin.buffer.read())"
    assert python(code, stdin=data).stdout == data


def test_a_program_that_waits_for_ever_is_killed() -> None:
    assert python("import time; time.sleep(600)", seconds=0.2).status is None


def test_a_program_that_ignores_every_signal_is_killed() -> None:
    code = "import signal, time; [signal.signal(n, signal.SIG_IGN) for n in (1, 2, 15)]; time.sleep(600)"
    assert python(code, seconds=0.3).status is None


@pytest.mark.parametrize("ends", ["", "time.sleep(600)"])
def test_what_a_program_started_ends_with_it_and_keeps_nobody_waiting(ends: str) -> None:
    # The child keeps standard output open.
    code = f"import os, time\npid = os.fork()\nif pid == 0: time.sleep(600)\nprint(pid, flush=True)\n{ends}"
    done = python(code, seconds=2)
    assert done.status == (None if ends else 0)
    assert gone(int(done.stdout))


def test_a_program_ends_with_the_process_that_started_it(tmp_path: Path) -> None:
    pid_file = tmp_path / "pid"
    inner = f"import os, time; open({str(pid_file)!r}, 'w').write(str(os.getpid()) + ' '); time.sleep(600)"
    outer = f"""
import sys
from ppp.narrate.limited_process import ProcessLimits, run_limited
limits = ProcessLimits(seconds=600, memory_bytes=2**29, output_bytes=10_000)
run_limited((sys.executable, "-S", "-c", {inner!r}), b"", limits)
"""
    parent = subprocess.Popen((sys.executable, "-c", outer))
    while not (pid_file.exists() and pid_file.read_text().endswith(" ")):
        time.sleep(0.02)
    parent.kill()
    parent.wait()
    assert gone(int(pid_file.read_text()))


def test_a_program_gets_no_more_memory_than_its_limit() -> None:
    done = python("held = bytearray(400 * 2**20)", memory_mib=300)
    assert done.status == 1
    assert b"MemoryError" in done.stderr
    assert python("held = bytearray(200 * 2**20)", memory_mib=300).status == 0


def test_a_mapped_file_is_not_counted_as_memory(tmp_path: Path) -> None:
    with (tmp_path / "weights").open("wb") as file:
        file.truncate(1024 * MIB)
    code = (
        f"import mmap; f = open({str(tmp_path / 'weights')!r}, 'rb');"
        "m = mmap.mmap(f.fileno(), 0, prot=mmap.PROT_READ); print(len(m), m[2**29])"
    )
    assert python(code, memory_mib=300).stdout == b"1073741824 0\n"


@pytest.mark.parametrize("stream", ["stdout", "stderr"])
def test_a_program_that_writes_endlessly_is_kept_to_its_limit(stream: str) -> None:
    code = f"import sys\nwhile True: sys.{stream}.write('x' * 5000)"
    done = python(code, output_bytes=20_000)
    written = done.stdout if stream == "stdout" else done.stderr
    assert len(written) == 20_000
    assert done.status != 0


def test_a_program_cannot_fill_the_disk_with_a_file(tmp_path: Path) -> None:
    done = python(f"open({str(tmp_path / 'big')!r}, 'wb').write(bytes(10**6))", output_bytes=20_000)
    assert done.status == 1
    assert (tmp_path / "big").stat().st_size == 20_000


def test_a_program_leaves_no_core_and_is_the_first_to_be_ended_where_memory_runs_out() -> None:
    code = "import resource; print(resource.getrlimit(resource.RLIMIT_CORE), open('/proc/self/oom_score_adj').read())"
    assert python(code).stdout == b"(0, 0) 1000\n\n"


def test_a_program_learns_no_setting_and_no_secret_of_the_node() -> None:
    secrets = {"PPP_NODE_KEY": "5eed", "GITHUB_TOKEN": "t0ken", "PPP_INDEX_URL": "https://u:p@mirror.example/"}
    done = python("import os; print(sorted(os.environ))", environ={"PATH": "/bin", "LC_ALL": "C", **secrets})
    assert done.stdout == b"['LC_ALL', 'PATH']\n"


def test_a_program_that_does_not_exist() -> None:
    limits = ProcessLimits(seconds=9, memory_bytes=2**29, output_bytes=1000)
    done = run_limited(("/nowhere/program",), b"", limits)
    assert (done.status, done.stderr) == (1, b"/nowhere/program: No such file or directory\n")


def test_what_ignores_the_time_limit_of_its_parent_has_one_of_processor_time() -> None:
    code = "import resource; print(resource.getrlimit(resource.RLIMIT_CPU)[0])"
    assert int(python(code, seconds=5).stdout) == 5 * (os.cpu_count() or 1)
