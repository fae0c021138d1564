"""The process of a model: `python -m ppp.narrate.llama` reads one request from stdin and writes one reply to stdout.

llama.cpp can crash on bad input, so nothing else loads it.
"""

import importlib
import json
import os
import sys
from typing import Any

from ppp.model.model_options import DEFAULT_CONTEXT_TOKENS
from ppp.narrate.model import ChoiceRequest, ModelFailedError, compose


class LlamaSampler:
    """A GGUF file, loaded by llama-cpp-python."""

    def __init__(self, path: str, *, context_tokens: int = DEFAULT_CONTEXT_TOKENS, threads: int | None = None) -> None:
        """Load a file for a context in tokens, to be run in so many threads (None: one on each processor).

        Raises `ModelFailedError` if it or llama-cpp-python cannot be loaded.
        """
        try:
            # `Any`, because the optional library is often missing during type checks; it is used in this class only.
            self._llama_cpp: Any = importlib.import_module("llama_cpp")
        except ImportError as error:
            raise ModelFailedError("llama-cpp-python is not installed: install the-pypi-place[voice]") from error
        # By default, llama-cpp-python would use half of the processors.
        threads = threads or len(os.sched_getaffinity(0))
        try:
            self._llm: Any = self._llama_cpp.Llama(
                path,
                n_ctx=context_tokens,
                n_threads=threads,
                n_threads_batch=threads,
                # Else a model with a sliding window forgets the beginning of the prompt, which the next part needs.
                swa_full=True,
                verbose=False,
            )
        except (ValueError, OSError, RuntimeError) as error:
            raise ModelFailedError("llama.cpp cannot load its file") from error

    @property
    def context_tokens(self) -> int:
        """The context that was allocated, or that the model was trained with if that is less, in tokens."""
        trained = self._llm.metadata.get(f"{self._llm.metadata.get('general.architecture')}.context_length")
        return min(int(self._llm.n_ctx()), int(trained or self._llm.n_ctx()))

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
        sampler = LlamaSampler(request.model, context_tokens=request.context_tokens, threads=request.threads)
        return {"texts": list(compose(sampler, request))}
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
