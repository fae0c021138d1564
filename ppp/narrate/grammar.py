"""The GBNF grammar that constrains a model: `root` fixes the order of the lines, each line is one of its renderings.

A malformed grammar, an undefined rule or a recursion crashes llama.cpp with a segmentation fault. So `grammar_errors`
parses the finished text again, strictly, before a model gets it.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

ROOT: Final = "root"

_NAME: Final = r"[a-z][a-z0-9]*"
_LITERAL: Final = r'"(?:[ !#-\[\]-~]|\\["\\n])+"'
_ITEM: Final = rf"(?:{_NAME}|{_LITERAL})"
_SEQUENCE: Final = rf"{_ITEM}(?: {_ITEM})*"
_RULE: Final = re.compile(rf"(?P<name>{_NAME}) ::= (?P<body>{_SEQUENCE}(?: \| {_SEQUENCE})*)", re.ASCII)
_REFERENCE: Final = re.compile(rf"{_LITERAL}|(?P<name>{_NAME})", re.ASCII)


def build_grammar(lines: Sequence[Sequence[str]]) -> str:
    """Return the GBNF of a text with one line for each entry of `lines`; a line is one of the entry's renderings."""
    names = [f"line{place}" for place, _ in enumerate(lines, 1)]
    rules = [f"{ROOT} ::= {f' {_literal(chr(10))} '.join(names)}"]
    rules += [f"{name} ::= {' | '.join(map(_literal, line))}" for name, line in zip(names, lines, strict=True)]
    return "".join(f"{rule}\n" for rule in rules)


def _literal(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'"{escaped}"'


def grammar_errors(text: str) -> list[str]:
    """Return the errors of a grammar; if there are none, it is safe to give to llama.cpp."""
    references: dict[str, list[str]] = {}
    found = []
    for number, line in enumerate(text.split("\n")[:-1], 1):
        if not (rule := _RULE.fullmatch(line)):
            found.append(f"line {number} is not a rule")
        elif rule["name"] in references:
            found.append(f"line {number} defines {rule['name']} again")
        else:
            references[rule["name"]] = [m["name"] for m in _REFERENCE.finditer(rule["body"]) if m["name"]]
    if not text.endswith("\n"):
        found.append("it does not end with a line feed")
    undefined = {name for names in references.values() for name in names} - references.keys()
    found += [f"{name} is not defined" for name in sorted(undefined | ({ROOT} - references.keys()))]
    return found or [f"{name} is recursive" for name in sorted(_recursive(references))]


def _recursive(references: Mapping[str, Iterable[str]]) -> set[str]:
    # Remove, again and again, the rules that refer to no remaining rule; only recursive ones are left.
    remaining = set(references)
    while leaves := {name for name in remaining if not remaining & set(references[name])}:
        remaining -= leaves
    return remaining
