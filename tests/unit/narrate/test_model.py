"""The model as a writer: offered only what may be said, and if it fails in any way the seeded writer is used."""

import json
import math
from collections.abc import Callable, Sequence
from itertools import pairwise
from pathlib import Path

import pytest

from ppp.model.canonical import sha256_hex
from ppp.narrate.director import Story
from ppp.narrate.facts import Rundown
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


class ByteModel:
    """A model with one token for each byte, which takes the highest one, and notes what it is asked."""

    def __init__(self, *, context_tokens: int = 100_000, logit: Callable[[int], float] = float) -> None:
        self.context_tokens = context_tokens
        self.logit = logit
        self.prompts: list[str] = []
        self.steps: list[int] = []

    def tokenize(self, text: str) -> list[int]:
        return list(text.encode())

    def logits(self, tokens: Sequence[int], wanted: Sequence[int]) -> list[float]:
        prompt, _, _ = bytes(tokens).decode().rpartition("\n")
        if not self.prompts or self.prompts[-1] != f"{prompt}\n":
            self.prompts.append(f"{prompt}\n")
        self.steps.append(len(wanted))
        return [self.logit(token) for token in wanted]


def request_for(stories: tuple[Story, ...], *, seed: int = 3) -> ChoiceRequest:
    return ChoiceRequest(model="m.gguf", seed=seed, temperature=TEMPERATURE, stories=stories)


def test_what_a_model_chose_is_a_true_script(rundown: Rundown) -> None:
    texts = compose(ByteModel(), request_for(rundown.stories))
    assert len(verify_script(texts, rundown.facts, rundown.period)) == len(texts)
    assert follows(texts, rundown.stories)


def test_each_step_sees_all_that_was_said_and_begins_with_the_same_words(rundown: Rundown) -> None:
    model = ByteModel()
    texts = compose(model, request_for(rundown.stories))
    assert all(later.startswith(earlier) for earlier, later in pairwise(model.prompts))
    assert model.prompts[0] == INSTRUCTION
    script = INSTRUCTION + "".join(f"{text}\n" for text in texts)
    assert all(script.startswith(prompt) for prompt in model.prompts)
    assert len(model.prompts) > len(rundown.facts)
    assert max(model.steps) <= MAX_OFFERED


def test_of_a_script_that_is_longer_than_the_context_the_beginning_is_forgotten(rundown: Rundown) -> None:
    model = ByteModel(context_tokens=1_800)
    compose(model, request_for(rundown.stories))
    assert all(prompt.startswith(INSTRUCTION) for prompt in model.prompts)
    forgets = sum(not later.startswith(earlier) for earlier, later in pairwise(model.prompts))
    # Not at every step, so that a model seldom reads anything again.
    assert 0 < forgets < len(model.prompts) / 3


def test_a_model_chooses_the_order_of_equals_and_differs_by_seed(rundown: Rundown) -> None:
    scripts = {compose(ByteModel(), request_for(rundown.stories, seed=seed)) for seed in range(6)}
    assert len(scripts) == 6


@pytest.mark.parametrize("seed", [0, MAX_SEED])
def test_the_least_and_the_greatest_seed_write_a_true_script(rundown: Rundown, seed: int) -> None:
    texts = compose(ByteModel(), request_for(rundown.stories, seed=seed))
    assert follows(texts, rundown.stories)


@pytest.mark.parametrize(
    ("model", "reason"),
    [
        (ByteModel(context_tokens=64), "its context of 64 tokens is too short for one line"),
        (ByteModel(logit=lambda _: math.nan), "its probabilities are not numbers"),
    ],
)
def test_a_model_that_cannot_choose_is_a_failure(rundown: Rundown, model: ByteModel, reason: str) -> None:
    with pytest.raises(ModelFailedError, match=reason):
        compose(model, request_for(rundown.stories))


def test_a_request_survives_its_encoding_with_what_may_be_said_and_no_more(rundown: Rundown) -> None:
    request = request_for(rundown.stories)
    decoded = ChoiceRequest.from_json(json.loads(json.dumps(request.to_json())))
    assert decoded.to_json() == request.to_json()
    assert compose(ByteModel(), decoded) == compose(ByteModel(), request)
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
