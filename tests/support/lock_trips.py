"""Install from a lock, in a new container of an image as it ships, and say what `pip inspect` then finds there."""

import base64
import json
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

from second_opinion import Runner

from ppp.locks.lock import Lock
from ppp.locks.pylock import LOCK_NAME, write_pylock
from ppp.locks.requirements import REQUIREMENTS_NAME, write_requirements

_MARK: Final = "INSPECTED:"
_FOLDER: Final = "/tmp/lock"  # noqa: S108 - in a container of its own
#: pip of the image installs into the image; the others get an environment of their own.
_INSPECT: Final = f"echo {_MARK} && pip {{python}} inspect --local 2>/dev/null"
_VENV: Final = "python -m venv /tmp/v && /tmp/v/bin/pip install -q --upgrade pip 2>&1"
_UV: Final = "pip install -q uv 2>&1 && uv venv -q /tmp/u"


class Installer(StrEnum):
    """What installs from a lock."""

    IMAGE_PIP = "the image's pip, requirements.txt"
    NEWEST_PIP = "the newest pip, pylock.toml"
    UV_REQUIREMENTS = "uv, requirements.txt"
    UV_PYLOCK = "uv, pylock.toml"


_COMMANDS: Final = {
    Installer.IMAGE_PIP: (
        f"pip install -q --root-user-action ignore --require-hashes -r {_FOLDER}/{REQUIREMENTS_NAME} 2>&1",
        "",
    ),
    Installer.NEWEST_PIP: (f"{_VENV} && /tmp/v/bin/pip install -q -r {_FOLDER}/{LOCK_NAME} 2>&1", "--python /tmp/v"),
    Installer.UV_REQUIREMENTS: (
        f"{_UV} && uv pip sync -q --python /tmp/u --require-hashes {_FOLDER}/{REQUIREMENTS_NAME} 2>&1",
        "--python /tmp/u",
    ),
    Installer.UV_PYLOCK: (f"{_UV} && uv pip sync -q --python /tmp/u {_FOLDER}/{LOCK_NAME} 2>&1", "--python /tmp/u"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Trip:
    """What an installation left: distributions as triples (name, version, sha256), and all that was printed.

    `installed` is None if the installation failed. The sha256 is None where the installer notes none.
    """

    installed: frozenset[tuple[str, str, str | None]] | None
    output: str


def install(runner: Runner, image: str, lock: Lock, installer: Installer) -> Trip:
    """Install a lock in an image."""
    return install_files(runner, image, write_pylock(lock), write_requirements(lock), installer)


def install_files(runner: Runner, image: str, pylock: bytes, requirements: bytes, installer: Installer) -> Trip:
    """Install the files of a lock, which may have been changed, in an image."""
    command, python = _COMMANDS[installer]
    files = " && ".join(
        f"echo {base64.b64encode(content).decode()} | base64 -d > {_FOLDER}/{name}"
        for name, content in ((LOCK_NAME, pylock), (REQUIREMENTS_NAME, requirements))
    )
    done = runner.run(image, f"mkdir {_FOLDER} && {files} && {command} && {_INSPECT.format(python=python)}")
    printed, _, inspected = done.output.partition(_MARK)
    if done.exit_code != 0:
        return Trip(installed=None, output=done.output)
    return Trip(installed=frozenset(map(_triple, json.loads(inspected)["installed"])), output=printed)


def _triple(distribution: dict[str, Any]) -> tuple[str, str, str | None]:
    metadata = distribution["metadata"]
    direct = distribution.get("direct_url", {})
    hashes = direct.get("archive_info", {}).get("hashes", {})
    return metadata["name"].lower().replace("_", "-").replace(".", "-"), metadata["version"], hashes.get("sha256")
