"""Starts a cell: `startup SETTINGS` makes its virtual environment, then replaces itself with the keeper.

SETTINGS is a JSON object, see `Settings`. This is the first code that runs in a sandbox, as `python -I -S -c`.
"""

from __future__ import annotations

import json
import os
import sys

# Importing `typing` would take longer than all the rest.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import TypedDict

    class Settings(TypedDict):
        """What the host tells a keeper, as `Layout.command` in `keeper_client` writes it.

        Paths are as seen inside. `python` is added here; `user` is None where the cell runs as the keeper's own user.
        `call_filter` is in hexadecimal, and None where the keeper need not apply it. `site_folders` hold what each
        virtual environment starts with.
        """

        work: str
        tmp: str
        pip: str
        package: str
        control: str
        gateway: str | None
        port: int
        user: int | None
        counts_oom: bool
        log_bytes: int
        call_filter: str | None
        environ: dict[str, str]
        rlimits: dict[str, int]
        site_folders: list[str]
        python: str


KEEPER = "import sys; sys.path.insert(0, sys.argv[1]); from {package}.keeper import main; main(sys.argv[2])"


def venv_folder(settings: Settings) -> str:
    """Return the path of the virtual environment."""
    return os.path.join(settings["work"], "env")


def scratch_folder(settings: Settings) -> str:
    """Return the path of the folder that the cell may write to."""
    return os.path.join(settings["work"], "scratch")


def empty_folder(settings: Settings) -> str:
    """Return the path of the folder in which modules are imported."""
    return os.path.join(settings["work"], "empty")


def trusted_python(settings: Settings) -> str:
    """Return the path of an interpreter in a folder that only the keeper can write to.

    Files beside an interpreter, such as `pyvenv.cfg`, can redirect it.
    """
    return os.path.join(venv_folder(settings), "own", "python")


def create_environment(settings: Settings) -> None:
    """Create a bare virtual environment, a folder to write to, and an empty one to import in.

    The keeper fills it with what is preinstalled: it does so itself, because it runs in it, and starts before there is
    anything that it could import.
    By hand, because importing `venv` takes longer than all of this; PEP 405 requires no more.
    """
    os.umask(0o022)
    top, version = venv_folder(settings), "python{}.{}".format(*sys.version_info[:2])
    for folder in ("bin", "include", os.path.join("lib", version, "site-packages")):
        os.makedirs(os.path.join(top, folder))
    for name in ("python", "python3", version):
        os.symlink(settings["python"], os.path.join(top, "bin", name))
    os.mkdir(os.path.join(top, "own"))
    os.symlink(settings["python"], trusted_python(settings))
    if sys.maxsize > 2**32:
        os.symlink("lib", os.path.join(top, "lib64"))
    with open(os.path.join(top, "pyvenv.cfg"), "w", encoding="utf-8") as file:
        file.write(f"home = {os.path.dirname(settings['python'])}\ninclude-system-site-packages = false\n")
        file.write("version = {}.{}.{}\n".format(*sys.version_info[:3]))
    for folder in (scratch_folder(settings), empty_folder(settings)):
        os.makedirs(folder, exist_ok=True)
    if settings["user"] is not None:
        _open_to_cell_user(settings)


def _open_to_cell_user(settings: Settings) -> None:
    # Sticky: the cell's user can add to these folders, but not replace what others put there.
    for place in (venv_folder(settings), scratch_folder(settings), empty_folder(settings)):
        for folder, _, _ in os.walk(place):
            os.chmod(folder, 0o1777)
    os.chmod(os.path.dirname(trusted_python(settings)), 0o755)


def main(settings: Settings) -> None:
    """Create the environment, and continue as the keeper in its interpreter."""
    settings["python"] = getattr(sys, "_base_executable", "") or sys.executable
    create_environment(settings)
    python = os.path.join(venv_folder(settings), "bin", "python")
    program = KEEPER.format(package=settings["package"])
    os.execv(python, [python, "-I", "-c", program, settings["pip"], json.dumps(settings)])


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
