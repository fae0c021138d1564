"""What is preinstalled in the virtual environments of real runtimes: complete, the cell's own, and fresh in each."""

from collections.abc import Iterator

import pytest
from runtimes import REAL, RuntimePlace, json_output, run_python, running_runtime

from ppp.check.runtime import Sandbox

#: Prints whether the cell's user may change the files of pip in site-packages, and how many names each file has.
OWNERSHIP = """
import pip
top = os.path.dirname(pip.__file__)
files = [os.path.join(folder, name) for folder, _, names in os.walk(top) for name in names]
print(json.dumps([
    all(os.access(path, os.W_OK) for path in [top, *files]),
    sorted({os.stat(path).st_nlink for path in files}),
    {os.stat(path).st_uid for path in [top, *files]} == {os.getuid()},
    len(files) > 300,
]))
"""


@pytest.fixture(scope="module", params=REAL)
def running(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RuntimePlace]:
    folder = tmp_path_factory.mktemp("preinstalled")
    with running_runtime(request.param, folder, request.getfixturevalue("pinned_pip")) as running:
        yield running


@pytest.fixture
def sandbox(running: RuntimePlace) -> Iterator[Sandbox]:
    with running.sandbox() as sandbox:
        yield sandbox


def test_an_environment_names_what_is_preinstalled(running: RuntimePlace) -> None:
    preinstalled = {d.name: d for d in running.prepared().preinstalled}
    assert preinstalled["pip"].modules == ("pip",)
    assert list(preinstalled) == sorted(preinstalled)
    if running.environment.python in {"3.9", "3.11"}:
        assert {"pkg_resources", "setuptools"} <= set(preinstalled["setuptools"].modules)
        assert any("extra ==" in line for line in preinstalled["setuptools"].requires)
    if running.kind.is_container and running.environment.python == "3.12":
        assert list(preinstalled) == ["pip"]


def test_its_files_are_the_cells_own(sandbox: Sandbox) -> None:
    assert json_output(sandbox, OWNERSHIP) == [True, [1], True, True]


def test_it_can_be_uninstalled_until_a_reset(running: RuntimePlace, sandbox: Sandbox) -> None:
    names = [d.name for d in running.prepared().preinstalled]
    assert sandbox.prove_import("pip", timeout_s=30).import_proved
    done = sandbox.pip(["uninstall", "--yes", *names], timeout_s=60)
    assert done.ok, done.output
    assert not sandbox.prove_import("pip", timeout_s=30).import_proved
    assert json_output(sandbox, "import sysconfig; print(json.dumps(os.listdir(sysconfig.get_path('purelib'))))") in (
        [],
        ["README.txt"],
    )
    sandbox.reset()
    assert sandbox.prove_import("pip", timeout_s=30).import_proved


@pytest.mark.attack("separate-cells")
def test_what_a_cell_changes_in_it_is_seen_by_no_other_cell_and_not_by_the_keeper(
    running: RuntimePlace, sandbox: Sandbox
) -> None:
    spoiled = "import pip; open(pip.__file__, 'w').write('raise SystemExit(7)')"
    assert run_python(sandbox, spoiled).ok
    assert sandbox.prove_import("pip", timeout_s=30).exit_code == 7
    assert sandbox.pip(["--version"], timeout_s=30).ok
    with running.sandbox() as another:
        assert another.prove_import("pip", timeout_s=30).import_proved
    sandbox.reset()
    assert sandbox.prove_import("pip", timeout_s=30).import_proved


def test_the_watched_modules_that_an_import_loaded_are_named(sandbox: Sandbox) -> None:
    done = sandbox.prove_import("pip", timeout_s=30, watched=["email", "os", "pip", "xml.dom"])
    assert (done.import_proved, done.loaded) == (True, ("pip",))


def test_hidden_modules_cannot_be_imported(sandbox: Sandbox) -> None:
    done = sandbox.prove_import("pip._internal", timeout_s=30, hidden=["pip", "setuptools"])
    assert (done.exit_code, done.import_proved) == (1, False)
    assert done.output.endswith("ModuleNotFoundError: No module named 'pip'\n")
    assert sandbox.prove_import("pip._internal", timeout_s=30, hidden=["pi", "setuptools"]).import_proved
