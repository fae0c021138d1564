"""Texts chosen token by token: nothing but one of them, each token evaluated once, drawn by the model's odds."""

import math
import re
from collections import Counter
from collections.abc import Callable, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ppp.narrate.token_choice import DROPPED_LINES, TokenChoiceError, choose_text, shared_length

TEXTS = ("All is quiet.", "All is well.", "Nothing on.", "Nothing.")


class PieceModel:
    """A model whose tokens are pieces of a text, and whose logits a function of the text before and the piece."""

    def __init__(
        self,
        *,
        context_tokens: int = 10_000,
        pieces: str = r"\w\w?|.|\n",
        logit: Callable[[str, str], float] = lambda before, piece: float(len(before + piece) % 3),
    ) -> None:
        self.context_tokens = context_tokens
        self.logit = logit
        self._pieces = re.compile(pieces)
        self._vocabulary: dict[str, int] = {}
        #: What the model has evaluated, as a cache of keys and values would hold it.
        self.cache: list[int] = []
        self.evaluated = 0
        self.asked = 0

    def tokenize(self, text: str) -> list[int]:
        return [self._vocabulary.setdefault(piece, len(self._vocabulary)) for piece in self._pieces.findall(text)]

    def text(self, tokens: Sequence[int]) -> str:
        return "".join(list(self._vocabulary)[token] for token in tokens)

    def logits(self, tokens: Sequence[int], wanted: Sequence[int]) -> list[float]:
        same = shared_length(self.cache, tokens)
        self.evaluated += len(tokens) - same
        self.cache = list(tokens)
        self.asked += 1
        return [self.logit(self.text(tokens), self.text([token])) for token in wanted]


def choose(model: PieceModel, texts: Sequence[str] = TEXTS, *, prompt: str = "Say:\n", seed: int = 0) -> str:
    return choose_text(model, prompt, texts, seed=seed, temperature=0.8)


LINES = st.lists(
    st.text(st.characters(exclude_categories=["Cc", "Cs", "Zl", "Zp"]), min_size=1), min_size=1, max_size=9
)


@given(LINES, st.integers(0, 2**31), st.sampled_from([r"(?s).", r"(?s)..?", r"(?s)\w+|."]))
def test_one_of_the_texts_results_whatever_the_vocabulary(texts: list[str], seed: int, pieces: str) -> None:
    model = PieceModel(pieces=pieces)
    chosen = choose(model, texts, seed=seed)
    assert chosen in texts
    assert choose(PieceModel(pieces=pieces), texts, seed=seed) == chosen


def test_a_text_that_is_the_beginning_of_another_one_can_be_chosen() -> None:
    assert {choose(PieceModel(), ("Nothing", "Nothing on"), seed=seed) for seed in range(40)} == {
        "Nothing",
        "Nothing on",
    }


def test_a_single_text_asks_nothing() -> None:
    model = PieceModel()
    assert choose(model, ("Over.", "Over.")) == "Over."
    assert model.asked == 0


def test_the_model_is_asked_only_where_texts_part() -> None:
    asked: list[str] = []

    def logit(before: str, piece: str) -> float:
        asked.append(f"{before}|{piece}")
        return 0.0

    choose(PieceModel(logit=logit), ("It is quiet here tonight.", "It is well here tonight."))
    assert asked == ["Say:\nIt is |qu", "Say:\nIt is |we"]


def test_over_a_script_each_token_is_evaluated_once() -> None:
    model = PieceModel()
    prompt = "An instruction of some words that stays the same.\n"
    for step in range(30):
        prompt += f"{choose(model, [f'{text} {step}' for text in TEXTS], prompt=prompt, seed=step)}\n"
    assert model.asked >= 30
    assert model.evaluated == len(model.cache) <= len(model.tokenize(prompt))


def test_texts_are_drawn_with_the_model_s_probabilities() -> None:
    # Odds of 3 to 1 at a temperature of 1.
    model = PieceModel(logit=lambda _, piece: math.log(3) if piece == "Ye" else 0.0)
    drawn = Counter(choose_text(model, "", ("Yes.", "No."), seed=seed, temperature=1.0) for seed in range(4000))
    assert 2800 < drawn["Yes."] < 3200


def test_a_low_temperature_takes_the_likeliest() -> None:
    model = PieceModel(logit=lambda _, piece: 1.0 if piece == "Ye" else 0.0)
    assert {choose_text(model, "", ("Yes.", "No."), seed=seed, temperature=0.01) for seed in range(50)} == {"Yes."}


def test_of_a_long_prompt_the_first_line_and_the_newest_ones_stay() -> None:
    model = PieceModel(context_tokens=200)
    lines = [f"line {number}\n" for number in range(100)]
    choose(model, prompt="Say:\n" + "".join(lines))
    kept = model.text(model.cache)
    assert kept.startswith("Say:\nline ")
    assert "line 99\n" in kept
    dropped = int(re.findall(r"line ([0-9]+)", kept)[0])
    assert dropped > 0
    assert dropped % DROPPED_LINES == 0
    assert len(model.cache) <= 200


@given(st.integers(16, 80), st.lists(st.text("ab \n", max_size=30), max_size=6))
def test_no_context_is_exceeded(context_tokens: int, prompt: list[str]) -> None:
    model = PieceModel(context_tokens=context_tokens, pieces=r"(?s).")
    assert choose(model, prompt="".join(prompt)) in TEXTS
    assert len(model.cache) < context_tokens


def test_a_context_too_short_for_a_line_is_a_failure() -> None:
    with pytest.raises(TokenChoiceError, match="its context of 5 tokens is too short for one line"):
        choose(PieceModel(context_tokens=5))


@pytest.mark.parametrize("logit", [math.nan, math.inf, -math.inf])
def test_probabilities_that_are_no_numbers_are_a_failure(logit: float) -> None:
    with pytest.raises(TokenChoiceError, match="its probabilities are not numbers"):
        choose(PieceModel(logit=lambda _, piece: logit if logit != math.inf or piece == "Al" else 0.0))


@pytest.mark.parametrize("texts", [("Ab", "Cd"), ("A", "Ab")])
def test_a_vocabulary_without_these_letters_is_a_failure(texts: tuple[str, str]) -> None:
    with pytest.raises(TokenChoiceError, match="its vocabulary does not distinguish two sentences"):
        choose(PieceModel(pieces="[x]"), texts)


@given(st.lists(st.integers(0, 2)), st.lists(st.integers(0, 2)), st.lists(st.integers(0, 2)))
def test_how_many_tokens_two_texts_share(before: list[int], first: list[int], second: list[int]) -> None:
    length = shared_length(before + first, before + second)
    assert (before + first)[:length] == (before + second)[:length]
    assert length >= len(before)
    assert (before + first)[length : length + 1] != (before + second)[length : length + 1] or length == len(
        before + first
    )
