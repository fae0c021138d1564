"""A language model as a writer: it chooses among licensed sentences under a grammar, in a process of its own.

llama.cpp ends its process on bad input, so `python -m ppp.narrate.model` reads one request on stdin and writes one
reply on stdout, and whatever becomes of it (death, timeout, unfinished text) the seeded writer steps in. The model
sees our own instruction and licensed sentences, never a word that a package wrote.
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

#: llama.cpp takes 32 bits and takes the highest of them for "any"; each part of a script has a seed a little higher.
MAX_SEED: Final = 2**31 - 1
TIMEOUT_S: Final = 900.0
TEMPERATURE: Final = 0.8
#: A longer context than this costs memory and helps nothing: the longest script is written in parts.
CONTEXT_TOKENS: Final = 4096

INSTRUCTION: Final = (
    "The night bulletin of the package monitor. Two presenters, dry and exact: one gives the play by play, the other"
    " says what it comes to. Each sentence is new in form and follows from the one before.\n"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class ChoiceRequest:
    """What a model is asked: for each line, in order, one of its choices."""

    model: str
    seed: int
    temperature: float
    lines: tuple[tuple[str, ...], ...]

    def to_json(self) -> dict[str, object]:
        """Give the JSON object that the model's process reads."""
        return {
            "model": self.model,
            "seed": self.seed,
            "temperature": self.temperature,
            "lines": [list(choices) for choices in self.lines],
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self:
        """Build from what `to_json` gave."""
        return cls(
            model=data["model"],
            seed=data["seed"],
            temperature=data["temperature"],
            lines=tuple(tuple(choices) for choices in data["lines"]),
        )


class ModelFailedError(Exception):
    """A model that wrote nothing that can be used, and why; never shown as an error, but told with the episode."""


class Chooser(Protocol):
    """Whoever answers a request."""

    def choose(self, request: ChoiceRequest) -> tuple[str, ...]:
        """Give one of its choices for each line; raise `ModelFailedError` where that did not come about."""


class ModelWriter:
    """Lets a model choose; where it fails, the seeded writer writes, and the draft says why."""

    def __init__(self, model: Path, chooser: Chooser | None = None) -> None:
        """Take a GGUF file, and who asks it (by default, a process of its own)."""
        self._model = model
        self._chooser = chooser or SubprocessChooser()

    def write(self, facts: Sequence[Fact], *, seed: int) -> Draft:
        """Give one text for each fact, in order."""
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
        # A file may be called anything; what stands in the ledger and on pages may not.
        name = "".join(c if c.isascii() and (c.isalnum() or c in "._-") else "_" for c in self._model.name)
        try:
            with self._model.open("rb") as file:
                return f"{name} sha256:{hashlib.file_digest(file, 'sha256').hexdigest()}"
        except OSError as error:
            raise ModelFailedError(f"its file cannot be read: {error.strerror}") from error


def _chosen(texts: Sequence[str], lines: Sequence[Sequence[str]]) -> tuple[str, ...]:
    # Not the verifier, which reads what is handed to it: this tells a model that strayed from a script that lies.
    if len(texts) != len(lines) or any(text not in choices for text, choices in zip(texts, lines, strict=True)):
        raise ModelFailedError("it strayed from its grammar")
    return tuple(texts)


class SubprocessChooser:
    """Asks in a process of its own, and outlives whatever becomes of it."""

    def __init__(
        self, *, timeout_s: float = TIMEOUT_S, command: Sequence[str] = (sys.executable, "-m", "ppp.narrate.model")
    ) -> None:
        """Take how long an answer may take, and the command that gives it."""
        self._timeout_s = timeout_s
        self._command = tuple(command)

    def choose(self, request: ChoiceRequest) -> tuple[str, ...]:
        """Give one of its choices for each line; raise `ModelFailedError` where that did not come about."""
        try:
            done = subprocess.run(
                self._command,
                input=json.dumps(request.to_json()).encode(),
                capture_output=True,
                timeout=self._timeout_s,
                check=False,
            )
        except subprocess.TimeoutExpired as error:
            raise ModelFailedError(f"it had not finished after {self._timeout_s:g} s") from error
        except OSError as error:
            raise ModelFailedError(f"its process could not be started: {error.strerror}") from error
        if done.returncode:
            raise ModelFailedError(_death(done.returncode, done.stderr))
        return _reply(done.stdout)


def _death(status: int, stderr: bytes) -> str:
    if status < 0:
        return f"its process died of signal {-status} ({signal.strsignal(-status) or 'unknown'})"
    last = (stderr.decode("ascii", "replace").strip().splitlines() or [""])[-1]
    said = "".join(c if c.isascii() and c.isprintable() else "?" for c in last[:200])
    return f"its process ended with status {status}: {said or 'no word'}"


def _reply(stdout: bytes) -> tuple[str, ...]:
    try:
        match json.loads(stdout):
            case {"texts": list(texts)} if all(isinstance(text, str) for text in texts):
                return tuple(texts)
            case {"failure": str(failure)}:
                raise ModelFailedError(failure)
    except ValueError as error:
        raise ModelFailedError("its reply is not JSON") from error
    raise ModelFailedError("its reply is neither texts nor a reason")


# From here on: the inside of the process.


class Sampler(Protocol):
    """A loaded model."""

    @property
    def context_tokens(self) -> int:
        """Say how many tokens of prompt and text it can hold."""

    def count_tokens(self, text: str) -> int:
        """Say how many tokens a prompt takes."""

    def complete(self, prompt: str, *, grammar: str, max_tokens: int, seed: int, temperature: float) -> str | None:
        """Write on from a prompt, under a grammar; None where the text was not finished."""


def compose(sampler: Sampler, request: ChoiceRequest) -> tuple[str, ...]:
    """Have a model choose every line, in as many parts as its context needs; raise `ModelFailedError`."""
    texts: list[str] = []
    while len(texts) < len(request.lines):
        prompt = _prompt(sampler, texts)
        # A token is at least one byte, however a model cuts its words: no longer text can come of these lines.
        room = sampler.context_tokens - sampler.count_tokens(prompt) - 2
        part = list(_fitting(request.lines[len(texts) :], room))
        if not part:
            raise ModelFailedError(f"its context of {sampler.context_tokens} tokens is too short for one line")
        rules = build_grammar(part)
        if wrong := grammar_errors(rules):
            raise ModelFailedError(f"its grammar is malformed: {wrong[0]}")
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
    # The last three lines, or as many as leave three quarters of the context to the next ones.
    for start in range(max(0, len(texts) - 3), len(texts) + 1):
        prompt = INSTRUCTION + "".join(f"{text}\n" for text in texts[start:])
        if sampler.count_tokens(prompt) <= sampler.context_tokens // 4:
            return prompt
    return "\n"


def _fitting(lines: Sequence[Sequence[str]], room: int) -> Iterator[Sequence[str]]:
    for choices in lines:
        room -= _bytes(choices)
        if room < 0:
            return
        yield choices


def _bytes(choices: Sequence[str]) -> int:
    return max(len(choice.encode()) for choice in choices) + 1


class LlamaSampler:
    """A GGUF file, loaded by llama-cpp-python."""

    def __init__(self, path: str) -> None:
        """Load a file; raise `ModelFailedError` where it, or llama-cpp-python, cannot be."""
        try:
            # Any: the extra is often not there to be typed, and nothing of it leaves this class.
            self._llama_cpp: Any = importlib.import_module("llama_cpp")
        except ImportError as error:
            raise ModelFailedError("llama-cpp-python is not installed: install the-pypi-place[voice]") from error
        try:
            self._llm: Any = self._llama_cpp.Llama(path, n_ctx=CONTEXT_TOKENS, verbose=False)
        except (ValueError, OSError, RuntimeError) as error:
            raise ModelFailedError("llama.cpp cannot load its file") from error

    @property
    def context_tokens(self) -> int:
        """Say how many tokens of prompt and text it can hold: what is allotted, or what it was trained on if less."""
        trained = self._llm.metadata.get(f"{self._llm.metadata.get('general.architecture')}.context_length")
        return min(int(self._llm.n_ctx()), int(trained or CONTEXT_TOKENS))

    def count_tokens(self, text: str) -> int:
        """Say how many tokens a prompt takes."""
        return len(self._llm.tokenize(text.encode()))

    def complete(self, prompt: str, *, grammar: str, max_tokens: int, seed: int, temperature: float) -> str | None:
        """Write on from a prompt, under a grammar; None where the text was not finished."""
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
    """Read a request on stdin, write a reply on stdout; what llama.cpp itself prints goes to stderr."""
    reply = os.fdopen(os.dup(1), "w", encoding="ascii")
    os.dup2(2, 1)
    with reply:
        json.dump(_answer(ChoiceRequest.from_json(json.load(sys.stdin))), reply)


if __name__ == "__main__":
    main()
