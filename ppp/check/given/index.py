"""The index that the cell of a given file uses: the file is all that there is of its release."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ppp.check.given.reading import GivenFile
from ppp.check.index.choose import IndexFile
from ppp.check.index.client import DownloadError, Index
from ppp.check.index.page import ProjectStatus
from ppp.model.errors import UnknownPackageError


@dataclass(frozen=True, slots=True, kw_only=True)
class GivenIndex:
    """One given file, the others beside it, and a real index for everything else; see `ppp.check.index.client.Index`.

    Of the file's own project nothing but the file is listed: what the index has of it already is not what was asked
    about. Of other projects, given files come in addition to the index's, as pip finds them.
    """

    file: GivenFile
    others: Sequence[GivenFile]
    fallback: Index

    def files(self, package: str) -> tuple[IndexFile, ...]:
        """Return the files of a project; raise as the other index does, where no given file is of the project."""
        if self._is_own(package):
            return (self.file.listed,)
        given = self._given(package)
        try:
            return (*given, *self.fallback.files(package))
        except UnknownPackageError:
            if not given:
                raise
            return given

    def status(self, package: str) -> ProjectStatus | None:
        """Return a project's status; None for the file's own."""
        if self._is_own(package):
            return None
        try:
            return self.fallback.status(package)
        except UnknownPackageError:
            if not self._given(package):
                raise
            return None

    def fetch(self, file: IndexFile, *, timeout_s: float, max_bytes: int) -> Path:
        """Return the path of a file, whose hash was checked; raise as an index does."""
        if file != self.file.listed:
            return self.fallback.fetch(file, timeout_s=timeout_s, max_bytes=max_bytes)
        path = self.file.path
        try:
            with path.open("rb") as opened:
                found = hashlib.file_digest(opened, "sha256").hexdigest()
        except OSError as error:
            raise DownloadError("disk", f"the copy of {file.filename} cannot be read: {error.strerror}") from error
        if found != file.sha256:
            raise DownloadError("hash", f"the copy of {file.filename} has sha256 {found}, and had {file.sha256}")
        return path

    def _is_own(self, package: str) -> bool:
        return self.file.release is not None and self.file.release.package == package

    def _given(self, package: str) -> tuple[IndexFile, ...]:
        return tuple(other.listed for other in self.others if other.release and other.release.package == package)
