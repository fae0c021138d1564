"""Pythons whose tools are frozen: what is said of them, and whether the index agrees."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from packaging.specifiers import SpecifierSet
from packaging.version import Version
from pypi_simple import PYPI_SIMPLE_ENDPOINT

from ppp.check.index.choose import file_version
from ppp.check.index.client import SimpleIndex
from ppp.check.pythons import frozen_pythons
from ppp.ledger.store import Store
from ppp.matrix_files import load_matrix
from ppp.model.record import Record
from ppp.publish.build import build
from ppp.resources import resource
from ppp.schemas import schema_errors


def test_python_3_9_is_frozen() -> None:
    assert frozen_pythons()["3.9"].about == (
        "Python 3.9 reached its end of life in October 2025 (PEP 596); pip 26.1 and setuptools 83.0.0 need a newer one."
        " Its tools stay as they are: pip 26.0.1 and setuptools 82.0.1 are the last that run on it."
    )


def test_the_pinned_pip_runs_on_every_frozen_python_of_the_matrix() -> None:
    matrix = load_matrix(resource("matrices/default.toml"))
    for environment in matrix.environments:
        if environment.python in frozen_pythons():
            assert Version(matrix.pip.version) <= Version(frozen_pythons()[environment.python].tools["pip"].last)


@pytest.mark.online
@pytest.mark.parametrize("tool", ["pip", "setuptools"])
def test_the_index_agrees(tool: str, tmp_path: Path) -> None:
    index = SimpleIndex(PYPI_SIMPLE_ENDPOINT, cache=tmp_path, user_agent="the-pypi-place/tests")
    needs = {
        version: SpecifierSet(file.requires_python or "")
        for file in index.files(tool)
        if (version := file_version(file, tool)) and not version.is_prerelease and not file.yanked
    }
    for python, frozen in frozen_pythons().items():
        last = max(version for version, admits in needs.items() if admits.contains(f"{python}.99"))
        assert last == Version(frozen.tools[tool].last)
        assert min(version for version in needs if version > last) == Version(frozen.tools[tool].next)


def test_the_page_and_the_file_of_such_an_environment_say_so(
    store: Store, record: Callable[..., Record], tmp_path: Path
) -> None:
    for environment in ("py39-slim", "py312-slim"):
        store.add_record(record("six", "1.17.0", environment))
    build(store.db, tmp_path)
    about = frozen_pythons()["3.9"].about
    document = json.loads((tmp_path / "api/v1/env/py39-slim.json").read_text("utf-8"))
    assert document["about"] == about
    assert schema_errors("site/schemas/environment.schema.json", document) == []
    assert about in (tmp_path / "env/py39-slim/index.html").read_text("utf-8")
    assert "about" not in json.loads((tmp_path / "api/v1/env/py312-slim.json").read_text("utf-8"))
    assert "end of life" not in (tmp_path / "env/py312-slim/index.html").read_text("utf-8")
