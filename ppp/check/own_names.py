"""Whether the name of a module is its project's own: what makes a module the primary one of a release. Pure.

Only names that are surely the project's own count. A module that merely looks similar decides nothing, because the
outcome of the primary module alone decides a verdict.
"""

import re
from functools import lru_cache
from typing import Final

#: Words that projects add to the name of what one imports: `python-dateutil` has `dateutil`, `foo` may have `pyfoo`.
_LANGUAGE: Final = frozenset({"python", "python2", "python3", "py", "py2", "py3"})
#: Words at the end of a project's name that tell its builds or parts apart: `psycopg2-binary` has `psycopg2`.
_VARIANTS: Final = frozenset({"binary", "bin", "contrib", "core", "cpu", "gpu", "headless", "lib", "nightly"})
#: The shortest name that may be left after something was taken away.
_SHORTEST: Final = 2
_SEPARATORS: Final = re.compile(r"[-_.]+")


def plain_name(name: str) -> str:
    """Return a name of a project or module without case and separators: `Zope.Lib` and `zope-lib` are `zopelib`."""
    return _SEPARATORS.sub("", name).lower()


def equals_project(package: str, module: str) -> bool:
    """Return whether a dotted module name is the project's name, whatever the case and the separators are."""
    return plain_name(package) == plain_name(module)


def equals_project_by_words(package: str, module: str) -> bool:
    """Return whether a dotted module name is the project's name with the same words: `mysql.connector`."""
    return _words(package) == _words(module)


def resembles_project(package: str, module: str) -> bool:
    """Return whether a dotted module name is the project's, apart from `python`, `py`, a variant or a digit."""
    return not _project_stems(package).isdisjoint(_stems(plain_name(module)))


def resembles_project_by_words(package: str, module: str) -> bool:
    """Return whether the module's words are the project's without `python`, `py` or a variant at either end."""
    return _words(module) in _word_stems(_words(package))


def _words(name: str) -> tuple[str, ...]:
    return tuple(word for word in _SEPARATORS.split(name.lower()) if word)


def _word_stems(words: tuple[str, ...]) -> frozenset[tuple[str, ...]]:
    """Return the words, and what is left without the first one or the last ones, if these are no part of the name."""
    starts = [words, words[1:]] if len(words) > 1 and words[0] in _LANGUAGE else [words]
    found = set(starts)
    for start in starts:
        rest = start
        # `opencv-python-headless` has two such words.
        while len(rest) > 1 and rest[-1] in _LANGUAGE | _VARIANTS:
            rest = rest[:-1]
            found.add(rest)
    return frozenset(stem for stem in found if len("".join(stem)) >= _SHORTEST)


# Asked for each module of a release.
@lru_cache(maxsize=64)
def _project_stems(package: str) -> frozenset[str]:
    return frozenset(stem for words in _word_stems(_words(package)) for stem in _stems("".join(words)))


def _stems(plain: str) -> frozenset[str]:
    """Return a plain name, and what is left of it without `py` or `python` at either end or a digit at its end."""
    found = {plain}
    # What begins with `pytest` is about that, not about Python.
    if not plain.startswith("pytest"):
        found |= {plain.removeprefix(word) for word in ("python", "py")}
        found |= {plain.removesuffix(word) for word in ("python", "py")}
    # A number of two digits is no version: `base64`.
    found |= {re.sub(r"(?<![0-9])[2-4]$", "", stem) for stem in found}
    return frozenset(stem for stem in found if len(stem) >= _SHORTEST)
