"""What the record of a given file's cell is worth: pure.

A result counts only if pip's report, which `installation` has held against what is known outside, names the given
file's own bytes as what was installed.
"""

from collections.abc import Iterator, Sequence

from ppp.check.given.reading import GivenFile
from ppp.model.record import Record, Result, to_infrastructure_error

#: Why a wheel is `NA` that no tag of the environment fits.
_NO_FILE = "no-distribution"


def proven(record: Record, file: GivenFile) -> Record:
    """Return the record of a file's cell, or an `ERROR` in its place if something else was installed in the file's.

    A `PASS` needs the proof; a failure needs it only where something was installed.
    """
    if record.result is Result.NA:
        return record
    own = [item.sha256 for item in record.installed if item.name == record.release.package]
    is_own = record.file is None or record.file.sha256 == file.sha256
    is_installed = own == [file.sha256] if record.result is Result.PASS else own in ([], [file.sha256])
    if is_own and is_installed and (record.file or record.result is not Result.PASS):
        return record
    found = ", ".join(sha256 or "a file without a hash" for sha256 in own) or "nothing"
    detail = f"it is not proven that {file.filename} was installed: pip names {found} in place of {file.sha256}"
    return to_infrastructure_error(record, cause="sandbox", detail=detail)


def explained(record: Record, file: GivenFile) -> str | None:
    """Return the detail of a file's record; of a wheel for other environments it names the wheel's tags."""
    if record.result is Result.NA and record.cause == _NO_FILE and file.is_wheel:
        tags = "-".join(file.filename.removesuffix(".whl").split("-")[-3:])
        return f"the wheel is for {tags}, which pip does not accept in this environment"
    return record.detail


def notes(record: Record, file: GivenFile, others: Sequence[GivenFile]) -> tuple[str, ...]:
    """Return sentences about what the result leaves unsaid: odd tags, and given files that pip had no use for."""
    return (*file.notes, *_unused(record, others))


def _unused(record: Record, others: Sequence[GivenFile]) -> Iterator[str]:
    known = {other.sha256 for other in others}
    given = {other.release.package: other.filename for other in others if other.release}
    for item in record.installed:
        if item.name != record.release.package and item.name in given and item.sha256 not in known:
            yield f"pip preferred the index's {item.name} {item.version} to the given {given[item.name]}"
