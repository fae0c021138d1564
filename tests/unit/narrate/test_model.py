"""The model as a writer: offered only what may be said, and if it fails in any way the seeded writer is used."""

import json
import re
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import pytest

from ppp.model.canonical import sha256_hex
from ppp.narrate.director import Story
from ppp.narrate.facts import Rundown
from ppp.narrate.grammar import grammar_errors
from ppp.narrate.model import (
    INSTRUCTION,
    MAX_OFFERED,
    MAX_SEED,
    TEMPERATURE,
    ChoiceRequest,
    ModelFailedError,
    ModelWriter,
    compose,
    follows,
)
from ppp.narrate.script import SEEDED, SeededWriter
from ppp.narrate.verify import verify_script


def offered(grammar: str) -> list[str]:
    """Return the texts that a grammar admits."""
    return [json.loads(literal) for literal in re.findall(r'"(?:[^"\\]|\\.)+"', grammar)]


class LastSampler:
    """A model that takes the last text of each step, with one token for each byte, and checks what it is asked."""

    def __init__(self, *, context_tokens: int = 100_000, change: Callable[[str], str | None] = str) -> None:
        self.context_tokens = context_tokens
        self.change = change
        self.prompts: list[str] = []
        self.seeds: list[int] = []

    def count_tokens(self, text: str) -> int:
        return len(text.encode())

    def complete(self, prompt: str, *, grammar: str, max_tokens: int, seed: int, temperature: float) -> str | None:
        assert grammar_errors(grammar) == []
        assert temperature == TEMPERATURE
        texts = offered(grammar)
        assert 0 < len(texts) <= MAX_OFFERED
        assert max(map(len, texts)) < max_tokens <= self.context_tokens - self.count_tokens(prompt)
        self.prompts.append(prompt)
        self.seeds.append(seed)
        return self.change(texts[-1])


def request_for(stories: tuple[Story, ...], *, seed: int = 3) -> ChoiceRequest:
    return ChoiceRequest(model="m.gguf", seed=seed, temperature=TEMPERATURE, stories=stories)


def test_what_a_model_chose_is_a_true_script(rundown: Rundown) -> None:
    sampler = LastSampler()
    texts = compose(sampler, request_for(rundown.stories))
    assert len(verify_script(texts, rundown.facts, rundown.period)) == len(texts)
    # A step for each fact, and for each presenter's first and last words.
    assert len(sampler.prompts) == len(rundown.facts) + 4


def test_each_step_sees_all_that_was_said_and_begins_with_the_same_words(rundown: Rundown) -> None:
    sampler = LastSampler()
    texts = compose(sampler, request_for(rundown.stories))
    assert all(later.startswith(earlier) for earlier, later in pairwise(sampler.prompts))
    assert sampler.prompts[0] == INSTRUCTION
    assert sampler.prompts[-1] == INSTRUCTION + "".join(f"{text}\n" for text in texts[:-1])
    assert len(set(sampler.seeds)) == len(sampler.seeds)


def test_of_a_script_that_is_longer_than_the_context_the_beginning_is_forgotten(rundown: Rundown) -> None:
    sampler = LastSampler(context_tokens=1_800)
    compose(sampler, request_for(rundown.stories))
    assert all(prompt.startswith(INSTRUCTION) for prompt in sampler.prompts)
    forgets = sum(not later.startswith(earlier) for earlier, later in pairwise(sampler.prompts))
    # Not at every step, so that a model seldom reads anything again.
    assert 0 < forgets < len(sampler.prompts) / 3


def test_a_model_chooses_the_order_of_equals_and_differs_by_seed(rundown: Rundown) -> None:
    scripts = {compose(LastSampler(), request_for(rundown.stories, seed=seed)) for seed in range(6)}
    assert len(scripts) == 6


def test_the_greatest_seed_stays_in_range(rundown: Rundown) -> None:
    sampler = LastSampler()
    compose(sampler, request_for(rundown.stories, seed=MAX_SEED))
    assert max(sampler.seeds) == MAX_SEED
    assert min(sampler.seeds) == 0


def test_a_context_too_short_for_a_line_is_a_failure(rundown: Rundown) -> None:
    with pytest.raises(ModelFailedError, match="its context of 64 tokens is too short for one line"):
        compose(LastSampler(context_tokens=64), request_for(rundown.stories))


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda _: None, "did not finish"),
        (lambda text: text[:-1], "did not follow its grammar"),
        (lambda text: f"{text}\n{text}", "did not follow its grammar"),
        (lambda _: "All is well.", "did not follow its grammar"),
    ],
)
def test_a_text_that_was_not_offered_is_a_failure(
    rundown: Rundown, change: Callable[[str], str | None], reason: str
) -> None:
    with pytest.raises(ModelFailedError, match=reason):
        compose(LastSampler(change=change), request_for(rundown.stories))


def test_a_request_survives_its_encoding_with_what_may_be_said_and_no_more(rundown: Rundown) -> None:
    request = request_for(rundown.stories)
    decoded = ChoiceRequest.from_json(json.loads(json.dumps(request.to_json())))
    assert decoded.to_json() == request.to_json()
    assert compose(LastSampler(), decoded) == compose(LastSampler(), request)
    assert "SELECT" not in json.dumps(request.to_json())


@pytest.mark.parametrize(
    "stray",
    [
        lambda t: t[:-1],
        lambda t: (*t, t[0]),
        lambda t: (*t[:-1], "All is well."),
        lambda t: (t[1], t[0], *t[2:]),
        lambda t: (*t[:4], t[3], *t[4:]),
        lambda _: (),
    ],
)
def test_only_what_may_be_said_at_each_step_follows(
    rundown: Rundown, stray: Callable[[tuple[str, ...]], tuple[str, ...]]
) -> None:
    texts = SeededWriter().write(rundown.stories, seed=5).texts
    assert follows(texts, rundown.stories)
    assert not follows(stray(texts), rundown.stories)


class Chosen:
    """Replies with the given texts, or fails with the given error."""

    def __init__(self, answer: tuple[str, ...] | str) -> None:
        self.answer = answer

    def choose(self, _: ChoiceRequest) -> tuple[str, ...]:
        if isinstance(self.answer, str):
            raise ModelFailedError(self.answer)
        return self.answer


@pytest.fixture
def stories(rundown: Rundown) -> tuple[Story, ...]:
    return rundown.stories


@pytest.fixture
def model(tmp_path: Path) -> Path:
    path = tmp_path / "a model;\u202e.gguf"
    path.write_bytes(b"GGUF")
    return path


def test_a_model_s_choices_are_a_draft_with_its_name_and_hash(stories: tuple[Story, ...], model: Path) -> None:
    texts = SeededWriter().write(stories, seed=5).texts
    draft = ModelWriter(model, Chosen(texts)).write(stories, seed=1)
    assert draft.texts == texts
    assert draft.writer == f"a_model__.gguf sha256:{sha256_hex(b'GGUF')}"
    assert draft.fallback is None


def test_if_the_model_fails_the_seeded_writer_is_used(stories: tuple[Story, ...], model: Path) -> None:
    draft = ModelWriter(model, Chosen("it had not finished after 900 s")).write(stories, seed=1)
    assert draft.texts == SeededWriter().write(stories, seed=1).texts
    assert (draft.writer, draft.fallback) == (SEEDED, "it had not finished after 900 s")


def test_a_model_that_leaves_its_grammar_is_not_used(stories: tuple[Story, ...], model: Path) -> None:
    texts = SeededWriter().write(stories, seed=5).texts
    draft = ModelWriter(model, Chosen((*texts[:-1], "All is well."))).write(stories, seed=1)
    assert (draft.writer, draft.fallback) == (SEEDED, "it did not follow its grammar")


def test_a_missing_model_file_is_a_failure(stories: tuple[Story, ...], tmp_path: Path) -> None:
    draft = ModelWriter(tmp_path / "gone.gguf", Chosen("unused")).write(stories, seed=1)
    assert (draft.writer, draft.fallback) == (SEEDED, "its file cannot be read: No such file or directory")


@pytest.mark.parametrize(
    ("head", "shown"),
    [(b"", "b''"), (b"PK\x03\x04", "b'PK\\x03\\x04'"), (b"GGU", "b'GGU'"), (b"\x1b[2J\xe2\x80", "b'\\x1b[2J'")],
)
def test_a_file_that_is_no_model_is_never_loaded(
    stories: tuple[Story, ...], tmp_path: Path, head: bytes, shown: str
) -> None:
    (tmp_path / "model.gguf").write_bytes(head)
    draft = ModelWriter(tmp_path / "model.gguf", Chosen("it was loaded")).write(stories, seed=1)
    assert (draft.writer, draft.fallback) == (SEEDED, f"its file is not a GGUF file: it begins with {shown}")
