"""scripts/nox creates its environment once, whatever folder it is run from, and says what is missing.

Offline: a package called nox that only prints its arguments takes the place of the real one.
"""

import hashlib
import os
import re
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[2]
SCRIPT = REPOSITORY / "scripts" / "nox"
PINNED = REPOSITORY / "scripts" / "requirements-nox.txt"
TOOLS = ("sh", "cat", "dirname", "grep", "mkdir", "mv", "readlink", "rm", "tail")
FAKE_NOX = """
import sys
print(sys.argv[1:], sys.executable)
sys.exit(7 if "fail" in sys.argv else 0)
"""


@dataclass(kw_only=True)
class Checkout:
    """A copy of the script in its own repository, with the programs that are on its PATH."""

    root: Path
    programs: Path
    environ: dict[str, str]

    @property
    def home(self) -> Path:
        return self.root / ".nox" / "bootstrap"

    def start(
        self, *arguments: str, script: Path | str | None = None, cwd: Path | None = None
    ) -> "subprocess.Popen[str]":
        return subprocess.Popen(
            [script or self.root / "scripts" / "nox", *arguments],
            cwd=cwd or self.root,
            env=self.environ,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def run(self, *arguments: str, script: Path | str | None = None, cwd: Path | None = None) -> tuple[int, str, str]:
        with self.start(*arguments, script=script, cwd=cwd) as process:
            out, err = process.communicate(timeout=120)
        return process.returncode, out, err

    def python(self, name: str, condition: str = "") -> None:
        """Add a Python with a name to PATH; `condition` is shell code that may make it fail."""
        path = self.programs / name
        path.unlink(missing_ok=True)
        path.write_text(f'#!/bin/sh\n{condition}\nexec "{sys.executable}" "$@"\n')
        path.chmod(0o755)


def pin_nox(root: Path, wheels: Path) -> None:
    """Pin the stand-in for nox as the real one is pinned."""
    (wheel,) = wheels.glob("nox-*.whl")
    digest = hashlib.sha256(wheel.read_bytes()).hexdigest()
    (root / "scripts" / PINNED.name).write_text(f"nox==2099.1.1 \\\n    --hash=sha256:{digest}\n")


def make_checkout(folder: Path) -> Checkout:
    root, programs, wheels, home = (folder / name for name in ("a repo's copy", "bin", "wheels", "home"))
    for path in (root / "scripts", programs, wheels, home):
        path.mkdir(parents=True)
    shutil.copy(SCRIPT, root / "scripts" / "nox")
    for tool in TOOLS:
        (programs / tool).symlink_to(shutil.which(tool) or pytest.fail(f"no {tool}"))
    with zipfile.ZipFile(wheels / "nox-2099.1.1-py3-none-any.whl", "w") as wheel:
        about = "nox-2099.1.1.dist-info"
        wheel.writestr("nox/__init__.py", "")
        wheel.writestr("nox/__main__.py", FAKE_NOX)
        wheel.writestr(f"{about}/METADATA", "Metadata-Version: 2.1\nName: nox\nVersion: 2099.1.1\n")
        wheel.writestr(
            f"{about}/WHEEL", "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        )
        wheel.writestr(f"{about}/RECORD", "")
    pin_nox(root, wheels)
    environ = {
        "PATH": str(programs),
        "HOME": str(home),
        "CDPATH": "/",
        "PYTHONPATH": str(home),
        "PIP_NO_INDEX": "1",
        "PIP_FIND_LINKS": str(wheels),
        "PIP_CONFIG_FILE": os.devnull,
        "PIP_USER": "1",
    }
    return Checkout(root=root, programs=programs, environ=environ)


@pytest.fixture
def checkout(tmp_path: Path) -> Checkout:
    return make_checkout(tmp_path)


@pytest.fixture(scope="module")
def from_copies(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A condition with which a Python copies an environment instead of making one, which takes it seconds each time."""
    bare = tmp_path_factory.mktemp("bare") / "environment"
    subprocess.run([sys.executable, "-I", "-m", "venv", str(bare)], check=True)
    return f'case "$*" in "-I -m venv "*) exec {shutil.which("cp")} -a "{bare}" "$4" ;; esac'


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Checkout]:
    """A checkout whose environment exists already, and without a Python to create another."""
    ready = make_checkout(tmp_path_factory.mktemp("made"))
    ready.python("python3")
    status, out, err = ready.run("-l")
    assert status == 0, err
    assert out == f"['-f', '{ready.root}/noxfile.py', '-l'] {ready.home}/bin/python\n".replace(
        f"'{ready.root}/noxfile.py'", f'"{ready.root}/noxfile.py"'
    )
    assert err.splitlines() == [f"scripts/nox: making {ready.home} once, with {ready.programs}/python3"]
    (ready.programs / "python3").unlink()
    yield ready
    assert sorted(path.name for path in (ready.root / ".nox").iterdir()) == [
        "bootstrap",
        "bootstrap.lock",
        "bootstrap.log",
    ]


def test_the_environment_is_created_only_once(made: Checkout) -> None:
    before = made.home.stat()
    status, out, err = made.run("-s", "check(py312-alpine)", "--", "six==1.17.0", "two words")
    assert (status, err) == (0, "")
    assert "'-s', 'check(py312-alpine)', '--', 'six==1.17.0', 'two words'" in out
    after = made.home.stat()
    assert (after.st_ino, after.st_ctime_ns) == (before.st_ino, before.st_ctime_ns)


def test_the_exit_code_is_that_of_nox(made: Checkout) -> None:
    assert made.run("fail")[0] == 7


def test_it_works_from_any_folder(made: Checkout, tmp_path: Path) -> None:
    (tmp_path / "nox.py").write_text("raise SystemExit('not this one')")
    for cwd, script in (
        (tmp_path, made.root / "scripts" / "nox"),
        (made.root / "scripts", "./nox"),
        (made.root.parent, Path(made.root.name, "scripts", "nox")),
    ):
        status, out, _ = made.run(cwd=cwd, script=script)
        assert (status, f"{made.root}/noxfile.py" in out) == (0, True)


def test_it_works_through_symbolic_links(made: Checkout, tmp_path: Path) -> None:
    (tmp_path / "deep er").mkdir()
    first, second, folder = tmp_path / "deep er" / "first", tmp_path / "second", tmp_path / "folder"
    first.symlink_to(made.root / "scripts" / "nox")
    second.symlink_to(Path("deep er", "first"))
    folder.symlink_to(made.root)
    for script in (first, second, folder / "scripts" / "nox"):
        status, out, _ = made.run(script=script, cwd=tmp_path)
        assert (status, f"{made.root}/noxfile.py" in out) == (0, True)


def test_it_can_be_run_by_sh(made: Checkout) -> None:
    done = subprocess.run(
        ["sh", "nox"], cwd=made.root / "scripts", env=made.environ, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_a_broken_environment_is_created_again(tmp_path: Path) -> None:
    checkout = make_checkout(tmp_path)
    (checkout.root / ".nox" / "bootstrap.new").mkdir(parents=True)  # what a killed attempt left
    (checkout.root / ".nox" / "bootstrap.new" / "old").touch()
    (checkout.home / "bin").mkdir(parents=True)
    (checkout.home / "bin" / "python").symlink_to("/gone/python3.11")
    shutil.copy(checkout.root / "scripts" / PINNED.name, checkout.home / "requirements")
    checkout.python("python3")
    # Two at once: one makes it, the other waits.
    with checkout.start("one") as one, checkout.start("other") as other:
        outputs = [*one.communicate(timeout=120), *other.communicate(timeout=120)]
    assert (one.returncode, other.returncode) == (0, 0), outputs
    assert "".join(outputs).count("making") == 1
    assert "'one'" in outputs[0]
    assert "'other'" in outputs[2]
    assert not (checkout.home / "old").exists()
    assert not (checkout.root / ".nox" / "bootstrap.new").exists()


def test_no_python_is_reported(checkout: Checkout) -> None:
    status, out, err = checkout.run()
    assert (status, out) == (71, "")
    assert err == (
        "scripts/nox: no Python of at least 3.11 here: install one (Debian: apt-get install python3 python3-venv)\n"
    )
    assert not (checkout.root / ".nox").exists()


def test_a_python_that_is_too_old_is_reported(checkout: Checkout) -> None:
    checkout.python("python3", 'case "$*" in *version_info*) exit 1 ;; esac')
    assert checkout.run()[0] == 71


def test_the_missing_venv_package_is_named(checkout: Checkout) -> None:
    without_ensurepip = 'case "$*" in *ensurepip*) exit 1 ;; esac'
    checkout.python("python3", without_ensurepip)
    status, _, err = checkout.run()
    package = f"python3.{sys.version_info.minor}-venv"
    assert status == 72
    message = f"the Python here cannot make environments: install {package} (Debian: apt-get install {package})"
    assert err == f"scripts/nox: {message}\n"
    assert not (checkout.root / ".nox").exists()


def test_all_pythons_are_tried_and_those_of_pyenv_last(checkout: Checkout) -> None:
    checkout.python("python3", 'case "$*" in *ensurepip*) exit 1 ;; esac')
    checkout.python("python3.12", 'case "$*" in *version_info*) exit 1 ;; esac')
    pyenv = Path(checkout.environ["HOME"], ".pyenv", "versions", "3.13.0", "bin")
    pyenv.mkdir(parents=True)
    checkout.python("python3.11", 'case "$*" in *"-m venv"*) echo "chosen: 3.11" >&2; exit 1 ;; esac')
    status, _, err = checkout.run()
    assert (status, err.splitlines()[-1]) == (
        73,
        f"scripts/nox: cannot make an environment in {checkout.root}/.nox: chosen: 3.11",
    )
    (checkout.programs / "python3.11").rename(pyenv / "python3")
    status, _, err = checkout.run()
    assert (status, f"with {pyenv}/python3" in err) == (73, True)


def test_an_index_without_nox_is_reported(checkout: Checkout, from_copies: str) -> None:
    checkout.python("python3", from_copies)
    checkout.environ["PIP_FIND_LINKS"] = checkout.environ["HOME"]
    status, _, err = checkout.run()
    assert status == 74
    assert re.fullmatch(r"scripts/nox: cannot install nox: ERROR: No matching distribution .*", err.splitlines()[-1])
    assert not checkout.home.exists(), "nothing half made is left"
    assert not checkout.home.with_name("bootstrap.new").exists()


def test_a_folder_that_cannot_be_written_is_reported(checkout: Checkout) -> None:
    checkout.python("python3")
    (checkout.root / ".nox").write_text("")
    status, _, err = checkout.run()
    assert (status, err) == (73, f"scripts/nox: cannot write {checkout.root}/.nox\n")


@pytest.mark.attack("same-bytes")
@pytest.mark.parametrize("hashed", [True, False], ids=["other-bytes", "no-hash"])
def test_a_nox_that_is_not_the_pinned_one_is_not_installed(
    checkout: Checkout, from_copies: str, *, hashed: bool
) -> None:
    checkout.python("python3", from_copies)
    if hashed:
        (wheel,) = Path(checkout.environ["PIP_FIND_LINKS"]).glob("*.whl")
        with zipfile.ZipFile(wheel, "a") as archive:
            archive.writestr("nox/extra.py", "raise SystemExit('not the one that was pinned')")
    else:
        (checkout.root / "scripts" / PINNED.name).write_text("nox==2099.1.1\n")
    status, _, err = checkout.run()
    assert status == 74
    assert "scripts/nox: cannot install nox: " in err
    assert not checkout.home.exists()


def test_other_pins_create_the_environment_again(tmp_path: Path, from_copies: str) -> None:
    checkout = make_checkout(tmp_path)
    checkout.python("python3", from_copies)
    assert "making" in checkout.run("-l")[2]
    assert checkout.run("-l")[2] == ""
    with (checkout.root / "scripts" / PINNED.name).open("a") as file:
        file.write("# written again\n")
    assert "making" in checkout.run("-l")[2]
