"""A GGUF file, loaded by llama-cpp-python. It can crash the process on bad input: use it in one of its own."""

import importlib
import os
import time
from collections.abc import Sequence
from typing import Any

from ppp.model.model_options import DEFAULT_CONTEXT_TOKENS
from ppp.narrate.token_choice import shared_length


class ModelNotLoadedError(Exception):
    """The reason why a model cannot be loaded: one clause."""


class LlamaModel:
    """A loaded model. What it has evaluated is cached: of the next tokens it evaluates only those that differ.

    `evaluated` is the number of tokens that it has evaluated so far, `seconds` how long that took.
    """

    def __init__(self, path: str, *, context_tokens: int = DEFAULT_CONTEXT_TOKENS, threads: int | None = None) -> None:
        """Load a file for a context in tokens, to be run in so many threads (None: one on each processor).

        Raises `ModelNotLoadedError` if it or llama-cpp-python cannot be loaded.
        """
        try:
            # `Any`, because the optional library is often missing during type checks; it is used in this class only.
            self._llama_cpp: Any = importlib.import_module("llama_cpp")
        except ImportError as error:
            raise ModelNotLoadedError("llama-cpp-python is not installed: install the-pypi-place[voice]") from error
        # By default, llama-cpp-python would use half of the processors.
        threads = threads or len(os.sched_getaffinity(0))
        try:
            self._llm: Any = self._llama_cpp.Llama(
                path,
                n_ctx=context_tokens,
                n_threads=threads,
                n_threads_batch=threads,
                # Else a model with a sliding window forgets the beginning of the prompt, which later steps need.
                swa_full=True,
                verbose=False,
            )
        except (ValueError, OSError, RuntimeError) as error:
            raise ModelNotLoadedError("llama.cpp cannot load its file") from error
        self.evaluated, self.seconds = 0, 0.0

    @property
    def context_tokens(self) -> int:
        """The context that was allocated, or that the model was trained with if that is less, in tokens."""
        trained = self._llm.metadata.get(f"{self._llm.metadata.get('general.architecture')}.context_length")
        return min(int(self._llm.n_ctx()), int(trained or self._llm.n_ctx()))

    def tokenize(self, text: str) -> list[int]:
        """Return the tokens of a text that begins a context."""
        return list(self._llm.tokenize(text.encode()))

    def logits(self, tokens: Sequence[int], wanted: Sequence[int]) -> list[float]:
        """Return, for each wanted token, the logit with which it follows the given ones."""
        cached = self._llm.input_ids[: self._llm.n_tokens].tolist()
        # The last one is evaluated again, if need be, for its logits.
        same = min(shared_length(cached, tokens), len(tokens) - 1)
        # A model with a state instead of a cache cannot go back.
        if same < len(cached) and not self._remove_from(same):
            self._llm.reset()
            same = 0
        self._llm.n_tokens = same
        started = time.monotonic()
        self._llm.eval(list(tokens[same:]))
        self.seconds += time.monotonic() - started
        self.evaluated += len(tokens) - same
        logits = self._llama_cpp.llama_get_logits_ith(self._llm.ctx, -1)
        return [float(logits[token]) for token in wanted]

    def _remove_from(self, place: int) -> bool:
        memory = self._llama_cpp.llama_get_memory(self._llm.ctx)
        return bool(self._llama_cpp.llama_memory_seq_rm(memory, -1, place, -1))
