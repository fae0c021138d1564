"""Which cells a new release, image or pip makes a node check again."""

import pytest

from ppp.ledger.dependents import Dependent, FailedCell, Landing
from ppp.model.matrix import Cell
from ppp.model.release import Release
from ppp.model.trigger import Trigger, TriggerKind
from ppp.runner.rechecks import changed_checks, dependency_checks

HERE = "py312-slim"


def landing(
    version: str = "2.0.0", *, is_newest: bool = True, announced_at: int | None = None, withdrawn: bool = False
) -> Landing:
    release = Release(package="numpy", version=version)
    return Landing(
        release=release, environment=HERE, is_newest=is_newest, announced_at=announced_at, withdrawn=withdrawn
    )


def cell(package: str) -> Cell:
    return Cell(release=Release(package=package, version="1"), environment=HERE)


def dependent(package: str = "app", installed: str = "1.26", downloads: int | None = None) -> Dependent:
    return Dependent(cell=cell(package), installed=installed, observed_at=100, downloads=downloads)


@pytest.mark.parametrize(
    ("landed", "installed", "is_affected"),
    [
        (landing(), "1.26", True),
        (landing(), "2.0.0", False),
        (landing(), "2.0", False),
        (landing(), "2.1", False),
        (landing(), "not a version", True),
        # Installers take no pre-release in place of a final one.
        (landing("2.0.0rc1"), "1.26", False),
        (landing("2.0.0rc2"), "2.0.0rc1", True),
        # An older release that is nothing new, and one of an older series that was announced since.
        (landing("1.26.1", is_newest=False), "1.26", False),
        (landing("1.26.1", is_newest=False, announced_at=99), "1.26", False),
        (landing("1.26.1", is_newest=False, announced_at=101), "1.26", True),
        (landing("1.26.1", is_newest=False), "not a version", False),
        # One that is withdrawn concerns who installed just that one.
        (landing(withdrawn=True), "2.0.0", True),
        (landing(is_newest=False, withdrawn=True), "2.0.0", True),
        (landing(withdrawn=True), "1.26", False),
    ],
)
def test_a_release_concerns_who_installed_an_older_one(landed: Landing, installed: str, is_affected: bool) -> None:  # noqa: FBT001 - a case
    assert (dependency_checks(landed, [dependent(installed=installed)], budget=9) is not None) is is_affected


def test_the_most_downloaded_come_first_within_the_budget() -> None:
    dependents = [dependent("d"), dependent("b"), dependent("c", downloads=5), dependent("a", downloads=9)]
    checks = dependency_checks(landing(), dependents, budget=3)
    assert checks is not None
    assert [one.release.package for one in checks.cells] == ["a", "c", "b"]
    assert checks.affected == 4
    assert checks.trigger == Trigger(kind=TriggerKind.DEPENDENCY, name="numpy", version="2.0.0")


def test_a_new_image_or_pip_concerns_what_failed_with_another() -> None:
    failed = [
        FailedCell(cell=cell("old"), image_digest="sha256:1", pip_version="25", downloads=None),
        FailedCell(cell=cell("new"), image_digest="sha256:2", pip_version="26", downloads=None),
        FailedCell(cell=cell("host"), image_digest=None, pip_version="25", downloads=7),
    ]
    image = Trigger(kind=TriggerKind.IMAGE, name="python:3.12-slim", version="sha256:2")
    pip = Trigger(kind=TriggerKind.PIP, name="pip", version="26")
    assert [c.release.package for c in changed_checks(image, HERE, failed, budget=9).cells] == ["old"]
    assert [c.release.package for c in changed_checks(pip, HERE, failed, budget=9).cells] == ["host", "old"]
    assert changed_checks(pip, HERE, failed, budget=0).affected == 2
