"""Every error a person can meet: what happened with its values, what to do next, and an exit code of its own.

Ours raise, theirs are data: nothing a package does becomes an exception; it becomes an `Outcome`.
"""

from typing import ClassVar


class PPPError(Exception):
    """Base of all errors shown to a person: one line of what happened, one clause of what to do next."""

    exit_code: ClassVar[int] = 3

    def __init__(self, message: str, *, hint: str) -> None:
        """Take what happened, with its values, and what the person can do about it."""
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        """Give both on one line."""
        return f"{self.message} ({self.hint})" if self.hint else self.message


class ConfigError(PPPError):
    """Settings that cannot be used; all mistakes are named together."""

    exit_code = 10


class MatrixError(PPPError):
    """A matrix file with mistakes; all are named together with their places."""

    exit_code = 11


class UnknownEnvironmentError(PPPError):
    """An environment that the matrix does not hold."""

    exit_code = 12


class UnknownPackageError(PPPError):
    """A package that the index, or the ledger, does not know."""

    exit_code = 13


class UnknownVersionError(PPPError):
    """A version that the index does not hold for a package."""

    exit_code = 14


class FeedUnreachableError(PPPError):
    """A feed that did not answer, or not with success."""

    exit_code = 15


class FeedMalformedError(PPPError):
    """A feed that is not one, or holds no release."""

    exit_code = 16


class FeedTooLargeError(PPPError):
    """A feed above the size cap; reading stopped at the cap."""

    exit_code = 17


class DiskFullError(PPPError):
    """No space left where PPP writes."""

    exit_code = 18


class DataReadOnlyError(PPPError):
    """A data folder that cannot be written."""

    exit_code = 19


class LedgerTooNewError(PPPError):
    """A ledger written by a newer PPP."""

    exit_code = 20


class LedgerBusyError(PPPError):
    """Another PPP writes this ledger."""

    exit_code = 21


class LedgerDamagedError(PPPError):
    """A ledger file that SQLite cannot read, or that is missing where one is needed."""

    exit_code = 22


class NoEnvironmentError(PPPError):
    """Nothing to check in: no Docker, no image, no interpreter."""

    exit_code = 23


class IndexUnreachableError(PPPError):
    """The package index did not answer, or not with what an index answers."""

    exit_code = 24


class RequirementsError(PPPError):
    """A watchlist or requirements file with mistakes; all are named together with their lines."""

    exit_code = 25


class NodeError(PPPError):
    """A node's key that is missing, damaged, or would be overwritten."""

    exit_code = 26


class PeerError(PPPError):
    """A peer that cannot be added, found or reached."""

    exit_code = 27


class RejectedDataError(PPPError):
    """Something from a peer that failed verification; nothing of it was stored."""

    exit_code = 28


class ScriptRejectedError(PPPError):
    """A narration that its verifier did not pass; nothing was stored."""

    exit_code = 29


class NoRecordsError(PPPError):
    """A narration asked of a ledger that holds no record."""

    exit_code = 30


class PublishError(PPPError):
    """An output folder that cannot be built or does not verify."""

    exit_code = 31


class DatasetteError(PPPError):
    """Datasette could not be started."""

    exit_code = 32


class ListenError(PPPError):
    """An address that this node cannot listen on."""

    exit_code = 34


class GatewayUnavailableError(PPPError):
    """No gateway to the index can be had, and nobody said that cells may have the open network."""

    exit_code = 38


class UnhealthyError(PPPError):
    """A machine on which the doctor found something broken."""

    exit_code = 36


class InvalidFileError(PPPError):
    """A published file that is not what it says, or that nothing vouches for."""

    exit_code = 37
