"""The installers that a simple index must work with, each installed by `nox -s tests` in an environment of its own.

All of them run without any setting of this machine: no variables, no configuration file, a fresh cache.
"""

import os
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

SUPPORT: Final = Path(__file__).parent
PINS: Final = SUPPORT / "index_clients.toml"
CLIENTS: Final = SUPPORT.parents[1] / ".nox" / "clients"
#: What `nox -s tests` writes beside the clients: what it has installed.
STAMP: Final = "ppp-stamp"
PROJECT: Final = """[project]
name = "wanting"
version = "1.0"
requires-python = "{python}"
dependencies = {wanted}
"""
PDM: Final = """
[tool.pdm]
distribution = false

[[tool.pdm.source]]
name = "pypi"
url = "{url}"
verify_ssl = false
"""
POETRY: Final = """
[tool.poetry]
package-mode = false

[[tool.poetry.source]]
name = "verified"
url = "{url}"
priority = "primary"
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Installation:
    """An empty environment in a folder of its own, and the command that installs into it what is wanted."""

    folder: Path
    command: Sequence[str]
    environ: Mapping[str, str]

    def installed(self) -> dict[str, str]:
        """Return the versions of what is installed, by the names that METADATA has."""
        (site,) = (self.folder / "env" / "lib").glob("python*/site-packages")
        found = (path.read_text("utf-8").splitlines() for path in site.glob("*.dist-info/METADATA"))
        heads = [dict(line.split(": ", 1) for line in lines[1:3]) for lines in found]
        return {head["Name"]: head["Version"] for head in heads}


@dataclass(frozen=True, slots=True, kw_only=True)
class IndexClient:
    """An installer, and what is peculiar to it.

    `file_index`: it reads an index of a `file:` address. `every_platform`: it locks for all platforms, so it may choose
    a version whose wheel is for another one. `metadata_in`: in which kinds of pages it finds METADATA beside a file,
    `checks_metadata`: it refuses METADATA that has not its hash, `notices_lies`: such that is not the wheel's, although
    it has its hash. `reads_besides` are wheels that it does not take, but
    whose METADATA it reads.
    """

    name: str
    prepare: Callable[[Path, str, Sequence[str]], tuple[Sequence[str], Mapping[str, str]]]
    file_index: bool = True
    every_platform: bool = False
    metadata_in: Sequence[str] = ("html", "json")
    checks_metadata: bool = True
    notices_lies: bool = False
    reads_besides: Sequence[str] = ()

    def install(self, folder: Path, url: str, wanted: Sequence[str]) -> Installation:
        """Make an empty environment, and return how to install into it from an index."""
        folder.mkdir(parents=True)
        made = [sys.executable, "-m", "venv", "--without-pip", str(folder / "env")]
        subprocess.run(made, check=True)
        command, environ = self.prepare(folder, url, wanted)
        kept = {"PATH": os.environ["PATH"], "HOME": str(folder), "LANG": "C.UTF-8"}
        return Installation(folder=folder, command=command, environ={**kept, **environ})


def missing_clients() -> str | None:
    """Return why the clients cannot be used, None if they can."""
    stamp = CLIENTS / STAMP
    if stamp.is_file() and stamp.read_text("utf-8") == PINS.read_text("utf-8"):
        return None
    return "the clients of tests/support/index_clients.toml are not installed: `scripts/nox -s tests` does that"


def _pip(name: str) -> Callable[[Path, str, Sequence[str]], tuple[Sequence[str], Mapping[str, str]]]:
    def prepare(folder: Path, url: str, wanted: Sequence[str]) -> tuple[Sequence[str], Mapping[str, str]]:
        (site,) = (CLIENTS / name / "lib").glob("python*/site-packages")
        python = str(folder / "env" / "bin" / "python")
        options = ("--disable-pip-version-check", "--no-input", "--cache-dir", str(folder / "cache"))
        command = (python, "-m", "pip", "install", "--isolated", *options, "--index-url", url, *wanted)
        return command, {"PYTHONPATH": str(site), "PIP_CONFIG_FILE": os.devnull}

    return prepare


def _uv(folder: Path, url: str, wanted: Sequence[str]) -> tuple[Sequence[str], Mapping[str, str]]:
    into = ("--python", str(folder / "env" / "bin" / "python"), "--cache-dir", str(folder / "cache"))
    uv = str(CLIENTS / "uv" / "bin" / "uv")
    return (uv, "pip", "install", "--no-config", *into, "--default-index", url, *wanted), {}


def _project(folder: Path, url: str, wanted: Sequence[str], tool: str) -> dict[str, str]:
    python = f"=={sys.version_info.major}.{sys.version_info.minor}.*"
    written = PROJECT.format(python=python, wanted=[*wanted]) + tool.format(url=url)
    (folder / "pyproject.toml").write_text(written, "utf-8")
    return {"VIRTUAL_ENV": str(folder / "env"), "XDG_CONFIG_HOME": str(folder), "XDG_CACHE_HOME": str(folder / "cache")}


def _pdm(folder: Path, url: str, wanted: Sequence[str]) -> tuple[Sequence[str], Mapping[str, str]]:
    environ = _project(folder, url, wanted, PDM)
    ours = {"PDM_CHECK_UPDATE": "false", "PDM_IGNORE_SAVED_PYTHON": "1", "PDM_CACHE_DIR": str(folder / "cache")}
    return (str(CLIENTS / "pdm" / "bin" / "pdm"), "install", "--no-self"), {**environ, **ours}


def _poetry(folder: Path, url: str, wanted: Sequence[str]) -> tuple[Sequence[str], Mapping[str, str]]:
    environ = _project(folder, url, wanted, POETRY)
    ours = {"POETRY_CACHE_DIR": str(folder / "cache"), "POETRY_CONFIG_DIR": str(folder)}
    return (str(CLIENTS / "poetry" / "bin" / "poetry"), "update", "--no-interaction"), {**environ, **ours}


CLIENT_LIST: Final = (
    IndexClient(name="pip-23.0.1", prepare=_pip("pip-23.0.1"), metadata_in=("html",)),
    IndexClient(name="pip-24.0", prepare=_pip("pip-24.0")),
    IndexClient(name="pip-newest", prepare=_pip("pip-newest"), notices_lies=True),
    IndexClient(name="uv", prepare=_uv),
    IndexClient(name="pdm", prepare=_pdm, every_platform=True, checks_metadata=False),
    IndexClient(
        name="poetry",
        prepare=_poetry,
        file_index=False,
        every_platform=True,
        checks_metadata=False,
        reads_besides=("python_bound-2.0-py3-none-any.whl",),
    ),
)
