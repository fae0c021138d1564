"""A language model as a writer: it chooses among licensed sentences, under a grammar, in a separate process.

llama.cpp can crash on bad input, so `python -m ppp.narrate.model` reads one request from stdin and writes one reply to
stdout. If that fails in any way (crash, timeout, unfinished text) the seeded writer is used. The model sees our own
instruction and licensed sentences, but no text that a package wrote.
"""

import hashlib
import importlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Protocol, Self

from ppp.narrate.facts import Fact
from ppp.narrate.grammar import build_grammar, grammar_errors
from ppp.narrate.script import Draft, SeededWriter, renderings

#: llama.cpp takes 32 bits, and the highest value means "any seed". Each further part of a script uses a slightly higher
#: seed.
MAX_SEED: Final = 2**31 - 1
TIMEOUT_S: Final = 900.0
TEMPERATURE: Final = 0.8
#: A longer context would only cost memory: long scripts are written in parts.
CONTEXT_TOKENS: Final = 4096

INSTRUCTION: Final = (
    "The night bulletin of the package monitor. Two presenters, dry and exact: one gives the play by play, the other"
    " says what it comes to. Each sentence is new in form and follows from the one before.\n"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class ChoiceRequest:
    """A request to a model: to choose, for each line in order, one of the given texts."""

    model: str
    seed: int
    temperature: float
    lines: tuple[tuple[str, ...], ...]

    def to_json(self) -> dict[str, object]:
        """Return the JSON object that the model's process reads."""
        return {
            "model": self.model,
            "seed": self.seed,
            "temperature": self.temperature,
            "lines": [list(choices) for choices in self.lines],
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self:
        """Return the request that `to_json` encoded."""
        return cls(
            model=data["model"],
            seed=data["seed"],
            temperature=data["temperature"],
            lines=tuple(tuple(choices) for choices in data["lines"]),
        )


class ModelFailedError(Exception):
    """The reason why a model wrote nothing usable. It is not shown as an error, but stored with the episode."""


class Chooser(Protocol):
    """Answers a request."""

    def choose(self, request: ChoiceRequest) -> tuple[str, ...]:
        """Return one of the given texts for each line; raise `ModelFailedError` if that fails."""


class ModelWriter:
    """Lets a model choose. If it fails, the seeded writer is used, and the draft says why."""

    def __init__(self, model: Path, chooser: Chooser | None = None) -> None:
        """Keep the path of a GGUF file and the chooser that runs it (by default, a separate process)."""
        self._model = model
        self._chooser = chooser or SubprocessChooser()

    def write(self, facts: Sequence[Fact], *, seed: int) -> Draft:
        """Return one text for each fact, in order."""
        lines = tuple(renderings(fact) for fact in facts)
        try:
            texts = self._chooser.choose(
                ChoiceRequest(model=str(self._model), seed=seed, temperature=TEMPERATURE, lines=lines)
            )
            return Draft(texts=_chosen(texts, lines), writer=self._name())
        except ModelFailedError as error:
            draft = SeededWriter().write(facts, seed=seed)
            return Draft(texts=draft.texts, writer=draft.writer, fallback=str(error))

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


class SubprocessChooser:
    """Runs the model in a separate process, and survives its failures."""

    def __init__(
        self, *, timeout_s: float = TIMEOUT_S, command: Sequence[str] = (sys.executable, "-m", "ppp.narrate.model")
    ) -> None:
        """Keep the timeout of a reply in seconds, and the command that replies."""
        self._timeout_s = timeout_s
        self._command = tuple(command)

    def choose(self, request: ChoiceRequest) -> tuple[str, ...]:
        """Return one of the given texts for each line; raise `ModelFailedError` if that fails."""
        try:
            done = subprocess.run(
                self._command,
                input=json.dumps(request.to_json()).encode(),
                capture_output=True,
                timeout=self._timeout_s,
                check=False,
            )
        except subprocess.TimeoutExpired as error:
            raise ModelFailedError(f"it did not finish within {self._timeout_s:g} s") from error
        except OSError as error:
            raise ModelFailedError(f"its process could not be started: {error.strerror}") from error
        if done.returncode:
            raise ModelFailedError(_exit_reason(done.returncode, done.stderr))
        return _reply(done.stdout)


def _exit_reason(status: int, stderr: bytes) -> str:
    if status < 0:
        return f"its process was killed by signal {-status} ({signal.strsignal(-status) or 'unknown'})"
    last = (stderr.decode("ascii", "replace").strip().splitlines() or [""])[-1]
    message = "".join(c if c.isascii() and c.isprintable() else "?" for c in last[:200])
    return f"its process ended with status {status}: {message or 'no message'}"


def _reply(stdout: bytes) -> tuple[str, ...]:
    try:
        match json.loads(stdout):
            case {"texts": list(texts)} if all(isinstance(text, str) for text in texts):
                return tuple(texts)
            case {"failure": str(failure)}:
                raise ModelFailedError(failure)
    except ValueError as error:
        raise ModelFailedError("its reply is not JSON") from error
    raise ModelFailedError("its reply has neither texts nor a failure")


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


class LlamaSampler:
    """A GGUF file, loaded by llama-cpp-python."""

    def __init__(self, path: str) -> None:
        """Load a file; raise `ModelFailedError` if it or llama-cpp-python cannot be loaded."""
        try:
            # `Any`, because the optional library is often missing during type checks; it is used in this class only.
            self._llama_cpp: Any = importlib.import_module("llama_cpp")
        except ImportError as error:
            raise ModelFailedError("llama-cpp-python is not installed: install the-pypi-place[voice]") from error
        try:
            self._llm: Any = self._llama_cpp.Llama(path, n_ctx=CONTEXT_TOKENS, verbose=False)
        except (ValueError, OSError, RuntimeError) as error:
            raise ModelFailedError("llama.cpp cannot load its file") from error

    @property
    def context_tokens(self) -> int:
        """The context that was allocated, or that the model was trained with if that is less, in tokens."""
        trained = self._llm.metadata.get(f"{self._llm.metadata.get('general.architecture')}.context_length")
        return min(int(self._llm.n_ctx()), int(trained or CONTEXT_TOKENS))

    def count_tokens(self, text: str) -> int:
        """Return the number of tokens of a prompt."""
        return len(self._llm.tokenize(text.encode()))

    def complete(self, prompt: str, *, grammar: str, max_tokens: int, seed: int, temperature: float) -> str | None:
        """Return the continuation of a prompt, under a grammar; None if the text was not finished."""
        choice = self._llm.create_completion(
            prompt,
            grammar=self._llama_cpp.LlamaGrammar.from_string(grammar, verbose=False),
            max_tokens=max_tokens,
            seed=seed,
            temperature=temperature,
        )["choices"][0]
        return str(choice["text"]) if choice["finish_reason"] == "stop" else None


def _answer(request: ChoiceRequest) -> dict[str, object]:
    try:
        return {"texts": list(compose(LlamaSampler(request.model), request))}
    except ModelFailedError as error:
        return {"failure": str(error)}


def main() -> None:
    """Read a request from stdin and write a reply to stdout; what llama.cpp itself prints goes to stderr."""
    reply = os.fdopen(os.dup(1), "w", encoding="ascii")
    os.dup2(2, 1)
    with reply:
        json.dump(_answer(ChoiceRequest.from_json(json.load(sys.stdin))), reply)


if __name__ == "__main__":
    main()
