"""The pinned pip: unpacked from the wheel whose sha256 the matrix names, and compared with it before each run.

Its folder also holds bytecode, which the environments' interpreters derive from it, and the keeper's package (see
`ppp.check.sandbox.inside`). Anything else there would be found by imports, so it is not tolerated.
"""

import os
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from ppp.check.index.choose import release_files
from ppp.check.index.client import DownloadError, DownloadTimeoutError, Index
from ppp.model.errors import DiskFullError, IndexUnreachableError, UnknownVersionError
from ppp.model.matrix import PinnedPip
from ppp.model.release import Release
from ppp.run_folders import remove_leftovers, run_folder

TIMEOUT_S: Final = 70
#: What may be beside the wheel's files: packages of the keeper, and one that is being written.
_BESIDE: Final = ("ppp_keeper_", ".keeper-")
_BYTECODE: Final = "__pycache__"


def fetch_pinned_pip(index: Index, version: str, sha256: str, *, cache: Path, max_bytes: int) -> Path:
    """Return the folder with the pinned pip, unpacked from the wheel with this sha256; fetch it first if needed.

    A folder that differs from the wheel is unpacked anew. Raises `UnknownVersionError` if the index has no such wheel,
    `DiskFullError` or `IndexUnreachableError` if it cannot be fetched.
    """
    wheel = _fetch_wheel(index, version, sha256, max_bytes=max_bytes)
    folder = cache / f"pip-{version}-{sha256[:16]}"
    if not is_unpacked(wheel, folder):
        _unpack(wheel, folder)
    return folder


def find_pip(index: Index, version: str) -> PinnedPip:
    """Return a version of pip with the hash that the index gives for its wheel; raise `UnknownVersionError` if none."""
    for file in release_files(Release(package="pip", version=version), index.files("pip")):
        if file.filename.endswith(".whl") and file.sha256:
            return PinnedPip(version=version, sha256=file.sha256)
    raise UnknownVersionError(f"the index has no wheel of pip {version}", hint="check PPP_INDEX_URL")


def _fetch_wheel(index: Index, version: str, sha256: str, *, max_bytes: int) -> Path:
    files = release_files(Release(package="pip", version=version), index.files("pip"))
    wheel = next((f for f in files if f.sha256 == sha256), None)
    if wheel is None:
        raise UnknownVersionError(
            f"the index has no pip {version} with sha256 {sha256}", hint="fix [pip] in the matrix, or PPP_INDEX_URL"
        )
    try:
        return index.fetch(wheel, timeout_s=TIMEOUT_S, max_bytes=max_bytes)
    except (DownloadError, DownloadTimeoutError) as error:
        if isinstance(error, DownloadError) and error.cause == "disk":
            raise DiskFullError(
                f"no space left for the pinned pip: {error}", hint="free some space, then run the same command again"
            ) from error
        raise IndexUnreachableError(
            f"the pinned pip could not be fetched: {error}", hint="check the network"
        ) from error


def is_unpacked(wheel: Path, folder: Path) -> bool:
    """Return whether a folder holds the files of a wheel, each as it is there, and no others that could be imported."""
    if folder.is_symlink() or not folder.is_dir():
        return False
    with zipfile.ZipFile(wheel) as archive:
        missing = {member.filename for member in archive.infolist() if not member.is_dir()}
        for path in _found(folder):
            name = path.relative_to(folder).as_posix()
            if name not in missing or path.is_symlink() or not path.is_file():
                return False
            if path.read_bytes() != archive.read(name):
                return False
            missing.remove(name)
    return not missing


def _found(folder: Path) -> Iterator[Path]:
    """Yield all files below a folder, and links to folders, but not bytecode and what belongs to the keeper."""
    for place, folders, files in os.walk(folder):
        below = Path(place)
        links = [name for name in folders if (below / name).is_symlink()]
        folders[:] = [name for name in folders if name != _BYTECODE and name not in links]
        if below == folder:
            folders[:] = [name for name in folders if not name.startswith(_BESIDE)]
        yield from (below / name for name in [*files, *links])


def _unpack(wheel: Path, folder: Path) -> None:
    # Into a temporary folder, which is renamed when complete: a killed run leaves nothing that looks finished.
    remove_leftovers([".pip-"], folder.parent)
    with run_folder(".pip-", folder.parent) as partial:
        with zipfile.ZipFile(wheel) as archive:
            archive.extractall(partial / "new")
        # Cells read it as other users, whatever this process's umask is.
        for path in (partial / "new", *(partial / "new").rglob("*")):
            path.chmod(0o755 if path.is_dir() else 0o644)
        if os.path.lexists(folder):
            folder.rename(partial / "old")
        (partial / "new").rename(folder)
