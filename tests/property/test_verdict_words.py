"""The sentence on a release says of each environment what its cell says: for all combinations, read from its words."""

import re
from collections import Counter
from collections.abc import Mapping
from itertools import product

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ppp.model.matrix import Platform
from ppp.model.shown import Shown
from ppp.model.verdict_words import PLATFORM_NAMES, verdict_counts, verdict_sentence

DOES = {
    "works ": Shown.PASS,
    "installs, with nothing to import, ": Shown.INSTALLED,
    "fails ": Shown.FAIL,
    "exceeds its time ": Shown.TIMEOUT,
    "is not to be had ": Shown.NA,
    "could not be checked ": Shown.ERROR,
}
PLATFORMS = {name: platform for platform, name in PLATFORM_NAMES.items()}
FOUR = ("py39-slim", "py312-slim", "py39-alpine", "py312-alpine")
ANYWHERE = st.builds("py3{}-{}".format, st.integers(6, 15), st.sampled_from([*Platform]))


def read_back(sentence: str, checked: Mapping[str, Shown]) -> dict[str, Shown]:
    """Return what a sentence says of each environment, as a person reads it."""
    assert sentence.startswith("six 1.17.0 ")
    assert sentence.endswith(".")
    said: dict[str, Shown] = {}
    for clause in sentence.removeprefix("six 1.17.0 ")[:-1].split("; it "):
        (does,) = (does for does in DOES if clause.startswith(does))
        for places in re.split(" and (?=on )", clause.removeprefix(does)):
            names, with_, pythons = places.removeprefix("on ").partition(" with Python ")
            for name in re.split(", | and ", names):
                platform = PLATFORMS[name]
                of_platform = [one for one in checked if one.endswith(f"-{platform}")]
                listed = [f"py{one.replace('.', '')}-{platform}" for one in re.split(", | and ", pythons)]
                for environment in listed if with_ else of_platform:
                    assert environment not in said, "it says one thing of each"
                    said[environment] = DOES[does]
                # Of a Python that was not checked nothing good is claimed.
                assert with_ or DOES[does] not in {Shown.PASS, Shown.INSTALLED}
    return said


def test_every_combination_of_four_environments() -> None:
    for results in product(Shown, repeat=len(FOUR)):
        cells = dict(zip(FOUR, results, strict=True))
        assert read_back(verdict_sentence("six 1.17.0", cells), cells) == cells


@given(cells=st.dictionaries(ANYWHERE, st.sampled_from([*Shown]), min_size=1, max_size=18))
@settings(max_examples=150)
def test_any_environments(cells: dict[str, Shown]) -> None:
    said = verdict_sentence("six 1.17.0", cells)
    assert read_back(said, cells) == cells
    assert said == verdict_sentence("six 1.17.0", dict(reversed(cells.items()))), "whatever their order"


@pytest.mark.parametrize(
    ("cells", "sentence"),
    [
        (
            {"py39-slim": "PASS", "py311-slim": "FAIL", "py312-slim": "FAIL", "py39-alpine": "FAIL"},
            "works on Debian slim with Python 3.9; it fails on Debian slim with Python 3.11 and 3.12 and on Alpine.",
        ),
        (
            dict.fromkeys(("py39-slim", "py312-slim", "py39-alpine", "py312-alpine"), "PASS"),
            "works on Debian slim and Alpine with Python 3.9 and 3.12.",
        ),
        ({"py312-host": "installed"}, "installs, with nothing to import, on host with Python 3.12."),
        ({"py39-slim": "NA", "py39-alpine": "NA"}, "is not to be had on Debian slim and Alpine."),
        ({}, "has not been checked."),
    ],
)
def test_examples(cells: dict[str, str], sentence: str) -> None:
    assert verdict_sentence("x 1", {e: Shown(one) for e, one in cells.items()}) == f"x 1 {sentence}"


@given(cells=st.lists(st.sampled_from([*Shown]), min_size=1, max_size=60))
def test_where_cells_are_only_counted_all_of_them_are(cells: list[Shown]) -> None:
    sentence = verdict_counts("six 1.17.0", cells)
    read = {}
    for clause in sentence.removeprefix("six 1.17.0 ").removesuffix(".").split("; it "):
        (does,) = (does for does in DOES if clause.startswith(does))
        read[DOES[does]] = int(re.sub(r"\D", "", clause))
    assert read == Counter(cells)
    assert sentence.count("environment") == 1
