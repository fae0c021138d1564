"""The pinned requirements: exact versions with hashes, no addresses, of all that pyproject.toml names."""

import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest
from packaging.markers import default_environment
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name

ROOT: Final = Path(__file__).parents[3]
NODE: Final = ROOT / "scripts" / "requirements.txt"
BUILD: Final = ROOT / "scripts" / "requirements-build.txt"
NOX: Final = ROOT / "scripts" / "requirements-nox.txt"
CONTAINER: Final = ROOT / "site" / "datasette" / "requirements.txt"
PROJECT: Final[dict[str, Any]] = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
HASH: Final = re.compile(r"--hash=sha256:[0-9a-f]{64}")
#: The line of a requirement and those of its hashes, which end in a backslash but for the last.
ENTRY: Final = re.compile(r"(?P<requirement>[^\s#][^\n]*?) \\\n(?P<hashes>(?:    [^\n]+\n)+)")
PYTHONS: Final = ("3.11.2", "3.11.13", "3.12.1", "3.13.0", "3.14.0")


def entries(path: Path) -> Iterator[tuple[Requirement, list[str]]]:
    text = "".join(line for line in path.read_text("utf-8").splitlines(keepends=True) if not line.startswith("#"))
    matches = list(ENTRY.finditer(text))
    assert "".join(match[0] for match in matches) == text, "nothing but requirements with hashes"
    for match in matches:
        yield Requirement(match["requirement"]), match["hashes"].replace("\\", "").split()


@pytest.mark.attack("same-bytes")
@pytest.mark.parametrize("path", [NODE, BUILD, NOX, CONTAINER], ids=["node", "build", "nox", "container"])
def test_each_requirement_is_one_version_with_hashes(path: Path) -> None:
    found = list(entries(path))
    assert len(found) > 5
    for requirement, hashes in found:
        assert re.fullmatch(r"==[0-9a-z.]+", str(requirement.specifier)), requirement
        assert requirement.url is None
        assert hashes
        assert all(HASH.fullmatch(each) for each in hashes), requirement


@pytest.mark.parametrize("path", [NODE, BUILD, NOX, CONTAINER], ids=["node", "build", "nox", "container"])
def test_no_address_is_named(path: Path) -> None:
    text = path.read_text("utf-8")
    assert "://" not in text
    assert not re.search(r"(?m)^\s*-(?!-hash=)", text)


@pytest.mark.parametrize("python", PYTHONS)
@pytest.mark.parametrize(
    ("path", "wanted"),
    [
        (NODE, PROJECT["project"]["dependencies"]),
        (BUILD, PROJECT["dependency-groups"]["install"]),
        (NOX, PROJECT["dependency-groups"]["bootstrap"]),
        (CONTAINER, PROJECT["dependency-groups"]["datasette"]),
    ],
    ids=["node", "build", "nox", "container"],
)
def test_all_that_the_project_needs_is_pinned_for_each_python(path: Path, wanted: list[str], python: str) -> None:
    here = {name: str(value) for name, value in default_environment().items()}
    here |= {"python_full_version": python, "python_version": python.rpartition(".")[0]}
    pinned: dict[str, str] = {}
    for requirement, _ in entries(path):
        if requirement.marker is None or requirement.marker.evaluate(here):
            name = canonicalize_name(requirement.name)
            assert name not in pinned, "one version"
            pinned[name] = str(requirement.specifier).removeprefix("==")
    for requirement in map(Requirement, wanted):
        version = pinned[canonicalize_name(requirement.name)]
        assert SpecifierSet(str(requirement.specifier)).contains(version), f"{requirement}: run `scripts/nox -s pin`"


def test_the_noxfile_needs_no_other_nox() -> None:
    noxfile = re.search(r'needs_version = "(\S+)"', (ROOT / "noxfile.py").read_text())
    assert noxfile
    assert PROJECT["dependency-groups"]["bootstrap"] == [f"nox{noxfile[1]}"]
