"""Choose one of several texts by a model's probabilities, token by token.

The texts are a finite grammar, and this is its walk: the tokens of the texts form a tree. Where one token alone can
follow, the model is not asked, and it waits to be evaluated with the next ones, as a prompt is, which is faster than to
generate it. Where several can follow, the model evaluates what is before them, and one is drawn by its probabilities
among these. So nothing but one of the texts can result, and each token is evaluated once: what a step evaluated is the
beginning of the next one's prompt. llama.cpp's own grammars examine its whole vocabulary for every token, and a
malformed one ends the process.
"""

import math
from collections import defaultdict
from collections.abc import Sequence
from random import Random
from typing import Final, Protocol

#: Where a prompt is too long, the lines after its first one are dropped by so many, oldest first: what remains is
#: evaluated anew, so not at every step.
DROPPED_LINES: Final = 16


class TokenChoiceError(Exception):
    """The reason why a model cannot choose: one clause about the model."""


class TokenModel(Protocol):
    """A loaded model."""

    @property
    def context_tokens(self) -> int:
        """The number of tokens that a text may have, with all that is before it."""

    def tokenize(self, text: str) -> Sequence[int]:
        """Return the tokens of a text that begins a context."""

    def logits(self, tokens: Sequence[int], wanted: Sequence[int]) -> Sequence[float]:
        """Return, for each wanted token, the logit with which it follows the given ones."""


def choose_text(model: TokenModel, prompt: str, texts: Sequence[str], *, seed: int, temperature: float) -> str:
    """Return one of the texts, each a line that may follow a prompt; the same seed and logits give the same one.

    Raises `TokenChoiceError` if the context is too short, or if the model's vocabulary or logits are of no use.
    """
    distinct = list(dict.fromkeys(texts))
    random = Random(seed)  # noqa: S311 - must be repeatable, not secret
    sequences = _fitting_sequences(model, prompt, distinct)
    possible, depth = list(range(len(distinct))), 0
    while len(possible) > 1:
        by_token = defaultdict(list)
        for number in possible:
            if depth >= len(sequences[number]):
                raise TokenChoiceError("its vocabulary does not distinguish two sentences")
            by_token[sequences[number][depth]].append(number)
        tokens = sorted(by_token)
        if len(tokens) > 1:
            logits = model.logits(sequences[possible[0]][:depth], tokens)
            token = tokens[_draw(logits, random.random(), temperature)]
        else:
            (token,) = tokens
        possible, depth = by_token[token], depth + 1
    return distinct[possible[0]]


def shared_length(first: Sequence[int], second: Sequence[int]) -> int:
    """Return how many tokens two texts have in common before they differ."""
    pairs = zip(first, second, strict=False)
    return next((place for place, (a, b) in enumerate(pairs) if a != b), min(len(first), len(second)))


def _fitting_sequences(model: TokenModel, prompt: str, texts: Sequence[str]) -> list[Sequence[int]]:
    """Return the tokens of the prompt with each text, without as many lines of the prompt as the context requires."""
    first, *others = prompt.splitlines(keepends=True) or [""]
    shorter = [first + "".join(others[dropped:]) for dropped in range(0, len(others) + DROPPED_LINES, DROPPED_LINES)]
    for given in (*shorter, ""):
        # With its line feed, no text is the beginning of another one.
        sequences = [model.tokenize(f"{given}{text}\n") for text in texts]
        if max(map(len, sequences)) <= model.context_tokens:
            return sequences
    raise TokenChoiceError(f"its context of {model.context_tokens} tokens is too short for one line")


def _draw(logits: Sequence[float], point: float, temperature: float) -> int:
    """Return the place of the logit that a point from 0 to 1 meets, where each takes as much as its probability."""
    highest = max(logits)
    if any(math.isnan(logit) for logit in logits) or not math.isfinite(highest):
        raise TokenChoiceError("its probabilities are not numbers")
    weights = [math.exp((logit - highest) / temperature) for logit in logits]
    left = point * sum(weights)
    for place, weight in enumerate(weights):
        left -= weight
        if left < 0:
            return place
    # Rounding may leave a little.
    return max(range(len(weights)), key=weights.__getitem__)
