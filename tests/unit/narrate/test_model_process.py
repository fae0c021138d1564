"""The model's process: whatever becomes of it is one reason, within limits."""

import json
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ppp.ledger.store import Store
from ppp.model.model_options import MIB, ModelOptions
from ppp.narrate.episode import format_episode, narrate_with
from ppp.narrate.limited_process import FinishedProcess, ProcessLimits
from ppp.narrate.model import TEMPERATURE, ChoiceRequest, ModelFailedError, ModelWriter
from ppp.narrate.model_process import MAX_REPLY_BYTES, SubprocessChooser, failure_of, read_reply

REQUEST = ChoiceRequest(model="m.gguf", seed=3, temperature=TEMPERATURE, stories=())
LIMITS = ProcessLimits(seconds=900, memory_bytes=2048 * MIB, output_bytes=MAX_REPLY_BYTES)


def python(code: str, *, seconds: float = 30.0, memory_mib: int = 512) -> SubprocessChooser:
    """Return a chooser whose model is a Python program."""
    options = ModelOptions(seconds=seconds, memory_mib=memory_mib)
    return SubprocessChooser(options, command=(sys.executable, "-S", "-c", code))


def test_the_reply_of_a_process_is_used() -> None:
    code = "import json, sys; print(json.dumps({'texts': [json.load(sys.stdin)['model'], 'Out.']}))"
    assert python(code).choose(REQUEST) == ("m.gguf", "Out.")


#: Programs in place of a model, each of which fails in its own way, with the reason that an episode names.
FAULTS = [
    (
        "import os, signal; os.kill(os.getpid(), signal.SIGSEGV)",
        "its process was killed by signal 11 (Segmentation fault)",
    ),
    ("import os; os.abort()", "its process was killed by signal 6 (Aborted)"),
    ("raise SystemExit(3)", "its process ended with status 3: no message"),
    ("raise SystemExit('\x1b[31mred')", "its process ended with status 1: ?[31mred"),
    ("import time; time.sleep(600)", "it did not finish within 1 s (PPP_MODEL_SECONDS)"),
    ("while True: pass", "it did not finish within 1 s (PPP_MODEL_SECONDS)"),
    (
        "held = [bytes([1]) * 2**20 for _ in range(9999)]",
        "it needed more than 256 MiB of memory (PPP_MODEL_MEMORY_MIB)",
    ),
    ("while True: print('all is well ' * 999)", f"it wrote more than {MAX_REPLY_BYTES:,} bytes"),
    ("import sys\nwhile True: sys.stderr.write('a warning ' * 999)", f"it wrote more than {MAX_REPLY_BYTES:,} bytes"),
    ("import os; os.write(1, os.urandom(9999))", "its reply is not JSON"),
    ("print('{\"texts\": []}')", "it did not follow its grammar"),
]


@pytest.mark.parametrize(("code", "reason"), FAULTS, ids=range(len(FAULTS)))
def test_whatever_a_model_does_the_episode_appears_and_says_who_wrote_it_and_why(
    code: str, reason: str, sample: Store, tmp_path: Path
) -> None:
    path = tmp_path / "model.gguf"
    path.write_bytes(b"GGUF")
    options = ModelOptions(seconds=1 if "finish" in reason else 30, memory_mib=256)
    writer = ModelWriter(path, SubprocessChooser(options, command=(sys.executable, "-S", "-c", code)))
    episode = narrate_with(sample, writer, seed=7)
    assert (episode.writer, episode.fallback) == ("seeded", reason)
    assert f"the model did not write: {reason}\n" in format_episode(episode)
    assert sample.db.execute("SELECT writer, fallback FROM episodes").fetchall() == [("seeded", reason)]


@pytest.mark.parametrize(
    ("reply", "reason"),
    [
        (b"", "its reply is not JSON"),
        (b'{"texts": [', "its reply is not JSON"),
        (b"\xff", "its reply is not JSON"),
        (b"[" * 100_000, "its reply is not JSON"),
        (b"[]", "its reply has neither texts nor a failure"),
        (b'{"texts": [1]}', "its reply has neither texts nor a failure"),
        (b'{"texts": {"0": "Over."}}', "its reply has neither texts nor a failure"),
        (b'{"failure": "no luck"}', "no luck"),
        (b'{"failure": "\\u202e\\u001b[31m"}', "??[31m"),
    ],
)
def test_a_reply_that_cannot_be_used(reply: bytes, reason: str) -> None:
    with pytest.raises(ModelFailedError) as failed:
        read_reply(reply)
    assert str(failed.value) == reason


#: JSON that might be mistaken for a reply.
VALUES = st.recursive(
    st.none() | st.text() | st.integers(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["texts", "failure", "x"]), inner),
    max_leaves=8,
)


@settings(max_examples=200)
@given(st.binary(max_size=200) | VALUES.map(lambda value: json.dumps(value).encode()))
def test_any_reply_is_texts_or_a_reason_that_can_be_shown(reply: bytes) -> None:
    reason = ""
    try:
        texts = read_reply(reply)
    except ModelFailedError as failed:
        texts, reason = (), str(failed)
    assert all(isinstance(text, str) for text in texts)
    assert reason.isascii()
    assert "\n" not in reason
    assert len(reason) <= 200


@settings(max_examples=200)
@given(st.none() | st.integers(-64, 255), st.binary(max_size=300), st.binary(max_size=300))
def test_only_a_process_that_ended_well_has_no_problem(status: int | None, stdout: bytes, stderr: bytes) -> None:
    problem = failure_of(FinishedProcess(status=status, stdout=stdout, stderr=stderr), LIMITS)
    assert (problem == "") == (status == 0)
    assert problem.isascii()
    assert problem.isprintable() or not problem
    assert len(problem) < 300


@pytest.mark.parametrize("words", ["terminate called after throwing an instance of 'std::bad_alloc'", "MemoryError"])
def test_a_process_that_got_no_memory_is_known_by_its_words(words: str) -> None:
    done = FinishedProcess(status=-6, stdout=b"", stderr=f"{words}\nand more\n".encode())
    assert failure_of(done, LIMITS) == "it needed more than 2,048 MiB of memory (PPP_MODEL_MEMORY_MIB)"


def sparse_model(path: Path, size: int) -> Path:
    """Write a file that begins like a model and has a size, which takes no room on the disk."""
    with path.open("wb") as file:
        file.write(b"GGUF")
        file.truncate(size)
    return path


@pytest.mark.parametrize(("memory_mib", "available", "shown"), [(1024, 0, "1,024"), (None, 2048, "1,536")])
def test_a_model_larger_than_the_memory_is_not_loaded(
    tmp_path: Path, memory_mib: int | None, available: int, shown: str
) -> None:
    path = sparse_model(tmp_path / "large.gguf", 4096 * MIB)
    chooser = SubprocessChooser(
        ModelOptions(memory_mib=memory_mib), command=("/nowhere/program",), available_bytes=lambda: available * MIB
    )
    with pytest.raises(ModelFailedError) as failed:
        chooser.choose(ChoiceRequest(model=str(path), seed=1, temperature=TEMPERATURE, stories=()))
    assert str(failed.value) == (
        f"its file of 4,096 MiB does not fit its memory of {shown} MiB (PPP_MODEL_MEMORY_MIB, or three quarters of what"
        " is available)"
    )


def test_by_default_a_model_has_three_quarters_of_what_is_available() -> None:
    code = "import json, resource; print(json.dumps({'texts': [str(resource.getrlimit(resource.RLIMIT_DATA)[0])]}))"
    chooser = SubprocessChooser(command=(sys.executable, "-c", code), available_bytes=lambda: 400 * MIB)
    assert chooser.choose(REQUEST) == (str(300 * MIB),)


def test_a_process_that_cannot_start(tmp_path: Path) -> None:
    chooser = SubprocessChooser(command=(str(tmp_path / "nothing"),))
    with pytest.raises(ModelFailedError, match=r"status 1: .*nothing: No such file or directory"):
        chooser.choose(REQUEST)
