"""The process of a model: `python -m ppp.narrate.llama` reads one request from stdin and writes one reply to stdout.

llama.cpp can crash on bad input, so nothing else loads it.
"""

import json
import os
import sys

from ppp.narrate.llama_model import LlamaModel, ModelNotLoadedError
from ppp.narrate.model import ChoiceRequest, ModelFailedError, compose


def _answer(request: ChoiceRequest) -> dict[str, object]:
    try:
        model = LlamaModel(request.model, context_tokens=request.context_tokens, threads=request.threads)
        texts = compose(model, request)
    except (ModelFailedError, ModelNotLoadedError) as error:
        return {"failure": str(error)}
    return {"texts": list(texts), "evaluated_tokens": model.evaluated, "evaluation_s": round(model.seconds, 3)}


def main() -> None:
    """Read a request from stdin and write a reply to stdout; what llama.cpp itself prints goes to stderr."""
    reply = os.fdopen(os.dup(1), "w", encoding="ascii")
    os.dup2(2, 1)
    with reply:
        json.dump(_answer(ChoiceRequest.from_json(json.load(sys.stdin))), reply)


if __name__ == "__main__":
    main()
