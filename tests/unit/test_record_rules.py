"""What makes a record valid, and what takes the place of one that is not."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any, Final

import pytest
from sample_record import SAMPLE_RECORD

from ppp.model.errors import InvalidRecordError
from ppp.model.record import Blame, DistributionFile, Installed, Outcome, Phase, Record, Result, outcomes_in_order
from ppp.model.release import Release
from ppp.record_rules import (
    INVALID_RECORD_CAUSE,
    control_characters,
    record_mistakes,
    require_valid,
    valid_or_error,
)

DOWNLOADED: Final = replace(
    SAMPLE_RECORD,
    outcomes=outcomes_in_order(dict.fromkeys(Phase, Outcome.PASS)),
    file=DistributionFile(filename="six-1.0.tar.gz", sha256="5a" * 32, size=7),
    duration_ms={Phase.NODEPS: 5},
)
#: Changes that make a record invalid, and words of the mistake.
MISTAKES: Final[dict[str, tuple[dict[str, Any], str]]] = {
    "long-name": ({"installed": (Installed(name="i̇" * 214, version="1", sha256=None),)}, "installed[0][0]"),
    "long-version": ({"installed": (Installed(name="a", version="1" * 129, sha256=None),)}, "installed[0][1]"),
    "bad-hash": ({"installed": (Installed(name="a", version="1", sha256="no"),)}, "installed[0][2]"),
    "many": ({"installed": (Installed(name="a", version="1", sha256=None),) * 2001}, "installed"),
    "long-detail": ({"detail": "x" * 501}, "detail"),
    "control": ({"detail": "a\x1b[31mb"}, "control character in detail"),
    "line-separator": ({"detail": "a\u2028b"}, "control character in detail"),
    "control-in-import": ({"imports": ("a\nb",)}, "control character in imports[0]"),
    "surrogate": ({"detail": "a\ud800b"}, "canonical form"),
    "negative-time": ({"duration_ms": {Phase.NODEPS: -1}}, "duration_ms"),
    "huge-time": ({"duration_ms": {Phase.NODEPS: 2**53}}, "duration_ms"),
    "fraction": ({"bytes": {Phase.FULL: 0.5}}, "bytes"),
    "file-name": ({"file": DistributionFile(filename="../x", sha256="5a" * 32, size=7)}, "file.filename"),
    "file-hash": ({"file": DistributionFile(filename="x.whl", sha256="", size=7)}, "file.sha256"),
    "cause": ({"cause": "No cause"}, "cause"),
    "ground": ({"grounds": {Phase.FULL: "x" * 65}}, "grounds"),
    "python": ({"python": "three"}, "python"),
    "digest": ({"image_digest": "sha256:x"}, "image_digest"),
}


def test_a_valid_record_has_no_mistakes_and_stays_itself() -> None:
    for record in (SAMPLE_RECORD, DOWNLOADED):
        assert record_mistakes(record) == []
        assert valid_or_error(record) is record
        require_valid(record)


@pytest.mark.parametrize("name", MISTAKES)
def test_a_mistake_is_named_and_nothing_invalid_is_left(name: str) -> None:
    changes, words = MISTAKES[name]
    invalid = replace(DOWNLOADED, **changes)
    assert words in record_mistakes(invalid)[0]
    with pytest.raises(InvalidRecordError, match=r"the record of six==1\.0 in py312-slim is invalid"):
        require_valid(invalid)


@pytest.mark.parametrize("name", [name for name in MISTAKES if name not in {"python", "digest"}])
def test_an_error_that_says_what_was_wrong_takes_the_place_of_an_invalid_record(name: str) -> None:
    changes, words = MISTAKES[name]
    error = valid_or_error(replace(DOWNLOADED, **changes))
    assert record_mistakes(error) == []
    assert (error.result, error.cause, error.blame) == (Result.ERROR, INVALID_RECORD_CAUSE, Blame.INFRASTRUCTURE)
    assert (error.release, error.environment) == (DOWNLOADED.release, DOWNLOADED.environment)
    assert words.partition("[")[0] in (error.detail or "")
    assert (error.installed, error.imports, error.log_sha256) == ((), (), None)


@pytest.mark.parametrize("changes", [{"python": "three"}, {"arch": "X"}, {"observed_at": -1}, {"environment": "mine"}])
def test_what_no_observation_can_tell_is_raised(changes: dict[str, Any]) -> None:
    with pytest.raises(InvalidRecordError):
        valid_or_error(replace(DOWNLOADED, **changes))


@pytest.mark.parametrize(
    "release",
    [
        Release(package="a b", version="1.0"),
        Release(package="i̇" * 214, version="1.0"),
        Release(package="a", version="x"),
    ],
)
def test_a_release_that_was_not_parsed_is_a_mistake(release: Release) -> None:
    assert record_mistakes(replace(SAMPLE_RECORD, release=release))


def test_a_version_that_is_not_in_normal_form_is_a_mistake() -> None:
    release = Release(package="six", version="1.0.0a")
    assert record_mistakes(replace(SAMPLE_RECORD, release=release)) == ["it is not in normal form"]


def test_control_characters_are_found_everywhere() -> None:
    document = {"a": ["fine ü 漢", "\x1b[31m"], "b\n": {"c": "\x9b"}, "d": "\u2028", "e": 1}
    assert list(control_characters(document)) == ["a[1]", "a key of the document", "b\n.c", "d"]


def test_the_message_is_printable_whatever_the_record_holds(record: Callable[..., Record]) -> None:
    for text in ("\x1b]0;x\x07" * 200, "\u202e" * 501, "\ud800" * 501):
        with pytest.raises(InvalidRecordError) as error:
            require_valid(record(detail=text))
        assert error.value.message.isprintable()
