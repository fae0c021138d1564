"""A language model as a writer: it chooses among licensed sentences, and nothing else, in a separate process.

What may be said is a grammar made from the facts, which `compose` offers the model step by step. That runs inside the
process, with the model that `ppp.narrate.llama_model` loads there. If anything fails (crash, timeout, another text:
`ppp.narrate.model_process`) the seeded writer is used. The model sees our own instruction and licensed sentences, but
no text that a package wrote. What it has evaluated of a script stays in its cache: a step costs its own tokens.
"""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any, Final, Protocol, Self

from ppp.model.model_options import DEFAULT_CONTEXT_TOKENS, ModelOptions
from ppp.narrate.director import Story
from ppp.narrate.fact_values import Fact
from ppp.narrate.queries.query import FactKind
from ppp.narrate.script import Draft, Progress, SeededWriter, ends, pick
from ppp.narrate.token_choice import TokenChoiceError, TokenModel, choose_text
from ppp.narrate.wordings import Link, LinkKind

#: The highest seed of an episode. Each further step uses a slightly higher seed.
MAX_SEED: Final = 2**31 - 1
TEMPERATURE: Final = 0.8
#: A model is offered so many texts at a step, at most.
MAX_OFFERED: Final = 24
#: What the file of a model begins with.
GGUF_MAGIC: Final = b"GGUF"

INSTRUCTION: Final = (
    "The night bulletin of the package monitor. Two presenters talk to each other, dry, exact and kind: Relay gives the"
    " play by play, Static says what it comes to. Each sentence is new in form and follows from the one before.\n"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class ChoiceRequest:
    """A request to a model: to choose the sentences of a script that tells these stories.

    The model is loaded for `context_tokens`, and runs in `threads`: None for one on each processor.
    """

    model: str
    seed: int
    temperature: float
    stories: tuple[Story, ...]
    context_tokens: int = DEFAULT_CONTEXT_TOKENS
    threads: int | None = None

    def to_json(self) -> dict[str, object]:
        """Return the JSON object that the model's process reads: of facts, only what may be said."""
        return {
            "model": self.model,
            "seed": self.seed,
            "temperature": self.temperature,
            "stories": [[_fact_to_json(fact) for fact in story.facts] for story in self.stories],
            "context_tokens": self.context_tokens,
            "threads": self.threads,
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self:
        """Return the request that `to_json` encoded."""
        stories = [[_fact_from_json(fact) for fact in facts] for facts in data["stories"]]
        return cls(
            model=data["model"],
            seed=data["seed"],
            temperature=data["temperature"],
            stories=tuple(Story(headline=headline, context=tuple(context)) for headline, *context in stories),
            context_tokens=data["context_tokens"],
            threads=data["threads"],
        )


def _fact_to_json(fact: Fact) -> dict[str, object]:
    stored = fact.to_json()
    return {name: stored[name] for name in ("id", "kind", "slots", "weight")}


def _fact_from_json(data: Mapping[str, Any]) -> Fact:
    slots = {name: tuple(value) if isinstance(value, list) else value for name, value in data["slots"].items()}
    return Fact(id=data["id"], kind=FactKind(data["kind"]), slots=slots, sql="", params={}, weight=data["weight"])


class ModelFailedError(Exception):
    """The reason why a model wrote nothing usable. It is not shown as an error, but stored with the episode."""


class Chooser(Protocol):
    """Answers a request."""

    def choose(self, request: ChoiceRequest) -> tuple[str, ...]:
        """Return the sentences of a script; raise `ModelFailedError` if that fails."""


class ModelWriter:
    """Lets a model choose. If it fails, the seeded writer is used, and the draft says why."""

    def __init__(self, model: Path, chooser: Chooser, options: ModelOptions | None = None) -> None:
        """Keep the path of a GGUF file, the chooser that runs it, and how it is to be run."""
        self._model = model
        self._chooser = chooser
        self._options = options or ModelOptions()

    def write(self, stories: Sequence[Story], *, seed: int) -> Draft:
        """Return the sentences of a script that tells stories."""
        try:
            self._check_magic()
            texts = self._chooser.choose(self._request(tuple(stories), seed))
            _check_follows(texts, stories)
            return Draft(texts=texts, writer=self._name())
        except ModelFailedError as error:
            draft = SeededWriter().write(stories, seed=seed)
            return Draft(texts=draft.texts, writer=draft.writer, fallback=str(error))

    def _request(self, stories: tuple[Story, ...], seed: int) -> ChoiceRequest:
        return ChoiceRequest(
            model=str(self._model),
            seed=seed,
            temperature=TEMPERATURE,
            stories=stories,
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


def _check_follows(texts: Sequence[str], stories: Sequence[Story]) -> None:
    # This is not the verifier: here a model that left its grammar falls back to the seeded writer, while a script that
    # fails verification is an error.
    if not follows(texts, stories):
        raise ModelFailedError("it did not follow its grammar")


def follows(texts: Sequence[str], stories: Sequence[Story]) -> bool:
    """Return whether each step of a script was among what might be said then."""
    left = iter(texts)
    try:
        _tell(stories, lambda options: _step(left, options))
    except LookupError:
        return False
    return next(left, None) is None


def _step(texts: Iterator[str], options: Sequence[str]) -> int:
    said = next(texts, "")
    if said not in options:
        said += f"\n{next(texts, '')}"
    if said not in options:
        raise LookupError(said)
    return list(options).index(said)


class _Choose(Protocol):
    def __call__(self, options: Sequence[str], /) -> int:
        """Return which of the texts is said next; a link and a fact are two lines of one text."""


def _tell(stories: Sequence[Story], choose: _Choose) -> None:
    def choose_link(links: Sequence[Link]) -> Link:
        return links[choose([link.text for link in links])]

    ends(LinkKind.OPENING, choose_link)
    progress = Progress(stories)
    while not progress.is_done:
        options = progress.options()
        progress.take(options[choose(["\n".join(option.texts) for option in options])])
    ends(LinkKind.CLOSING, choose_link)


# ---------------------------------------------------------------- inside the process


def compose(model: TokenModel, request: ChoiceRequest) -> tuple[str, ...]:
    """Let a model choose, step by step, the sentences of a script; raise `ModelFailedError`."""
    random = Random(request.seed)  # noqa: S311 - must be repeatable, not secret
    said: list[str] = []

    def choose(options: Sequence[str]) -> int:
        prompt = INSTRUCTION + "".join(f"{line}\n" for line in said)
        seed = (request.seed + len(said)) % (MAX_SEED + 1)
        offered = _offered(random, options)
        try:
            text = choose_text(model, prompt, offered, seed=seed, temperature=request.temperature)
        except TokenChoiceError as error:
            raise ModelFailedError(str(error)) from error
        said.extend(text.split("\n"))
        return list(options).index(text)

    _tell(request.stories, choose)
    return tuple(said)


def _offered(random: Random, texts: Sequence[str]) -> list[str]:
    left = list(texts)
    offered: list[str] = []
    while left and len(offered) < MAX_OFFERED:
        offered.append(pick(random, left))
        left.remove(offered[-1])
    return offered
