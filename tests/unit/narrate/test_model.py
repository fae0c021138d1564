"""The model as a writer: its parts fit its context, and if it fails in any way the seeded writer is used."""

import json
import os
import re
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from ppp.ledger.store import Store
from ppp.model.canonical import sha256_hex
from ppp.narrate.facts import Fact, gather_facts, resolve_period
from ppp.narrate.grammar import grammar_errors
from ppp.narrate.model import (
    MAX_SEED,
    TEMPERATURE,
    ChoiceRequest,
    LlamaSampler,
    ModelFailedError,
    ModelWriter,
    SubprocessChooser,
    compose,
)
from ppp.narrate.script import SEEDED, SeededWriter, renderings
from ppp.narrate.verify import verify_script

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


def python(code: str, *, timeout_s: float = 30.0) -> SubprocessChooser:
    return SubprocessChooser(timeout_s=timeout_s, command=(sys.executable, "-c", code))


def test_the_reply_of_a_process_is_used() -> None:
    code = "import json, sys; print(json.dumps({'texts': [c[-1] for c in json.load(sys.stdin)['lines']]}))"
    assert python(code).choose(request_for()) == ("No signal.", "Nothing on.", "Out.")


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        ("import os, signal; os.kill(os.getpid(), signal.SIGKILL)", "its process was killed by signal 9 (Killed)"),
        ("raise SystemExit(3)", "its process ended with status 3: no message"),
        ("raise SystemExit('\\x1b[31mred')", "its process ended with status 1: ?[31mred"),
        ("", "its reply is not JSON"),
        ("print('{\"texts\": [')", "its reply is not JSON"),
        ("print('\\xff')", "its reply is not JSON"),
        ("print('[]')", "its reply has neither texts nor a failure"),
        ("print('{\"texts\": [1]}')", "its reply has neither texts nor a failure"),
        ('print(\'{"failure": "no luck"}\')', "no luck"),
    ],
)
def test_the_failure_of_a_process_is_the_reason(code: str, reason: str) -> None:
    with pytest.raises(ModelFailedError) as failed:
        python(code).choose(request_for())
    assert str(failed.value) == reason


def test_a_process_that_hangs_is_killed() -> None:
    with pytest.raises(ModelFailedError, match=r"it did not finish within 0\.2 s"):
        python("import time; time.sleep(60)", timeout_s=0.2).choose(request_for())


def test_a_process_that_cannot_start(tmp_path: Path) -> None:
    chooser = SubprocessChooser(command=(str(tmp_path / "nothing"),))
    with pytest.raises(ModelFailedError, match="its process could not be started: No such file"):
        chooser.choose(request_for())


def test_without_llama_cpp_the_reason_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "llama_cpp", None)
    with pytest.raises(ModelFailedError, match=re.escape("install the-pypi-place[voice]")):
        LlamaSampler("m.gguf")


@pytest.mark.voice
def test_a_real_model_chooses_repeatably(sample: Store, facts: tuple[Fact, ...], tiny_model: Path) -> None:
    facts = facts[:10]
    drafts = [ModelWriter(tiny_model).write(facts, seed=seed) for seed in (7, 7, 8)]
    assert [draft.fallback for draft in drafts] == [None] * 3
    assert drafts[0] == drafts[1]
    assert drafts[0].texts != drafts[2].texts
    for draft in drafts:
        assert draft.writer == f"tiny.gguf sha256:{sha256_hex(tiny_model.read_bytes())}"
        verify_script(draft.texts, facts, resolve_period(sample.db, None), db=sample.db)


@pytest.mark.voice
def test_a_real_model_takes_the_greatest_seed(facts: tuple[Fact, ...], tiny_model: Path) -> None:
    drafts = [ModelWriter(tiny_model).write(facts[:8], seed=MAX_SEED) for _ in range(2)]
    assert drafts[0] == drafts[1]
    assert drafts[0].fallback is None


@pytest.mark.voice
def test_an_invalid_model_file_falls_back(facts: tuple[Fact, ...], model: Path) -> None:
    draft = ModelWriter(model).write(facts, seed=7)
    assert (draft.writer, draft.fallback) == (SEEDED, "llama.cpp cannot load its file")


@pytest.mark.voice
def test_a_model_with_a_short_context_falls_back(
    facts: tuple[Fact, ...], tmp_path: Path, write_model: Callable[..., None]
) -> None:
    write_model(tmp_path / "short.gguf", context_tokens=64)
    draft = ModelWriter(tmp_path / "short.gguf").write(facts, seed=7)
    assert (draft.writer, draft.fallback) == (SEEDED, "its context of 64 tokens is too short for one line")


def inside(model: Path, code: str) -> str:
    """Code for a separate process, which llama.cpp needs, with a sampler."""
    return f"from ppp.narrate.model import LlamaSampler\nsampler = LlamaSampler({os.fspath(model)!r})\n{code}"


@pytest.mark.voice
def test_a_grammar_that_crashes_llama_cpp_crashes_only_its_process(tiny_model: Path) -> None:
    code = inside(tiny_model, "sampler.complete('a', grammar='root ::= b', max_tokens=9, seed=1, temperature=0.5)")
    with pytest.raises(ModelFailedError, match=r"its process (was killed by signal|ended with status)"):
        python(code).choose(request_for())


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
    assert python(code).choose(request_for()) == ("1024", "None", "a long line")
