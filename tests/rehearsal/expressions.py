"""The expressions of GitHub's workflows, as far as ours use them: contexts, literals, operators and calls.

Source: GitHub's reference, "Evaluate expressions in workflows and actions". What has no value is `""`, as there.
"""

import json
import re
from collections.abc import Callable, Mapping
from typing import Any, Final, TypeAlias

#: What an expression refers to: `needs`, `matrix`, …, each with values below it.
Contexts: TypeAlias = Mapping[str, Any]
Functions: TypeAlias = Mapping[str, Callable[..., Any]]

_TOKEN: Final = re.compile(r"\s*(?:(?P<text>'(?:[^']|'')*')|(?P<name>[A-Za-z_][\w.-]*)|(?P<sign>&&|\|\||==|!=|[!(),]))")
_EXPRESSION: Final = re.compile(r"\$\{\{(.*?)\}\}", re.DOTALL)
_CONSTANTS: Final[Mapping[str, Any]] = {"true": True, "false": False, "null": None}


def expand(text: str, contexts: Contexts, functions: Functions) -> Any:
    """Return a text with its `${{ … }}` replaced; the value itself, of any type, if it is nothing but one of them."""
    whole = _EXPRESSION.fullmatch(text.strip())
    if whole and text.count("${{") == 1:
        return evaluate(whole[1], contexts, functions)
    return _EXPRESSION.sub(lambda found: _text(evaluate(found[1], contexts, functions)), text)


def evaluate(expression: str, contexts: Contexts, functions: Functions) -> Any:
    """Return the value of an expression; raise `ValueError` for one that is none, or that is not understood here."""
    reader = _Reader(expression, contexts, functions)
    value = reader.either()
    if reader.tokens:
        raise ValueError(f"{expression.strip()!r}: {reader.tokens[0]!r} is not understood")
    return value


def _text(value: Any) -> str:
    if value is None:
        return ""
    return str(value).lower() if isinstance(value, bool) else str(value)


class _Reader:
    def __init__(self, expression: str, contexts: Contexts, functions: Functions) -> None:
        self.tokens = _tokens(expression)
        self._contexts = contexts
        self._functions = {"fromJSON": json.loads, **functions}

    def either(self) -> Any:
        value = self._both()
        while self._take("||"):
            other = self._both()
            value = value or other
        return value

    def _both(self) -> Any:
        value = self._comparison()
        while self._take("&&"):
            other = self._comparison()
            value = value and other
        return value

    def _comparison(self) -> Any:
        value = self._single()
        if self._take("=="):
            return value == self._single()
        if self._take("!="):
            return value != self._single()
        return value

    def _single(self) -> Any:
        if self._take("!"):
            return not self._single()
        if self._take("("):
            value = self.either()
            self._require(")")
            return value
        token = self.tokens.pop(0) if self.tokens else ""
        if token.startswith("'"):
            return token[1:-1].replace("''", "'")
        if self._take("("):
            return self._functions[token](*self._arguments())
        return _CONSTANTS[token] if token in _CONSTANTS else self._context(token)

    def _arguments(self) -> list[Any]:
        arguments: list[Any] = []
        while not self._take(")"):
            arguments.append(self.either())
            self._take(",")
        return arguments

    def _context(self, path: str) -> Any:
        first, *rest = path.split(".")
        if first not in self._contexts:
            raise ValueError(f"{path!r}: there is no context {first!r}")
        value = self._contexts[first]
        for name in rest:
            value = value.get(name, "") if isinstance(value, Mapping) else ""
        return value

    def _take(self, sign: str) -> bool:
        if self.tokens[:1] == [sign]:
            self.tokens.pop(0)
            return True
        return False

    def _require(self, sign: str) -> None:
        if not self._take(sign):
            raise ValueError(f"{sign!r} is missing before {self.tokens[:1]}")


def _tokens(expression: str) -> list[str]:
    tokens: list[str] = []
    at, text = 0, expression.strip()
    while at < len(text):
        found = _TOKEN.match(text, at)
        if found is None:
            raise ValueError(f"{text!r}: {text[at:]!r} is not understood")
        tokens.append(found[found.lastgroup or 0])
        at = found.end()
    return tokens
