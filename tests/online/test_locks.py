"""Real packages with compiled parts: check, lock, install from the lock in the same image, and compare.

By default two releases are tried; `PPP_ONLINE=all` tries all.
"""

import os
import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Final

import pytest
from lock_trips import Installer, install, install_files
from online_set import check_cells, ready_environments
from second_opinion import DockerRunner

from ppp.check.index.listed_files import fetched_files
from ppp.locks.lock import Lock
from ppp.locks.make import make_lock
from ppp.locks.pylock import read_lock, write_pylock
from ppp.locks.requirements import write_requirements
from ppp.model.matrix import Cell
from ppp.model.record import Record, Result
from ppp.model.release import Release

IMAGES: Final = {"py312-slim": "python:3.12-slim", "py311-alpine": "python:3.11-alpine"}
QUICK: Final = (("cryptography", "50.0.2", "py312-slim"), ("lxml", "6.1.3", "py311-alpine"))
OTHERS: Final = tuple(
    (package, version, environment)
    for package, version in (
        ("aiohttp", "3.14.5"),
        ("bcrypt", "5.0.0"),
        ("cryptography", "50.0.2"),
        ("docopt", "0.6.2"),
        ("grpcio", "1.85.3"),
        ("lxml", "6.1.3"),
        ("numpy", "2.5.5"),
        ("orjson", "3.13.0"),
        ("pandas", "3.1.1"),
        ("pillow", "13.0.0"),
        ("pydantic", "2.14.4"),
        ("uvloop", "0.23.0"),
    )
    for environment in IMAGES
    if (package, environment) != ("numpy", "py311-alpine")  # NA: it requires Python 3.12
)
CELLS: Final = tuple(
    Cell(release=Release(package=package, version=version), environment=environment)
    for package, version, environment in (OTHERS if os.environ.get("PPP_ONLINE") == "all" else QUICK)
)
#: Every installer with every cell; in CI, the image's pip with each, and others with the first.
TRIPS: Final = tuple(
    (cell, installer)
    for cell in CELLS
    for installer in Installer
    if len(CELLS) > len(QUICK)
    or installer is Installer.IMAGE_PIP
    or (cell == CELLS[0] and installer is not Installer.UV_REQUIREMENTS)
)
#: What an environment of its own holds before anything is installed into it.
BROUGHT: Final = {"pip", "setuptools", "wheel"}

pytestmark = [pytest.mark.online, pytest.mark.docker, pytest.mark.nginx, pytest.mark.slow]


@pytest.fixture(scope="module", name="locks")
def _locks(tmp_path_factory: pytest.TempPathFactory) -> Mapping[Cell, tuple[Record, Lock]]:
    data = tmp_path_factory.mktemp("locks")
    with ready_environments({cell.environment for cell in CELLS}, data) as place:
        records = check_cells(place, CELLS)
        files = {(file.sha256, file.project): file for file in fetched_files(place.index, 1)}
    assert {str(cell): record.result for cell, record in records.items() if record.result is not Result.PASS} == {}
    return {cell: (record, make_lock(record, record.id, files)) for cell, record in records.items()}


@pytest.fixture(scope="module", name="runner")
def _runner() -> DockerRunner:
    return DockerRunner(timeout_s=600, environ=os.environ)


@pytest.mark.parametrize(("cell", "installer"), TRIPS, ids=str)
def test_an_installation_from_a_lock_is_what_was_recorded(
    locks: Mapping[Cell, tuple[Record, Lock]], runner: DockerRunner, cell: Cell, installer: Installer
) -> None:
    record, lock = locks[cell]
    trip = install(runner, IMAGES[cell.environment], read_lock(write_pylock(lock)), installer)
    assert trip.installed is not None, trip.output
    wanted = {(one.name, one.version, one.sha256) for one in record.installed}
    ours = {one for one in trip.installed if one[0] not in BROUGHT - {name for name, _, _ in wanted}}
    if installer is Installer.IMAGE_PIP:
        assert ours == wanted
    else:
        # These note no hash of what a lock names.
        assert {one[:2] for one in ours} == {one[:2] for one in wanted}


def test_pip_refuses_a_requirement_whose_hash_name_or_file_was_changed(
    locks: Mapping[Cell, tuple[Record, Lock]], runner: DockerRunner
) -> None:
    cell = CELLS[0]
    _, lock = locks[cell]
    pylock, whole = write_pylock(lock), write_requirements(lock).decode()
    own = next(package for package in lock.packages if package.name == cell.release.package)
    changed = {
        "hash": whole.replace(own.file.sha256, f"{own.file.sha256[:-1]}{'0' if own.file.sha256[-1] != '0' else '1'}"),
        "name": whole.replace(f"{own.name} @", f"{own.name}x @"),
        "file": whole.replace(own.file.filename, re.sub("cp3", "cp4", own.file.filename)),
    }
    for what, content in changed.items():
        assert content != whole
        trip = install_files(runner, IMAGES[cell.environment], pylock, content.encode(), Installer.IMAGE_PIP)
        assert trip.installed is None, what


def test_the_newest_pip_refuses_a_lock_with_another_hash(
    locks: Mapping[Cell, tuple[Record, Lock]], runner: DockerRunner
) -> None:
    cell = CELLS[0]
    _, lock = locks[cell]
    first, *others = lock.packages
    wrong = replace(lock, packages=(replace(first, file=replace(first.file, sha256="0" * 64)), *others))
    for installer in (Installer.NEWEST_PIP, Installer.UV_PYLOCK):
        trip = install(runner, IMAGES[cell.environment], wrong, installer)
        assert trip.installed is None, installer
