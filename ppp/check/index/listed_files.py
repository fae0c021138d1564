"""What an index says about files, for `ppp.index_files`: of those that a run fetched, or of a project's page."""

from collections.abc import Iterable
from typing import Final

from ppp.check.index.choose import IndexFile, file_version
from ppp.check.index.client import SimpleIndex
from ppp.index_files.file import IndexedFile
from ppp.model.release import MAX_VERSION_LENGTH

_NO_SHA256: Final = ""


def to_indexed_file(file: IndexFile, seen_at: int) -> IndexedFile | None:
    """Return what the index said of a file at `seen_at`, in epoch seconds.

    None if it is neither a wheel nor an sdist with a name that can be read, or has no sha256 or plain address.
    """
    version = file_version(file, file.project) if file.project else None
    if version is None or len(str(version)) > MAX_VERSION_LENGTH:
        return None
    return IndexedFile.checked(
        sha256=file.sha256 or _NO_SHA256,
        project=file.project,
        version=str(version),
        filename=file.filename,
        url=file.url,
        seen_at=seen_at,
        size=file.size,
        upload_time=file.upload_time,
        requires_python=file.requires_python,
        yanked=file.yanked_reason if file.yanked else None,
        metadata_sha256=file.metadata_sha256,
    )


def fetched_files(index: SimpleIndex, seen_at: int) -> tuple[IndexedFile, ...]:
    """Return what the index said of the files that were fetched from it so far."""
    return _indexed(list(index.fetched.values()), seen_at)


def read_project(index: SimpleIndex, project: str, seen_at: int) -> tuple[IndexedFile, ...]:
    """Return what a project's page says of its files; raise `UnknownPackageError` or `IndexUnreachableError`."""
    return _indexed(index.files(project), seen_at)


def _indexed(files: Iterable[IndexFile], seen_at: int) -> tuple[IndexedFile, ...]:
    return tuple(found for file in files if (found := to_indexed_file(file, seen_at)) is not None)
