"""The rules of a declared set: what keeps them breaks none, and each way to break one says what to change."""

from dataclasses import replace
from typing import Any

import pytest
from declared_sets import APP, ARCH, LIB, NEEDED, declared_set, source_facts, with_package

from ppp.declared.declaration import DeclaredSet
from ppp.declared.rules import (
    DeclaredRule,
    SourceFacts,
    Violation,
    closure_violations,
    installable_packages,
    metadata_violations,
    source_violations,
    version_violations,
)

SET = declared_set()
WHEEL = "app-1.0-py3-none-any.whl"


def violations(declared: DeclaredSet, facts: SourceFacts | None = None) -> list[Violation]:
    found = facts or source_facts(declared)
    return [
        *version_violations(declared),
        *source_violations(declared, found),
        *metadata_violations(declared, found),
        *closure_violations(declared, ARCH),
    ]


def test_a_set_that_is_right_breaks_no_rule() -> None:
    assert violations(SET) == []


def only(found: list[Violation]) -> Violation:
    assert len(found) == 1, found
    assert "\n" not in str(found[0])
    return found[0]


# ---------------------------------------------------------------- one version


@pytest.mark.parametrize(
    ("name", "version", "platform"),
    [
        ("lib-2.0-cp312-abi3-manylinux_2_28_x86_64.whl", "2.0", "manylinux_2_17_x86_64"),
        ("lib-3.0-py3-none-any.whl", "3.0", "manylinux_2_17_x86_64"),
    ],
)
def test_two_wheels_for_one_platform_are_too_many(name: str, version: str, platform: str) -> None:
    other = {"name": "lib", "version": version, "extras": ["fast"], "sources": [{"file": name, "sha256": "d" * 64}]}
    if version == "2.0":
        declared = with_package(LIB, sources=[LIB["sources"][0], *other["sources"]])
    else:
        declared = declared_set(package=[APP, {**LIB, "sources": LIB["sources"][:1]}, other])
    found = only([*version_violations(declared)])
    assert (found.rule, found.about, found.change) == (DeclaredRule.ONE_VERSION, "lib", "leave one of the two out")
    assert {name, "lib-2.0-cp312-cp312-manylinux_2_17_x86_64.whl"} <= {*found.problem.split()}
    assert found.problem.endswith(f" are both installable on {platform}")


def test_two_versions_for_different_platforms_are_one_each() -> None:
    older = {
        **LIB,
        "version": "1.9",
        "sources": [{"file": "lib-1.9-cp311-cp311-musllinux_1_2_x86_64.whl", "sha256": "d" * 64}],
    }
    newer = {**LIB, "sources": LIB["sources"][:1]}
    declared = declared_set(package=[{**APP, "dependencies": ["lib[fast]"]}, older, newer])
    assert [*version_violations(declared)] == []
    assert [*closure_violations(declared, ARCH)] == []
    there = {e: [str(p.release) for p in installable_packages(declared, e, ARCH)] for e in declared.environments}
    assert there == {"py311-alpine": ["app==1.0", "lib==1.9"], "py312-slim": ["app==1.0", "lib==2.0"]}


# ---------------------------------------------------------------- verifiable source


@pytest.mark.attack("same-bytes")
@pytest.mark.parametrize(
    ("change", "problem", "to_do"),
    [
        (
            None,
            f"the index lists no file of app with the sha256 {'a' * 64}",
            f"write the hash that it gives for {WHEEL}",
        ),
        (
            {"filename": "app-1.0-py2-none-any.whl"},
            f"the index lists the file with this hash as app-1.0-py2-none-any.whl, not as {WHEEL}",
            "write file = 'app-1.0-py2-none-any.whl', or the hash of the other file",
        ),
        ({"yanked": "bad"}, f"the index has yanked {WHEEL} (bad)", "declare another version"),
        ({"yanked": ""}, f"the index has yanked {WHEEL}", "declare another version"),
    ],
)
def test_a_file_is_one_that_the_index_gave(change: dict[str, Any] | None, problem: str, to_do: str) -> None:
    facts, key = source_facts(SET), ("a" * 64, "app")
    indexed = {**facts.indexed}
    changed = indexed.pop(key)
    if change is not None:
        indexed[key] = replace(changed, **change)
    found = only([*source_violations(SET, replace(facts, indexed=indexed))])
    assert (found.rule, found.about, found.problem, found.change) == (DeclaredRule.SOURCE, "app==1.0", problem, to_do)


# ---------------------------------------------------------------- matching metadata


@pytest.mark.parametrize(
    ("metadata", "problem", "to_do"),
    [
        ({"requires_python": ">=3.8"}, "requires Python >=3.8", "write requires-python = '>=3.8'"),
        ({"requires_python": ""}, "requires Python of any version", "write requires-python = ''"),
        ({"requires_dist": ()}, "does not depend on 'lib[fast]>=2'", "leave 'lib[fast]>=2' out of dependencies"),
        (
            {"requires_dist": ("lib[fast]>=2", "more; os_name == 'posix'")},
            "depends on 'more; os_name == \"posix\"'",
            "add 'more; os_name == \"posix\"' to dependencies",
        ),
        ({"requires_dist": ("lib[fast]>=2", "a b")}, "has METADATA that cannot be read", "declare another version"),
        ({"requires_python": "newest"}, "has METADATA that cannot be read", "declare another version"),
        ({"name": "other"}, "is other 1.0 by its METADATA", "declare another file"),
        ({"version": "1.0.post1"}, "is App 1.0.post1 by its METADATA", "declare another file"),
        ({"version": "?"}, "is App ? by its METADATA", "declare another file"),
    ],
)
def test_metadata_is_what_the_wheel_says(metadata: dict[str, Any], problem: str, to_do: str) -> None:
    found = only([*metadata_violations(SET, source_facts(SET, **metadata))])
    assert (found.rule, found.about, found.change) == (DeclaredRule.METADATA, "app==1.0", to_do)
    assert found.problem.startswith(f"{WHEEL} {problem}")


def test_an_extra_has_to_be_there_and_others_need_not_be_declared() -> None:
    declared = with_package(LIB, extras=["fast", "none"])
    found = [*metadata_violations(declared, source_facts(declared))]
    assert {(one.about, one.change) for one in found} == {("lib==2.0", "leave 'none' out of extras")}
    slow = with_package(LIB, extras=["fast", "slow"])
    found = [*metadata_violations(slow, source_facts(slow))]
    assert {one.change for one in found} == {"add 'slow-lib; extra == \"slow\"' to dependencies"}


def test_a_wheel_that_cannot_be_read_breaks_the_rule_and_one_that_is_not_listed_does_not_break_it_twice() -> None:
    facts = source_facts(SET)
    metadata = {key: value for key, value in facts.metadata.items() if key[1] != "app"}
    found = only([*metadata_violations(SET, replace(facts, metadata=metadata))])
    assert (found.problem, found.change) == (f"the METADATA of {WHEEL} cannot be read", "declare another file")
    indexed = {key: value for key, value in facts.indexed.items() if key[1] != "app"}
    assert [*metadata_violations(SET, SourceFacts(indexed=indexed, metadata=metadata))] == []


# ---------------------------------------------------------------- closed dependencies


@pytest.mark.parametrize(
    ("declared", "about", "problem", "to_do"),
    [
        (
            declared_set(package=[APP]),
            "app==1.0 in py311-alpine",
            "it needs lib[fast]>=2, of which nothing is there",
            "add a wheel of lib for it",
        ),
        (
            with_package(APP, dependencies=["lib[fast]>=3"]),
            "app==1.0 in py311-alpine",
            "it needs lib[fast]>=3, and 2.0 is declared",
            "declare another version of lib",
        ),
        (
            with_package(LIB, extras=[]),
            "app==1.0 in py311-alpine",
            "it needs the extra fast of lib",
            "add 'fast' to its extras",
        ),
        (
            with_package(LIB, sources=LIB["sources"][:1]),
            "app==1.0 in py311-alpine",
            "it needs lib[fast]>=2, of which nothing is there",
            "add a wheel of lib for it",
        ),
        (
            with_package(LIB, dependencies=["extra-lib; extra == 'fast'"]),
            "lib==2.0 in py311-alpine",
            'it needs extra-lib; extra == "fast", of which nothing is there',
            "add a wheel of extra-lib for it",
        ),
        (
            declared_set(environments=["py311-alpine", "py312-slim", "py38-slim"]),
            "py38-slim",
            "nothing of the set is installable there",
            "add wheels for it, or leave it out of environments",
        ),
    ],
)
def test_what_is_needed_is_in_the_set(declared: DeclaredSet, about: str, problem: str, to_do: str) -> None:
    found = next(closure_violations(declared, ARCH))
    assert (found.rule, found.about, found.problem, found.change) == (DeclaredRule.CLOSED, about, problem, to_do)


@pytest.mark.parametrize(
    ("marker", "environments"),
    [
        ("python_version < '3.12'", {"py311-alpine"}),
        ("python_version >= '3.12'", {"py312-slim"}),
        ("sys_platform == 'win32'", set()),
        ("platform_machine == 'x86_64'", {"py311-alpine", "py312-slim"}),
        ("extra == 'other'", set()),
        ("python_version ~= 'x'", {"py311-alpine", "py312-slim"}),
    ],
)
def test_markers_decide_where_something_is_needed(marker: str, environments: set[str]) -> None:
    declared = with_package(APP, dependencies=["lib[fast]>=2", f"gone; {marker}"])
    found = [*closure_violations(declared, ARCH)]
    assert {one.about.rpartition(" ")[2] for one in found} == environments
    assert NEEDED.startswith("extra-lib"), "which applies nowhere"
