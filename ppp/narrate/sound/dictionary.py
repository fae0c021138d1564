"""The words of `spoken.toml`, read once."""

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

_CONTENT: Final[Mapping[str, Any]] = tomllib.loads(Path(__file__).with_name("spoken.toml").read_text("utf-8"))
#: How whole words are said, units after a number, and what names are put together from.
WORDS: Final[Mapping[str, str]] = _CONTENT["words"]
UNITS: Final[Mapping[str, str]] = _CONTENT["after-a-number"]
PARTS: Final[Mapping[str, str]] = _CONTENT["parts"]
#: Words that are said as they are written.
PLAIN: Final = frozenset(_CONTENT["plain"]["words"])


def word_list(name: str) -> tuple[str, ...]:
    """Return a list of words by its name."""
    return tuple(_CONTENT["lists"][name].split())
