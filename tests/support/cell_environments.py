"""Where cells of tests run: a small matrix, a Python of this machine, the address at which containers reach it."""

import ipaddress
import json
import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any, Final

from ppp.check.sandbox.host import find_interpreters
from ppp.matrix_files import load_matrix
from ppp.model.matrix import Environment, Limits, Matrix, Platform
from ppp.model.record import Phase
from ppp.resources import resource

LIMITS: Final = Limits(memory_mb=256, cpus=2.0, processes=64, open_files=256, disk_mb=64, file_mb=16, log_kb=64)
TIMEOUTS_S: Final = {Phase.DOWNLOAD: 10, Phase.NODEPS: 60, Phase.FULL: 60, Phase.IMPORT: 5}
SLIM: Final = Environment(id="py312-slim", python="3.12", platform=Platform.SLIM, image="python:3.12-slim")
ALPINE: Final = Environment(id="py311-alpine", python="3.11", platform=Platform.ALPINE, image="python:3.11-alpine")


@dataclass(frozen=True, slots=True, kw_only=True)
class FetchedPip:
    """The pinned pip: its wheel, and the folder with the unpacked wheel."""

    wheel: Path
    folder: Path


def tiny_matrix(*environments: Environment, timeouts_s: Mapping[str, int] | None = None) -> Matrix:
    """Return the shipped matrix with these environments and with low limits."""
    shipped = load_matrix(resource("matrices/default.toml"))
    timeouts = TIMEOUTS_S | {Phase(phase): seconds for phase, seconds in (timeouts_s or {}).items()}
    return replace(shipped, environments=environments or (SLIM, ALPINE), limits=LIMITS, timeouts_s=timeouts)


def matrix_toml(matrix: Matrix) -> str:
    """Return the text of a matrix file."""
    limits = {name: getattr(matrix.limits, name) for name in Limits.__dataclass_fields__}
    tables: list[tuple[str, Mapping[str, Any]]] = [
        ("[pip]", {"version": matrix.pip.version, "sha256": matrix.pip.sha256}),
        ("[limits]", limits),
        ("[timeouts_s]", {str(phase): seconds for phase, seconds in matrix.timeouts_s.items()}),
    ]
    for e in matrix.environments:
        row = {"id": e.id, "python": e.python, "platform": str(e.platform)}
        tables.append(("[[environment]]", row | ({"image": e.image} if e.image else {})))
    # Numbers and plain strings are written alike in JSON and TOML.
    lines = [[header, *(f"{key} = {json.dumps(value)}" for key, value in table.items())] for header, table in tables]
    return "\n\n".join("\n".join(block) for block in lines) + "\n"


def host_environ() -> dict[str, str]:
    """Return this process's environment variables, with the Python that runs the tests at the end of PATH."""
    own = Path(sys.base_prefix) / "bin"
    return {**os.environ, "PATH": f"{os.environ.get('PATH', '')}{os.pathsep}{own}"}


def host_environment() -> Environment:
    """Return a host environment of this machine: the newest Python of the matrix, else the one that runs the tests."""
    return _host_python()[0]


def host_python() -> Path:
    """Return the path of that environment's Python."""
    return _host_python()[1]


@cache
def _host_python() -> tuple[Environment, Path]:
    own = f"{sys.version_info.major}.{sys.version_info.minor}"
    for version in ("3.12", "3.11", "3.9", own):
        for path in find_interpreters(version, host_environ()):
            if _is_version(version, path):
                environment = Environment(
                    id=f"py{version.replace('.', '')}-host", python=version, platform=Platform.HOST
                )
                return environment, Path(path)
    raise AssertionError(f"not even Python {own}, which runs the tests, is found")


def _is_version(version: str, path: str) -> bool:
    program = "import sys, venv; print('{}.{}'.format(*sys.version_info))"
    output = subprocess.run([path, "-I", "-c", program], capture_output=True, text=True, check=False, timeout=30)
    return output.stdout.strip() == version


def docker_bridge_address(client: Any) -> str:
    """Return the address of this machine on Docker's default network."""
    (config, *_) = client.networks.get("bridge").attrs["IPAM"]["Config"]
    return config.get("Gateway") or str(next(ipaddress.ip_network(config["Subnet"]).hosts()))
