"""What counts as declared, and when an import is said to rely on what was preinstalled."""

import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

import pytest
from cell_environments import SLIM, tiny_matrix
from fake_runtime import FakeRuntime, Files, ScriptedCommand

from ppp.check.reliance import MAX_HIDDEN, declared_names, relied_on
from ppp.check.runtime import PreinstalledDistribution

MARKERS: Final = {"python_version": "3.11", "sys_platform": "linux", "platform_machine": "x86_64"}
SETUPTOOLS: Final = PreinstalledDistribution(
    name="setuptools", version="65.5.0", modules=("pkg_resources", "setuptools"), requires=("wheel; extra == 'core'",)
)
PIP: Final = PreinstalledDistribution(name="pip", version="24.0", modules=("pip",))
PROVED: Final = ScriptedCommand(import_proved=True)
FAILED: Final = ScriptedCommand(output=b"ModuleNotFoundError: No module named 'pkg_resources'\n", exit_code=1)


# ---------------------------------------------------------------- what is declared


@pytest.mark.parametrize(
    ("requires", "declared"),
    [
        ({"lib": []}, set()),
        ({"lib": ["setuptools"]}, {"setuptools"}),
        ({"lib": ["Set_uptools>=60", "pip (>=19)"]}, {"set-uptools", "pip"}),
        ({"lib": ["setuptools; python_version < '3.9'"]}, set()),
        ({"lib": ["setuptools; python_version >= '3.9'"]}, {"setuptools"}),
        ({"lib": ["setuptools; extra == 'build'"]}, set()),
        # Declared by a dependency, and by the extra of one that is asked for.
        ({"lib": ["other"], "other": ["setuptools"]}, {"other", "setuptools"}),
        ({"lib": ["other[Build_It]"], "other": ["setuptools; extra == 'build-it'"]}, {"other", "setuptools"}),
        ({"lib": ["other"], "other": ["setuptools; extra == 'build'"]}, {"other"}),
        # An extra may ask for further ones.
        (
            {"lib": ["other[all]"], "other": ["other[build]; extra == 'all'", "setuptools; extra == 'build'"]},
            {"other", "setuptools"},
        ),
        # What a requirement that was satisfied already requires itself.
        ({"lib": ["setuptools[core]"]}, {"setuptools", "wheel"}),
        # Lines that cannot be read declare nothing; the others do.
        ({"lib": ["setuptools ===", "pip; nonsense == 'x'", "wheel; os_name == 'nt'", "other"]}, {"other"}),
        ({"lib": ["lib"]}, set()),
    ],
)
def test_what_is_declared(requires: Mapping[str, Sequence[str]], declared: set[str]) -> None:
    assert declared_names(requires, (PIP, SETUPTOOLS), MARKERS) == frozenset({"lib", *declared})


@pytest.mark.heavy
@pytest.mark.attack("bounded-input")
def test_requirements_are_judged_within_bounds() -> None:
    started = time.process_time()
    extras = ",".join(f"e{number}" for number in range(1000))
    many = {"lib": [f"lib[{extras}]", *["other; os_name == 'x'"] * 4000]}
    assert declared_names(many, (), MARKERS) is None
    assert time.process_time() - started < 10


# ---------------------------------------------------------------- what an import relies on


class Importing:
    """A sandbox in which an import needs some modules, or one of two."""

    def __init__(
        self, needs: Sequence[str] = (), *, either: Sequence[str] = (), hidden: ScriptedCommand = FAILED
    ) -> None:
        self.needs, self.either, self.hidden = needs, either, hidden
        self.attempts: list[set[str]] = []

    def __call__(self, argv: Sequence[str], _files: Files) -> ScriptedCommand:
        match argv:
            case ["prove", "lib", "without", *names]:
                self.attempts.append(set(names))
                fails = set(names) & set(self.needs) or (self.either and set(self.either) <= set(names))
                return self.hidden if fails else PROVED
        return ScriptedCommand()

    def relied_on(self, *suspected: PreinstalledDistribution) -> tuple[str, ...]:
        runtime = FakeRuntime(tiny_matrix(SLIM), self)
        with runtime.sandbox(runtime.prepare(SLIM), Path("lib-1.0-py3-none-any.whl")) as sandbox:
            return relied_on(sandbox, "lib", suspected, timeout_s=5)


def test_without_a_suspect_nothing_is_tried() -> None:
    importing = Importing(["setuptools"])
    assert importing.relied_on() == ()
    assert importing.attempts == []


def test_an_import_relies_on_that_without_which_it_fails() -> None:
    importing = Importing(["pkg_resources"])
    assert importing.relied_on(SETUPTOOLS) == ("setuptools",)
    assert importing.attempts == [{"pkg_resources", "setuptools"}]


def test_an_import_that_passes_without_it_relies_on_nothing() -> None:
    importing = Importing()
    assert importing.relied_on(PIP, SETUPTOOLS) == ()
    assert importing.attempts == [{"pip", "pkg_resources", "setuptools"}]


def test_of_several_suspects_each_is_tried_alone() -> None:
    assert Importing(["setuptools"]).relied_on(PIP, SETUPTOOLS) == ("setuptools",)
    assert Importing(["setuptools", "pip"]).relied_on(PIP, SETUPTOOLS) == ("pip", "setuptools")


def test_where_one_of_several_is_needed_all_are_named() -> None:
    assert Importing(either=["setuptools", "pip"]).relied_on(PIP, SETUPTOOLS) == ("pip", "setuptools")


@pytest.mark.heavy
@pytest.mark.parametrize("act", [ScriptedCommand(takes_s=5.1), ScriptedCommand(exit_code=137, oom=True)])
def test_a_lack_of_time_or_memory_proves_nothing(act: ScriptedCommand) -> None:
    assert Importing(["setuptools"], hidden=act).relied_on(SETUPTOOLS) == ()


@pytest.mark.attack("bounded-input")
def test_only_so_many_are_hidden_one_by_one() -> None:
    many = [PreinstalledDistribution(name=f"d{n:02}", version="1", modules=(f"m{n}",)) for n in range(40)]
    importing = Importing([f"m{n}" for n in range(40)])
    assert importing.relied_on(*many) == tuple(f"d{n:02}" for n in range(MAX_HIDDEN))
    assert len(importing.attempts) == 1 + MAX_HIDDEN
