"""The phase `download`: choose the release's file as pip would, and fetch it. No code of the package runs here."""

import time

from ppp.check.causes import printable_line
from ppp.check.cell_facts import CellContext, CellFacts, elapsed_ms, infrastructure_error
from ppp.check.index.choose import IndexFile, NotClaimed, choose_file, release_files
from ppp.check.index.client import DownloadError, DownloadTimeoutError
from ppp.check.phases import PhaseReport
from ppp.model.errors import IndexUnreachableError, UnknownPackageError
from ppp.model.record import Blame, DistributionFile, Outcome, Phase


class DownloadPhase:
    """Notes the file, its path and its size in `facts`."""

    def __init__(self, context: CellContext, facts: CellFacts) -> None:
        """Check one cell."""
        self._context = context
        self._facts = facts

    def run(self) -> PhaseReport:
        """Choose and fetch the file."""
        started = time.monotonic()
        package = self._context.release.package
        try:
            files = release_files(self._context.release, self._context.index.files(package))
            if not files:
                return infrastructure_error("missing-file", f"the index lists no file of {self._context.release}")
            chosen = choose_file(files, self._context.prepared)
            if isinstance(chosen, NotClaimed):
                return PhaseReport(
                    outcome=Outcome.SKIP,
                    cause=chosen.cause,
                    blame=Blame.PACKAGE,
                    detail=printable_line(chosen.detail),
                    not_claimed=True,
                )
            self._fetch(chosen)
        except DownloadTimeoutError as error:
            # No code of the package runs here: whoever is slow, it is not the package.
            return infrastructure_error("network", str(error))
        except DownloadError as error:
            return infrastructure_error(error.cause, str(error))
        except (IndexUnreachableError, UnknownPackageError) as error:
            return infrastructure_error("network", error.message)
        return PhaseReport(outcome=Outcome.PASS, duration_ms=elapsed_ms(started))

    def _fetch(self, chosen: IndexFile) -> None:
        path = self._context.index.fetch(
            chosen,
            timeout_s=self._context.matrix.timeouts_s[Phase.DOWNLOAD],
            max_bytes=self._context.matrix.limits.file_mb * 1024 * 1024,
        )
        self._facts.path = path
        self._facts.bytes[Phase.DOWNLOAD] = path.stat().st_size
        self._facts.file = DistributionFile(
            filename=chosen.filename, sha256=chosen.sha256 or "", size=path.stat().st_size
        )
