"""What changed between two declared sets, by package: pure."""

from collections.abc import Sequence
from dataclasses import dataclass

from ppp.declared.declaration import DeclaredPackage, DeclaredSet
from ppp.model.canonical import Json


@dataclass(frozen=True, slots=True, kw_only=True)
class SetDifference:
    """What is different in the second of two sets: a line for each thing, sorted; nothing if they are equal."""

    added: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()
    changed: tuple[str, ...] = ()

    @property
    def is_empty(self) -> bool:
        """Whether both are the same."""
        return not (self.added or self.removed or self.changed)

    def to_json(self) -> dict[str, Json]:
        """Return it as JSON."""
        return {"added": [*self.added], "removed": [*self.removed], "changed": [*self.changed]}

    def lines(self) -> list[str]:
        """Return it as lines: `+`, `-` or `~`, and what it is about."""
        signed = (("+", self.added), ("-", self.removed), ("~", self.changed))
        return [f"{sign} {text}" for sign, texts in signed for text in texts]


def compare_sets(before: DeclaredSet, now: DeclaredSet) -> SetDifference:
    """Return what is different now. A package is changed if both sets have it, in whatever versions."""
    old, new = _by_name(before), _by_name(now)
    changed = [f"{name} {what}" for name in sorted(old.keys() & new.keys()) for what in _changes(old[name], new[name])]
    return SetDifference(
        added=(*_environments(now, before), *(_listed(new[name]) for name in sorted(new.keys() - old.keys()))),
        removed=(*_environments(before, now), *(_listed(old[name]) for name in sorted(old.keys() - new.keys()))),
        changed=tuple(changed),
    )


def _environments(one: DeclaredSet, other: DeclaredSet) -> list[str]:
    return [f"environment {name}" for name in one.environments if name not in other.environments]


def _by_name(declared: DeclaredSet) -> dict[str, list[DeclaredPackage]]:
    found: dict[str, list[DeclaredPackage]] = {}
    for package in declared.packages:
        found.setdefault(package.release.package, []).append(package)
    return found


def _listed(packages: Sequence[DeclaredPackage]) -> str:
    return ", ".join(package.requirement for package in packages)


def _changes(old: Sequence[DeclaredPackage], new: Sequence[DeclaredPackage]) -> list[str]:
    versions = [", ".join(one.release.version for one in packages) for packages in (old, new)]
    changes = [] if versions[0] == versions[1] else [f"{versions[0]} → {versions[1]}"]
    for what, before, now in (
        ("file", _files(old), _files(new)),
        ("extra", _texts(old, "extras"), _texts(new, "extras")),
        ("dependency", _texts(old, "dependencies"), _texts(new, "dependencies")),
        ("requires-python", _python(old), _python(new)),
    ):
        changes += [f"without the {what} {text}" for text in sorted(before - now)]
        changes += [f"with the {what} {text}" for text in sorted(now - before)]
    return changes


def _files(packages: Sequence[DeclaredPackage]) -> set[str]:
    return {f"{file.filename} ({file.sha256[:12]})" for package in packages for file in package.files}


def _texts(packages: Sequence[DeclaredPackage], name: str) -> set[str]:
    return {text for package in packages for text in getattr(package, name)}


def _python(packages: Sequence[DeclaredPackage]) -> set[str]:
    return {package.requires_python or "(any)" for package in packages}
