"""What virtual environments of an environment start with: what its image has preinstalled, or what `venv` brings.

Both are described by `inside/preinstalled.py`. An image's site-packages are copied from the image itself. For a Python
of this machine a virtual environment is created once with `venv`, and its site-packages are kept in the cache, under a
name that holds a hash of them: what differs from its name is made anew.
"""

import hashlib
import json
import os
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from ppp.check.runtime import EnvironmentUnavailableError, PreinstalledDistribution
from ppp.model.canonical import sha256_hex
from ppp.model.release import MAX_VERSION_LENGTH, InvalidReleaseError, parse_package
from ppp.run_folders import remove_leftovers, run_folder

#: What a cell copies at most: the official images have about 800 files of 11 MiB.
MAX_FILES: Final = 20_000
MAX_BYTES: Final = 256 * 1024 * 1024
#: How many distributions a record may name.
MAX_DISTRIBUTIONS: Final = 200
#: How long the names of all modules may be together, so that they fit into a request to a keeper.
MAX_MODULE_CHARS: Final = 32_000
#: How long `venv` may take, in seconds: it runs pip to install pip.
VENV_TIMEOUT_S: Final = 180
#: What the name of a folder with site-packages in the cache begins with, and that of one that is being made.
_PREFIX, _PARTIAL = "venv-", ".venv-"


def parse_preinstalled(
    found: Mapping[str, Any], *, where: str, disk_bytes: int
) -> tuple[PreinstalledDistribution, ...]:
    """Return the distributions in a description, by name.

    `where` names the environment's Python for an error, `disk_bytes` is what a cell may write. Raises
    `EnvironmentUnavailableError` if there is more than a cell can copy or a record can name. What has no valid name
    and version, which no record could hold, is left out.
    """
    files, size, most = found["files"], found["bytes"], min(MAX_BYTES, disk_bytes // 2)
    if files > MAX_FILES or size > most:
        raise EnvironmentUnavailableError(
            f"{where} has {files:,} files of {size >> 20:,} MiB in its site-packages, which every cell would copy: "
            f"more than {MAX_FILES:,} files or {most >> 20:,} MiB; use an image with less in it"
        )
    distributions = sorted(filter(None, map(_distribution, found["distributions"])), key=lambda d: d.name)
    chars = sum(len(name) + 1 for d in distributions for name in d.modules)
    if len(distributions) > MAX_DISTRIBUTIONS or chars > MAX_MODULE_CHARS:
        raise EnvironmentUnavailableError(
            f"{where} has {len(distributions)} distributions preinstalled, whose modules' names take {chars:,} "
            f"characters: more than {MAX_DISTRIBUTIONS} or {MAX_MODULE_CHARS:,}; use an image with less in it"
        )
    return tuple(distributions)


def _distribution(found: Mapping[str, Any]) -> PreinstalledDistribution | None:
    try:
        name = parse_package(found["name"])
    except InvalidReleaseError:
        return None
    version = found["version"]
    if not 0 < len(version) <= MAX_VERSION_LENGTH or not version.isprintable():
        return None
    return PreinstalledDistribution(
        name=name, version=version, modules=tuple(found["modules"]), requires=tuple(found["requires"])
    )


def venv_site_packages(
    python: str, bundled: Sequence[object] | None, *, cache: Path, environ: Mapping[str, str]
) -> Path | None:
    """Return a folder with what `venv` puts into a virtual environment of a Python; None if it brings nothing.

    `python` is the interpreter's path. `bundled` describes the wheels that its `ensurepip` installs, as `probe` found
    them, so that others lead to another folder; None if it has no `ensurepip`. Raises `EnvironmentUnavailableError` if
    the folder cannot be made on this machine now.
    """
    if bundled is None:
        return None
    key = sha256_hex(json.dumps([python, bundled]).encode())[:16]
    try:
        for folder in cache.glob(f"{_PREFIX}{key}-*"):
            if folder.name == _name(key, folder):
                return folder
        return _make(python, key, cache, environ)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise EnvironmentUnavailableError(f"{python} -m venv did not succeed: {error}") from error


def _make(python: str, key: str, cache: Path, environ: Mapping[str, str]) -> Path | None:
    remove_leftovers([_PARTIAL], cache)
    with run_folder(_PARTIAL, cache) as partial:
        done = subprocess.run(
            [python, "-I", "-m", "venv", str(partial / "env")],
            capture_output=True,
            check=False,
            timeout=VENV_TIMEOUT_S,
            env={**environ, "HOME": str(partial)},
            stdin=subprocess.DEVNULL,
            cwd=partial,
        )
        sites = list((partial / "env").glob("lib/python3*/site-packages"))
        if done.returncode != 0 or len(sites) != 1:
            # Whoever creates one by hand gets none either.
            return None
        _tidy(sites[0])
        folder = cache / _name(key, sites[0])
        if folder.exists() and folder.name != _name(key, folder):
            folder.rename(partial / "old")
        try:
            sites[0].rename(folder)
        except OSError:
            # Another process may have been faster.
            if folder.name != _name(key, folder):
                raise
    return folder


def _tidy(site: Path) -> None:
    """Remove bytecode, and let everybody read the rest, whatever the umask is: cells do so as other users."""
    for bytecode in [*site.rglob("__pycache__")]:
        shutil.rmtree(bytecode)
    for path in (site, *site.rglob("*")):
        path.chmod(0o755 if path.is_dir() else 0o644)


def _name(key: str, folder: Path) -> str:
    """Return the name that a folder must have: a hash of its files' paths and contents is part of it."""
    digest = hashlib.sha256()
    for path in sorted(path for path in folder.rglob("*") if path.is_symlink() or not path.is_dir()):
        content = os.fsencode(path.readlink()) if path.is_symlink() else path.read_bytes()
        digest.update(f"{path.relative_to(folder)}\0{sha256_hex(content)}\0".encode())
    return f"{_PREFIX}{key}-{digest.hexdigest()[:16]}"
