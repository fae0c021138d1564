"""Read a project's pyproject.toml: what it requires, for which extras and dependency groups (PEP 621, PEP 735).

An extra that names the project itself (`my-lib[fast]`) is replaced by what those extras require.
"""

import hashlib
import json
import tomllib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from packaging.dependency_groups import resolve_dependency_groups
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name

from ppp.model.errors import ProjectFileError

PROJECT_NAME: Final = "pyproject.toml"
LOCK_NAME: Final = "pylock.toml"
ENVIRONMENT_NAME: Final = ".venv"
MAX_BYTES: Final = 10_000_000
_HINT: Final = "`ppp env init` writes one where there is none"


@dataclass(frozen=True, slots=True, kw_only=True)
class ProjectRequirements:
    """What a project requires: requirements as text, in order, by extra and by dependency group too."""

    name: str
    requires_python: str = ""
    base: Sequence[str] = ()
    extras: Mapping[str, Sequence[str]] = field(default_factory=dict)
    groups: Mapping[str, Sequence[str]] = field(default_factory=dict)

    @property
    def everything(self) -> list[str]:
        """All requirements, without duplicates, in order."""
        lists = [self.base, *self.extras.values(), *self.groups.values()]
        return [*dict.fromkeys(text for texts in lists for text in texts)]

    @property
    def digest(self) -> str:
        """The sha256 of all that a lock depends on, in hex: a lock made for another one is out of date."""
        parts = [sorted((name, sorted(texts)) for name, texts in by.items()) for by in (self.extras, self.groups)]
        content = [self.requires_python, sorted(self.base), parts]
        return hashlib.sha256(json.dumps(content).encode()).hexdigest()


def read_project(folder: Path) -> ProjectRequirements:
    """Return what the project in a folder requires; raise `ProjectFileError`."""
    path = folder / PROJECT_NAME
    return parse_project(read_bounded(path, hint=_HINT), str(path))


def read_bounded(path: Path, *, hint: str) -> bytes:
    """Return the bytes of a project's file; raise `ProjectFileError` if it cannot be read, or has over `MAX_BYTES`."""
    try:
        with path.open("rb") as file:
            content = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise ProjectFileError(f"cannot read {path}: {error.strerror}", hint=hint) from error
    if len(content) > MAX_BYTES:
        raise ProjectFileError(f"{path} is larger than {MAX_BYTES:,} bytes", hint="no project's file is so large")
    return content


def parse_project(content: bytes, source: str) -> ProjectRequirements:
    """Return what a pyproject.toml says; `source` names it in errors. Raise `ProjectFileError`."""
    try:
        document = tomllib.loads(content.decode())
        project, groups = document["project"], document.get("dependency-groups", {})
        name = canonicalize_name(project["name"], validate=True)
        extras: dict[str, Sequence[str]] = {
            canonicalize_name(extra, validate=True): _requirements(texts)
            for extra, texts in project.get("optional-dependencies", {}).items()
        }
        return ProjectRequirements(
            name=name,
            requires_python=str(SpecifierSet(project.get("requires-python", ""))),
            base=_expanded(_requirements(project.get("dependencies", [])), name, extras),
            extras={extra: _expanded(texts, name, extras) for extra, texts in sorted(extras.items())},
            groups={
                canonicalize_name(group): _expanded(resolve_dependency_groups(groups, group), name, extras)
                for group in sorted(groups)
            },
        )
    except (ValueError, TypeError, LookupError, AttributeError, RecursionError, ExceptionGroup) as error:
        reason = f"it has no {error}" if isinstance(error, KeyError) else str(error)
        raise ProjectFileError(f"{source} is not valid: {reason}", hint="see docs/environments.md") from error


def _requirements(texts: Any) -> list[str]:  # noqa: ANN401 - what a file says
    if not isinstance(texts, list):
        raise TypeError("dependencies are not a list of texts")
    return [str(Requirement(text)) for text in texts]


def _expanded(texts: Iterable[str], name: str, extras: Mapping[str, Sequence[str]]) -> list[str]:
    """Return requirements in which the project's own extras are replaced by what they require."""
    return [*dict.fromkeys(_expand(texts, name, extras, frozenset()))]


def _expand(
    texts: Iterable[str], name: str, extras: Mapping[str, Sequence[str]], seen: frozenset[str]
) -> Iterator[str]:
    for text in texts:
        requirement = Requirement(text)
        if canonicalize_name(requirement.name) != name:
            yield text
            continue
        for extra in map(canonicalize_name, sorted(requirement.extras - seen)):
            if extra not in extras:
                raise ValueError(f"it has no extra {extra}, which {text!r} names")
            yield from _expand(extras[extra], name, extras, seen | {extra})
