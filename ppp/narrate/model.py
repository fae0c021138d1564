"""A language model as a writer: it chooses among licensed sentences, under a grammar, in a separate process.

If that fails in any way (crash, timeout, unfinished text: `ppp.narrate.model_process`) the seeded writer is used. The
model sees our own instruction and licensed sentences, but no text that a package wrote. `compose` runs inside the
process, with the model that `ppp.narrate.llama` loads there.
"""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Protocol, Self

from ppp.model.model_options import DEFAULT_CONTEXT_TOKENS, ModelOptions
from ppp.narrate.facts import Fact
from ppp.narrate.grammar import build_grammar, grammar_errors
from ppp.narrate.script import Draft, SeededWriter, renderings

#: llama.cpp takes 32 bits, and the highest value means "any seed". Each further part of a script uses a slightly higher
#: seed.
MAX_SEED: Final = 2**31 - 1
TEMPERATURE: Final = 0.8
#: What the file of a model begins with.
GGUF_MAGIC: Final = b"GGUF"

INSTRUCTION: Final = (
    "The night bulletin of the package monitor. Two presenters, dry and exact: one gives the play by play, the other"
    " says what it comes to. Each sentence is new in form and follows from the one before.\n"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class ChoiceRequest:
    """A request to a model: to choose, for each line in order, one of the given texts.

    The model is loaded for `context_tokens`, and runs in `threads`: None for one on each processor.
    """

    model: str
    seed: int
    temperature: float
    lines: tuple[tuple[str, ...], ...]
    context_tokens: int = DEFAULT_CONTEXT_TOKENS
    threads: int | None = None

    def to_json(self) -> dict[str, object]:
        """Return the JSON object that the model's process reads."""
        return {
            "model": self.model,
            "seed": self.seed,
            "temperature": self.temperature,
            "lines": [list(choices) for choices in self.lines],
            "context_tokens": self.context_tokens,
            "threads": self.threads,
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self:
        """Return the request that `to_json` encoded."""
        return cls(
            model=data["model"],
            seed=data["seed"],
            temperature=data["temperature"],
            lines=tuple(tuple(choices) for choices in data["lines"]),
            context_tokens=data["context_tokens"],
            threads=data["threads"],
        )


class ModelFailedError(Exception):
    """The reason why a model wrote nothing usable. It is not shown as an error, but stored with the episode."""


class Chooser(Protocol):
    """Answers a request."""

    def choose(self, request: ChoiceRequest) -> tuple[str, ...]:
        """Return one of the given texts for each line; raise `ModelFailedError` if that fails."""


class ModelWriter:
    """Lets a model choose. If it fails, the seeded writer is used, and the draft says why."""

    def __init__(self, model: Path, chooser: Chooser, options: ModelOptions | None = None) -> None:
        """Keep the path of a GGUF file, the chooser that runs it, and how it is to be run."""
        self._model = model
        self._chooser = chooser
        self._options = options or ModelOptions()

    def write(self, facts: Sequence[Fact], *, seed: int) -> Draft:
        """Return one text for each fact, in order."""
        lines = tuple(renderings(fact) for fact in facts)
        try:
            self._check_magic()
            texts = self._chooser.choose(self._request(lines, seed))
            return Draft(texts=_chosen(texts, lines), writer=self._name())
        except ModelFailedError as error:
            draft = SeededWriter().write(facts, seed=seed)
            return Draft(texts=draft.texts, writer=draft.writer, fallback=str(error))

    def _request(self, lines: tuple[tuple[str, ...], ...], seed: int) -> ChoiceRequest:
        return ChoiceRequest(
            model=str(self._model),
            seed=seed,
            temperature=TEMPERATURE,
            lines=lines,
            context_tokens=self._options.context_tokens,
            threads=self._options.threads,
        )

    def _check_magic(self) -> None:
        try:
            with self._model.open("rb") as file:
                magic = file.read(len(GGUF_MAGIC))
        except OSError as error:
            raise ModelFailedError(f"its file cannot be read: {error.strerror}") from error
        if magic != GGUF_MAGIC:
            raise ModelFailedError(f"its file is not a GGUF file: it begins with {magic!r}")

    def _name(self) -> str:
        # A file may have any name, but the ledger and the pages may show only a harmless one.
        name = "".join(c if c.isascii() and (c.isalnum() or c in "._-") else "_" for c in self._model.name)
        try:
            with self._model.open("rb") as file:
                return f"{name} sha256:{hashlib.file_digest(file, 'sha256').hexdigest()}"
        except OSError as error:
            raise ModelFailedError(f"its file cannot be read: {error.strerror}") from error


def _chosen(texts: Sequence[str], lines: Sequence[Sequence[str]]) -> tuple[str, ...]:
    # This is not the verifier: here a model that left its grammar falls back to the seeded writer, while a script that
    # fails verification is an error.
    if len(texts) != len(lines) or any(text not in choices for text, choices in zip(texts, lines, strict=True)):
        raise ModelFailedError("it did not follow its grammar")
    return tuple(texts)


# ---------------------------------------------------------------- inside the process


class Sampler(Protocol):
    """A loaded model."""

    @property
    def context_tokens(self) -> int:
        """The number of tokens that prompt and text may have together."""

    def count_tokens(self, text: str) -> int:
        """Return the number of tokens of a prompt."""

    def complete(self, prompt: str, *, grammar: str, max_tokens: int, seed: int, temperature: float) -> str | None:
        """Return the continuation of a prompt, under a grammar; None if the text was not finished."""


def compose(sampler: Sampler, request: ChoiceRequest) -> tuple[str, ...]:
    """Let a model choose every line, in as many parts as its context requires; raise `ModelFailedError`."""
    texts: list[str] = []
    while len(texts) < len(request.lines):
        prompt = _prompt(sampler, texts)
        # A token is at least one byte in any vocabulary, so these lines have no more tokens than bytes.
        free_tokens = sampler.context_tokens - sampler.count_tokens(prompt) - 2
        part = list(_fitting(request.lines[len(texts) :], free_tokens))
        if not part:
            raise ModelFailedError(f"its context of {sampler.context_tokens} tokens is too short for one line")
        rules = build_grammar(part)
        if errors := grammar_errors(rules):
            raise ModelFailedError(f"its grammar is malformed: {errors[0]}")
        text = sampler.complete(
            prompt,
            grammar=rules,
            max_tokens=sum(map(_bytes, part)) + 1,
            seed=request.seed + len(texts),
            temperature=request.temperature,
        )
        if text is None:
            raise ModelFailedError("it did not finish its text")
        texts += text.split("\n")
    return tuple(texts)


def _prompt(sampler: Sampler, texts: Sequence[str]) -> str:
    # With the last three lines, or as many as leave three quarters of the context for the next ones.
    for start in range(max(0, len(texts) - 3), len(texts) + 1):
        prompt = INSTRUCTION + "".join(f"{text}\n" for text in texts[start:])
        if sampler.count_tokens(prompt) <= sampler.context_tokens // 4:
            return prompt
    return "\n"


def _fitting(lines: Sequence[Sequence[str]], free_tokens: int) -> Iterator[Sequence[str]]:
    for choices in lines:
        free_tokens -= _bytes(choices)
        if free_tokens < 0:
            return
        yield choices


def _bytes(choices: Sequence[str]) -> int:
    return max(len(choice.encode()) for choice in choices) + 1
