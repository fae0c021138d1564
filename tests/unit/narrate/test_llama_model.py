"""A model that llama.cpp runs: repeatable, confined to what it is offered, and survived whatever its file holds."""

import json
import re
import sys
from pathlib import Path
from random import Random

import pytest
from gguf_models import write_tiny_model

from ppp.narrate.limited_process import FinishedProcess, ProcessLimits, run_limited
from ppp.narrate.llama_model import LlamaModel, ModelNotLoadedError
from ppp.narrate.model import INSTRUCTION, MAX_SEED

TEXTS = ("All is quiet.", "All is well.", "Nothing on.", "Dead air.", "No signal.", "Nothing to add.")
#: Writes a script, and prints how many tokens of each line were evaluated, and how many the script has.
SCRIPT = """
import json, sys
from ppp.narrate.llama_model import LlamaModel
from ppp.narrate.token_choice import choose_text
path, prompt, texts, seed, lines, context_tokens, threads = json.load(sys.stdin)
model, said, counts = LlamaModel(path, context_tokens=context_tokens, threads=threads), [], []
for number in range(lines):
    before = model.evaluated
    said.append(choose_text(model, prompt, texts, seed=seed + number, temperature=0.8))
    prompt += said[-1] + "\\n"
    counts.append(model.evaluated - before)
print(json.dumps({"said": said, "counts": counts, "tokens": len(model.tokenize(prompt))}))
"""


def run(
    model: Path, *, seed: int = 7, lines: int = 6, context_tokens: int = 4096, threads: int = 1, memory_mib: int = 1024
) -> FinishedProcess:
    """Write lines of a script, each one of `TEXTS`, in a process of its own, which may crash."""
    request = json.dumps([str(model), INSTRUCTION, TEXTS, seed, lines, context_tokens, threads])
    limits = ProcessLimits(seconds=60, memory_bytes=memory_mib * 2**20, output_bytes=100_000)
    return run_limited((sys.executable, "-c", SCRIPT), request.encode(), limits)


def write(model: Path, *, seed: int = 7, lines: int = 6, threads: int = 1) -> tuple[str, ...]:
    """Return lines of a script."""
    done = run(model, seed=seed, lines=lines, threads=threads)
    assert done.status == 0, done.stderr
    return tuple(json.loads(done.stdout)["said"])


def last_line(done: FinishedProcess) -> str:
    return done.stderr.decode().strip().splitlines()[-1]


def test_without_llama_cpp_the_reason_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "llama_cpp", None)
    with pytest.raises(ModelNotLoadedError, match=re.escape("install the-pypi-place[voice]")):
        LlamaModel("m.gguf")


@pytest.mark.voice
def test_the_same_seed_gives_the_same_script_and_others_give_others(tiny_model: Path) -> None:
    scripts = [write(tiny_model, seed=seed) for seed in (7, 7, 8, 9, MAX_SEED)]
    assert scripts[0] == scripts[1]
    assert len(set(scripts)) == 4
    assert {line for script in scripts for line in script} <= set(TEXTS)


@pytest.mark.voice
def test_the_number_of_threads_changes_nothing(tiny_model: Path) -> None:
    assert write(tiny_model, lines=3, threads=2) == write(tiny_model, lines=3)


@pytest.mark.voice
def test_a_script_longer_than_the_context_is_written_to_its_end(tmp_path: Path) -> None:
    write_tiny_model(tmp_path / "short.gguf", context_tokens=400)
    assert len(write(tmp_path / "short.gguf", lines=40)) == 40


@pytest.mark.voice
def test_a_context_too_short_for_one_line_is_a_failure(tmp_path: Path) -> None:
    write_tiny_model(tmp_path / "short.gguf", context_tokens=12)
    assert last_line(run(tmp_path / "short.gguf")).endswith(": its context of 12 tokens is too short for one line")


@pytest.mark.voice
def test_the_instruction_is_evaluated_once_and_so_is_each_token_of_the_script(tiny_model: Path) -> None:
    found = json.loads(run(tiny_model, lines=8).stdout)
    # A token of this model is a character.
    assert found["counts"][0] >= len(INSTRUCTION)
    assert max(found["counts"][1:]) <= 2 * max(map(len, TEXTS))
    assert sum(found["counts"]) <= found["tokens"]


@pytest.mark.voice
@pytest.mark.parametrize("part", [4, 8, 4000, -1])
def test_an_incomplete_model_file_is_not_loaded(tiny_model: Path, tmp_path: Path, part: int) -> None:
    (tmp_path / "part.gguf").write_bytes(tiny_model.read_bytes()[:part])
    assert last_line(run(tmp_path / "part.gguf")).endswith("ModelNotLoadedError: llama.cpp cannot load its file")


@pytest.mark.voice
@pytest.mark.parametrize("seed", range(6))
def test_a_damaged_model_file_writes_what_it_was_offered_or_fails(tiny_model: Path, tmp_path: Path, seed: int) -> None:
    random = Random(seed)
    damaged = bytearray(tiny_model.read_bytes())
    # Its first tenth holds the names, numbers and lengths of all that follows.
    for _ in range(8):
        damaged[random.randrange(4, len(damaged) // 10)] = random.randrange(256)
    (tmp_path / "damaged.gguf").write_bytes(damaged)
    done = run(tmp_path / "damaged.gguf", lines=2)
    said = json.loads(done.stdout)["said"] if done.status == 0 else []
    assert set(said) <= set(TEXTS)
    assert (len(said) == 2) == (done.status == 0)


@pytest.mark.voice
def test_a_model_that_needs_more_memory_than_its_limit_fails(tmp_path: Path) -> None:
    write_tiny_model(tmp_path / "tiny.gguf", context_tokens=131_072)
    statuses = [
        run(tmp_path / "tiny.gguf", lines=1, context_tokens=131_072, memory_mib=memory_mib).status
        for memory_mib in (256, 2048)
    ]
    assert statuses[0] not in (0, None)
    assert statuses[1] == 0
