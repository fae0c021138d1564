"""The model as a writer: its parts fit its context, and if it fails in any way the seeded writer is used."""

import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from ppp.ledger.store import Store
from ppp.model.canonical import sha256_hex
from ppp.narrate.facts import Fact, gather_facts, resolve_period
from ppp.narrate.grammar import grammar_errors
from ppp.narrate.model import (
    TEMPERATURE,
    ChoiceRequest,
    ModelFailedError,
    ModelWriter,
    compose,
)
from ppp.narrate.script import SEEDED, SeededWriter, renderings

LINES = (("Dead air.", "No signal."), ("All quiet.", "Nothing on."), ("Over.", "Out."))


def request_for(lines: tuple[tuple[str, ...], ...] = LINES, *, model: str = "m.gguf", seed: int = 3) -> ChoiceRequest:
    return ChoiceRequest(model=model, seed=seed, temperature=TEMPERATURE, lines=lines)


class FirstSampler:
    """A model that takes the first choice of each line, with one token for each byte, and checks its input."""

    def __init__(self, *, context_tokens: int, finishes: bool = True) -> None:
        self.context_tokens = context_tokens
        self.finishes = finishes
        self.prompts: list[str] = []
        self.seeds: list[int] = []

    def count_tokens(self, text: str) -> int:
        return len(text.encode())

    def complete(self, prompt: str, *, grammar: str, max_tokens: int, seed: int, temperature: float) -> str | None:
        assert grammar_errors(grammar) == []
        assert temperature == TEMPERATURE
        text = "\n".join(re.findall(r'^line[0-9]+ ::= "([^"]*)"', grammar, re.MULTILINE))
        assert len(text) < max_tokens <= self.context_tokens - self.count_tokens(prompt)
        self.prompts.append(prompt)
        self.seeds.append(seed)
        return text if self.finishes else None


def test_lines_that_fit_are_written_in_one_part() -> None:
    sampler = FirstSampler(context_tokens=4096)
    assert compose(sampler, request_for()) == ("Dead air.", "All quiet.", "Over.")
    assert len(sampler.prompts) == 1


def test_lines_that_do_not_fit_are_written_in_parts_with_their_own_seeds() -> None:
    sampler = FirstSampler(context_tokens=26)
    assert compose(sampler, request_for()) == ("Dead air.", "All quiet.", "Over.")
    assert sampler.seeds == [3, 5]


def test_a_later_part_sees_the_lines_before() -> None:
    lines = tuple((f"{number} {'x' * 500}.",) for number in range(12))
    sampler = FirstSampler(context_tokens=4_000)
    compose(sampler, request_for(lines))
    assert "two presenters" in sampler.prompts[0].lower()
    assert re.fullmatch(r"The night bulletin.*\n6 x+\.\n", sampler.prompts[1])


def test_a_context_too_short_for_a_line_is_a_failure() -> None:
    with pytest.raises(ModelFailedError, match="its context of 12 tokens is too short for one line"):
        compose(FirstSampler(context_tokens=12), request_for())


def test_unfinished_text_is_a_failure() -> None:
    with pytest.raises(ModelFailedError, match="did not finish"):
        compose(FirstSampler(context_tokens=4096, finishes=False), request_for())


def test_a_malformed_grammar_never_reaches_the_model() -> None:
    sampler = FirstSampler(context_tokens=4096)
    with pytest.raises(ModelFailedError, match="its grammar is malformed: line 2 is not a rule"):
        compose(sampler, request_for((("\u00e9t\u00e9",),)))
    assert sampler.prompts == []


def test_a_request_survives_its_encoding() -> None:
    request = request_for()
    assert ChoiceRequest.from_json(json.loads(json.dumps(request.to_json()))) == request


class Chosen:
    """Replies with the given texts, or fails with the given error."""

    def __init__(self, answer: tuple[str, ...] | str) -> None:
        self.answer = answer

    def choose(self, _: ChoiceRequest) -> tuple[str, ...]:
        if isinstance(self.answer, str):
            raise ModelFailedError(self.answer)
        return self.answer


@pytest.fixture
def facts(sample: Store) -> tuple[Fact, ...]:
    return gather_facts(sample.db, resolve_period(sample.db, None))


@pytest.fixture
def model(tmp_path: Path) -> Path:
    path = tmp_path / "a model;\u202e.gguf"
    path.write_bytes(b"GGUF")
    return path


def test_a_model_s_choices_are_a_draft_with_its_name_and_hash(facts: tuple[Fact, ...], model: Path) -> None:
    texts = tuple(renderings(fact)[-1] for fact in facts)
    draft = ModelWriter(model, Chosen(texts)).write(facts, seed=1)
    assert draft.texts == texts
    assert draft.writer == f"a_model__.gguf sha256:{sha256_hex(b'GGUF')}"
    assert draft.fallback is None


def test_if_the_model_fails_the_seeded_writer_is_used(facts: tuple[Fact, ...], model: Path) -> None:
    draft = ModelWriter(model, Chosen("it had not finished after 900 s")).write(facts, seed=1)
    assert draft.texts == SeededWriter().write(facts, seed=1).texts
    assert (draft.writer, draft.fallback) == (SEEDED, "it had not finished after 900 s")


@pytest.mark.parametrize("stray", [lambda t: t[:-1], lambda t: (*t, t[0]), lambda t: (*t[:-1], "All is well.")])
def test_a_model_that_leaves_its_grammar_is_not_used(
    facts: tuple[Fact, ...], model: Path, stray: Callable[[tuple[str, ...]], tuple[str, ...]]
) -> None:
    texts = stray(tuple(renderings(fact)[0] for fact in facts))
    draft = ModelWriter(model, Chosen(texts)).write(facts, seed=1)
    assert (draft.writer, draft.fallback) == (SEEDED, "it did not follow its grammar")


def test_a_missing_model_file_is_a_failure(facts: tuple[Fact, ...], tmp_path: Path) -> None:
    texts = tuple(renderings(fact)[0] for fact in facts)
    draft = ModelWriter(tmp_path / "gone.gguf", Chosen(texts)).write(facts, seed=1)
    assert (draft.writer, draft.fallback) == (SEEDED, "its file cannot be read: No such file or directory")


@pytest.mark.parametrize(
    ("head", "shown"),
    [(b"", "b''"), (b"PK\x03\x04", "b'PK\\x03\\x04'"), (b"GGU", "b'GGU'"), (b"\x1b[2J\xe2\x80", "b'\\x1b[2J'")],
)
def test_a_file_that_is_no_model_is_never_loaded(
    facts: tuple[Fact, ...], tmp_path: Path, head: bytes, shown: str
) -> None:
    (tmp_path / "model.gguf").write_bytes(head)
    draft = ModelWriter(tmp_path / "model.gguf", Chosen("it was loaded")).write(facts, seed=1)
    assert (draft.writer, draft.fallback) == (SEEDED, f"its file is not a GGUF file: it begins with {shown}")
