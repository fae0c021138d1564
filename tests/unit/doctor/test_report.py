"""How diagnoses are laid out, in columns for a person and as JSON for a program."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ppp.doctor.diagnosis import Diagnosis, State, format_size
from ppp.doctor.report import format_report

DIAGNOSES = (
    Diagnosis(subject="docker", state=State.OK, found="Docker 27.0.1 at unix:///var/run/docker.sock, API 1.46"),
    Diagnosis(subject="model", state=State.NOTE, found="PPP_MODEL is not set"),
    Diagnosis(subject="clock", state=State.WARN, found="it drifts", remedy="let a time service set it"),
    Diagnosis(
        subject="py312-alpine",
        state=State.BROKEN,
        found="python:3.12-alpine is not here and cannot be pulled (no such host)",
        remedy="run `docker pull python:3.12-alpine`, or load the image from a file that somebody else has saved",
    ),
)


def test_a_report_in_columns() -> None:
    assert format_report(DIAGNOSES, width=80, colour=False).splitlines() == [
        "✓ ok     docker       Docker 27.0.1 at unix:///var/run/docker.sock, API 1.46",
        "· note   model        PPP_MODEL is not set",
        "! warn   clock        it drifts",
        "                      → let a time service set it",
        "✗ broken py312-alpine python:3.12-alpine is not here and cannot be pulled (no",
        "                      such host)",
        "                      → run `docker pull python:3.12-alpine`, or load the image",
        "                        from a file that somebody else has saved",
        "",
        "4 checks: 1 ok, 1 note, 1 warning, 1 broken",
    ]


def test_colours_add_no_information() -> None:
    coloured = format_report(DIAGNOSES, width=80, colour=True)
    assert "\x1b[31m✗ broken\x1b[0m" in coloured
    bare = coloured
    for code in ("\x1b[31m", "\x1b[32m", "\x1b[33m", "\x1b[34m", "\x1b[0m"):
        bare = bare.replace(code, "")
    assert bare == format_report(DIAGNOSES, width=80, colour=False)


@given(found=st.text(), remedy=st.text(), width=st.integers(50, 120))
def test_text_from_outside_stays_in_its_columns(found: str, remedy: str, width: int) -> None:
    hostile = Diagnosis(subject="index", state=State.BROKEN, found=f"it said {found}", remedy=remedy)
    text = format_report([hostile], width=width, colour=False)
    assert all(c.isprintable() or c == "\n" for c in text)
    assert max(map(len, text.splitlines())) <= width


def test_the_json_holds_the_same() -> None:
    assert DIAGNOSES[0].to_json() == {
        "check": "docker",
        "state": "ok",
        "found": "Docker 27.0.1 at unix:///var/run/docker.sock, API 1.46",
        "remedy": None,
    }
    assert DIAGNOSES[3].to_json()["remedy"] == DIAGNOSES[3].remedy


@pytest.mark.parametrize(
    ("number", "text"), [(0, "0 KiB"), (2048, "2 KiB"), (1024**2, "1.0 MiB"), (5 * 1024**3 // 2, "2.5 GiB")]
)
def test_sizes(number: int, text: str) -> None:
    assert format_size(number) == text
