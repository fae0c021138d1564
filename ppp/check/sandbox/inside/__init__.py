"""The programs that run inside a sandbox, by the environment's own interpreter: standard library only, Python ≥ 3.9.

Nothing of PPP has to be there. Short programs are passed as text (`python -c`). The keeper is installed as a package
beside the pinned pip, so that the bytecode of both is in one place; its name contains a hash of its source.
"""

import hashlib
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Final

from ppp.run_folders import remove_leftovers, run_folder

_KEEPER_MODULES: Final = (
    "startup", "keeper", "pip_process", "forwarder", "output", "proof", "processes", "removal", "inspection",
    "shared_files", "preinstalled",
)  # fmt: skip


@cache
def program_source(name: str) -> str:
    """Return the source of a module of this package: `probe`, `preinstalled`, `startup`, `importer` are programs."""
    return files(__name__).joinpath(f"{name}.py").read_text("utf-8")


@cache
def keeper_package() -> str:
    """Return the name of the keeper's package in a sandbox. It changes with the keeper's source."""
    source = "".join(map(program_source, _KEEPER_MODULES))
    return f"ppp_keeper_{hashlib.sha256(source.encode()).hexdigest()[:16]}"


def install_keeper(folder: Path) -> None:
    """Write the keeper's package into the pinned pip's folder, whole or not at all, unless it is there as it should be.

    A file that a crash left empty, or that somebody changed, is replaced.
    """
    package = folder / keeper_package()
    if _is_installed(package):
        return
    remove_leftovers([".keeper-"], folder)
    with run_folder(".keeper-", folder) as partial:
        (new := partial / "new").mkdir()
        new.chmod(0o755)
        for name, source in _installed_files().items():
            (new / name).write_bytes(source)
            (new / name).chmod(0o644)
        if package.exists():
            package.rename(partial / "old")
        try:
            new.rename(package)
        except OSError:
            # Another process may have been faster.
            if not _is_installed(package):
                raise


def _is_installed(package: Path) -> bool:
    try:
        return all((package / name).read_bytes() == source for name, source in _installed_files().items())
    except OSError:
        return False


def _installed_files() -> dict[str, bytes]:
    return {"__init__.py": b""} | {f"{name}.py": program_source(name).encode() for name in _KEEPER_MODULES}
