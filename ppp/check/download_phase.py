"""The phase `download`: choose the release's file as pip would, and fetch it. No code of the package runs here.

What the index says of the release decides before any file does. It is withdrawn if the index has quarantined the
project, does not list the release any more, or has yanked it and nobody here pinned it: it cannot be had, and the cell
is `NA`. A release that is not listed *yet*, or not with all its files, is our own trouble, and tried again; see
`Expectations`.
"""

import time
from collections.abc import Sequence
from typing import Final

from packaging.version import Version

from ppp.check.causes import printable_line
from ppp.check.cell_facts import CellContext, CellFacts, elapsed_ms, infrastructure_error
from ppp.check.index.choose import (
    NO_FILE,
    IndexFile,
    NotClaimed,
    choose_file,
    files_by_version,
    listed_on_index,
    other_files,
)
from ppp.check.index.client import DownloadError, DownloadTimeoutError
from ppp.check.index.page import Status
from ppp.check.phases import PhaseReport
from ppp.model.errors import IndexUnreachableError, UnknownPackageError
from ppp.model.record import Blame, DistributionFile, Outcome, Phase

#: How much of a file's name a detail shows, in characters.
MAX_NAME_CHARS: Final = 100
#: Of a file that pip installs only for a pin such as `==1.0` (PEP 592).
YANKED: Final = "the index has yanked the release"


class DownloadPhase:
    """Notes the file, its path and its size in `facts`."""

    def __init__(self, context: CellContext, facts: CellFacts) -> None:
        """Check one cell."""
        self._context = context
        self._facts = facts

    def run(self) -> PhaseReport:
        """Choose and fetch the file."""
        started = time.monotonic()
        try:
            chosen = self._choose()
            if isinstance(chosen, PhaseReport):
                return chosen
            self._fetch(chosen)
        except DownloadTimeoutError as error:
            # No code of the package runs here: whoever is slow, it is not the package.
            return infrastructure_error("network", str(error))
        except DownloadError as error:
            return infrastructure_error(error.cause, str(error))
        except UnknownPackageError:
            return self._unlisted(f"the index has no project {self._context.release.package}")
        except IndexUnreachableError as error:
            return infrastructure_error("network", error.message)
        return PhaseReport(outcome=Outcome.PASS, duration_ms=elapsed_ms(started))

    def _choose(self) -> IndexFile | PhaseReport:
        """Return the file that pip would choose, or why there is none; note what the index says of the release."""
        release, index = self._context.release, self._context.index
        listed, status = index.files(release.package), index.status(release.package)
        if status is not None:
            self._facts.project_status = str(status.status)
            if status.status is Status.QUARANTINED:
                # Whatever it lists: nobody is to run it.
                return _not_claimed("withdrawn", _with_reason("the index has quarantined the project", status.reason))
        by_version = files_by_version(release.package, listed)
        self._facts.on_index = listed_on_index(by_version)
        files, others = by_version.get(Version(release.version), []), other_files(release, listed)
        if not (files or others):
            return self._unlisted(f"the index lists no file of {release}")
        chosen: IndexFile | NotClaimed = choose_file(files, self._context.prepared) if files else NO_FILE
        if isinstance(chosen, IndexFile):
            self._facts.yanked = chosen.yanked_reason if chosen.yanked else None
            return self._withdrawn(chosen) or chosen
        if chosen == NO_FILE and self._context.expected.files_may_come:
            detail = f"{release} was announced minutes ago and {NO_FILE.detail}: a file may still be uploaded"
            return infrastructure_error("missing-file", detail)
        if files and all(file.yanked for file in files):
            self._facts.yanked = files[0].yanked_reason
        return _not_claimed(chosen.cause, chosen.detail + (_unusable(others) if chosen == NO_FILE else ""))

    def _withdrawn(self, chosen: IndexFile) -> PhaseReport | None:
        """Return the report on a release whose file is not to be had, although the index lists it; None for others."""
        expected = self._context.expected
        if expected.withdrawn and expected.page_may_lag:
            detail = f"{expected.withdrawn}, but its page still lists {chosen.filename}: it may lag behind"
            return infrastructure_error("missing-file", detail)
        if chosen.yanked and not expected.takes_yanked:
            return _not_claimed("withdrawn", _with_reason(YANKED, chosen.yanked_reason))
        return None

    def _unlisted(self, detail: str) -> PhaseReport:
        """Return the report on a release that the index does not list: it is gone, or not there yet."""
        expected = self._context.expected
        if expected.withdrawn:
            return _not_claimed("withdrawn", f"{expected.withdrawn}: {detail} any more")
        if expected.absence_is_final:
            return _not_claimed("withdrawn", f"{detail} any more")
        return infrastructure_error("missing-file", detail)

    def _fetch(self, chosen: IndexFile) -> None:
        path = self._context.index.fetch(
            chosen,
            timeout_s=self._context.matrix.timeouts_s[Phase.DOWNLOAD],
            max_bytes=self._context.matrix.limits.file_mb * 1024 * 1024,
        )
        self._facts.listed, self._facts.path = chosen, path
        self._facts.bytes[Phase.DOWNLOAD] = path.stat().st_size
        self._facts.file = DistributionFile(
            filename=chosen.filename, sha256=chosen.sha256 or "", size=path.stat().st_size
        )


def _not_claimed(cause: str, detail: str) -> PhaseReport:
    return PhaseReport(
        outcome=Outcome.SKIP, cause=cause, blame=Blame.PACKAGE, detail=printable_line(detail), not_claimed=True
    )


def _with_reason(text: str, reason: str) -> str:
    return f"{text}: {reason}" if reason else text


def _unusable(others: Sequence[str]) -> str:
    """Return the end of a sentence that counts files which pip skips for their names; nothing where there are none."""
    if not others:
        return ""
    count = "1 file" if len(others) == 1 else f"{len(others)} files"
    return f", but {count} of another kind or with a name that cannot be read, such as {others[0][:MAX_NAME_CHARS]}"
