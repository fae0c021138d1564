"""The matrix: which environments are selected, and how a cell is named."""

import pytest

from ppp.matrix_files import load_matrix
from ppp.model.errors import UnknownEnvironmentError
from ppp.model.matrix import Cell, EnvironmentId, Matrix, Platform, environment_sort_key
from ppp.model.record import Phase
from ppp.model.release import Release
from ppp.resources import resource


@pytest.fixture(scope="module")
def matrix() -> Matrix:
    return load_matrix(resource("matrices/default.toml"))


def test_the_six_environments(matrix: Matrix) -> None:
    assert [str(e) for e in matrix.environments] == [
        "py39-slim",
        "py311-slim",
        "py312-slim",
        "py39-alpine",
        "py311-alpine",
        "py312-alpine",
    ]
    assert {e.image for e in matrix.environments} == {
        f"python:{v}-{p}" for v in ("3.9", "3.11", "3.12") for p in ("slim", "alpine")
    }
    assert set(matrix.timeouts_s) == set(Phase)


def test_all_shipped_matrices_name_one_pip() -> None:
    paths = sorted(resource("matrices").glob("*.toml"))
    assert {path.name for path in paths} >= {"default.toml", "host.toml"}
    assert len({load_matrix(path).pip for path in paths}) == 1


def test_the_host_matrix_claims_no_image() -> None:
    rows = load_matrix(resource("matrices/host.toml")).environments
    assert {e.platform for e in rows} == {Platform.HOST}
    assert {e.image for e in rows} == {""}


def test_selecting_keeps_the_matrix_s_order(matrix: Matrix) -> None:
    assert [e.id for e in matrix.select(["py312-alpine", "py39-slim", "py39-slim"])] == ["py39-slim", "py312-alpine"]
    assert matrix.select([]) == matrix.environments


def test_every_unknown_environment_is_named(matrix: Matrix) -> None:
    with pytest.raises(UnknownEnvironmentError) as caught:
        matrix.select(["py312-slim", "py27-slim", "py311-windows"])
    assert caught.value.message == "no such environment: py27-slim, py311-windows"
    assert "py312-alpine" in caught.value.hint


def test_the_text_of_a_cell() -> None:
    cell = Cell(release=Release(package="six", version="1.17.0"), environment="py312-slim")
    assert str(cell) == "six==1.17.0 in py312-slim"


def test_an_environment_id_is_parsed_and_written() -> None:
    for text, python, version, key in (("py39-slim", (3, 9), "3.9", 309), ("py312-alpine", (3, 12), "3.12", 312)):
        parsed = EnvironmentId.parse(text)
        assert parsed == EnvironmentId(python=python, platform=Platform(text.partition("-")[2]))
        assert (parsed.python_version, parsed.python_key, str(parsed)) == (version, key, text)


@pytest.mark.parametrize(
    "text",
    ["", "py312", "py312-", "py312-windows", "py27-slim", "py3-slim", "py3123-slim", "py3\u0661-slim", "py39-slim\n"],
)
def test_other_text_is_not_an_environment_id(text: str) -> None:
    with pytest.raises(ValueError, match="is not the id of an environment"):
        EnvironmentId.parse(text)


def test_environments_are_sorted_by_platform_and_then_by_python() -> None:
    ids = ["py312-alpine", "py39-host", "py311-slim", "py39-alpine", "py312-slim", "py310-slim", "py39-slim"]
    assert sorted(ids, key=environment_sort_key) == [
        "py39-slim", "py310-slim", "py311-slim", "py312-slim", "py39-alpine", "py312-alpine", "py39-host",
    ]  # fmt: skip
