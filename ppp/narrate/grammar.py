"""The grammar a model writes under, in GBNF: `root` fixes the order of the lines, each line is one of its renderings.

A malformed grammar, an undefined rule or a recursion ends llama.cpp with a segmentation fault, so `faults` reads the
finished text again, as strictly as we write it, before any model gets it.
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
    """Give the GBNF of a text with one line for each entry, which is one of the entry's renderings."""
    names = [f"line{place}" for place, _ in enumerate(lines, 1)]
    rules = [f"{ROOT} ::= {f' {_literal(chr(10))} '.join(names)}"]
    rules += [f"{name} ::= {' | '.join(map(_literal, line))}" for name, line in zip(names, lines, strict=True)]
    return "".join(f"{rule}\n" for rule in rules)


def _literal(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'"{escaped}"'


def grammar_errors(text: str) -> list[str]:
    """Give what is wrong with a grammar of ours; nothing, where it may be handed to llama.cpp."""
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
    return found or [f"{name} comes back to itself" for name in sorted(_recursive(references))]


def _recursive(references: Mapping[str, Iterable[str]]) -> set[str]:
    # What remains when rules are taken away that refer to no remaining rule.
    remaining = set(references)
    while leaves := {name for name in remaining if not remaining & set(references[name])}:
        remaining -= leaves
    return remaining
