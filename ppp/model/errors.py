"""All errors that are shown to users: each has a message with values, a hint and a unique exit code.

Only errors of PPP and of its environment are exceptions. Whatever a package under test does becomes an `Outcome`.
"""

from typing import ClassVar


class PPPError(Exception):
    """Base of all errors shown to users: a message of one line, and a hint of one clause about what to do next."""

    exit_code: ClassVar[int] = 3

    def __init__(self, message: str, *, hint: str) -> None:
        """Store the message (what happened, with values) and the hint (what to do about it, or an empty string)."""
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        """Return the message and the hint on one line."""
        return f"{self.message} ({self.hint})" if self.hint else self.message


class ConfigError(PPPError):
    """Settings are invalid; the message lists all mistakes."""

    exit_code = 10


class MatrixError(PPPError):
    """A matrix file is invalid; the message lists all mistakes with their places."""

    exit_code = 11


class UnknownEnvironmentError(PPPError):
    """The matrix has no such environment."""

    exit_code = 12


class UnknownPackageError(PPPError):
    """The index or the ledger has no such package."""

    exit_code = 13


class UnknownVersionError(PPPError):
    """The index has no such version of a package."""

    exit_code = 14


class FeedUnreachableError(PPPError):
    """A feed did not respond, or not with success."""

    exit_code = 15


class FeedMalformedError(PPPError):
    """A response is not a feed, or lists no release."""

    exit_code = 16


class FeedTooLargeError(PPPError):
    """A feed exceeds the size limit; reading stopped there."""

    exit_code = 17


class DiskFullError(PPPError):
    """There is no space left where PPP writes."""

    exit_code = 18


class DataReadOnlyError(PPPError):
    """The data folder is not writable."""

    exit_code = 19


class LedgerTooNewError(PPPError):
    """The ledger was written by a newer version of PPP."""

    exit_code = 20


class LedgerBusyError(PPPError):
    """Another process is writing this ledger."""

    exit_code = 21


class LedgerDamagedError(PPPError):
    """SQLite cannot read the ledger file, its content is inconsistent, or it is missing."""

    exit_code = 22


class NoEnvironmentError(PPPError):
    """No environment is available for checks: no Docker, no image, no Python interpreter."""

    exit_code = 23


class IndexUnreachableError(PPPError):
    """The package index did not respond, or not with a valid response."""

    exit_code = 24


class RequirementsError(PPPError):
    """A watchlist or requirements file is invalid; the message lists all mistakes with their lines."""

    exit_code = 25


class NodeError(PPPError):
    """The node's key is missing or damaged, or would be overwritten."""

    exit_code = 26


class PeerError(PPPError):
    """A peer cannot be added, found or reached."""

    exit_code = 27


class RejectedDataError(PPPError):
    """Data from a peer failed verification; none of it was stored."""

    exit_code = 28


class ScriptRejectedError(PPPError):
    """A narration script failed verification; it was not stored."""

    exit_code = 29


class NoRecordsError(PPPError):
    """The ledger has no records to narrate."""

    exit_code = 30


class PublishError(PPPError):
    """The public folder cannot be built, or fails verification."""

    exit_code = 31


class SnapshotRoomError(PublishError):
    """The newest snapshot alone takes more than the share of a site's bound that snapshots have; none was written."""

    exit_code = 64


class DatasetteError(PPPError):
    """Datasette could not be started."""

    exit_code = 32


class ListenError(PPPError):
    """The node cannot listen on an address."""

    exit_code = 34


class GatewayUnavailableError(PPPError):
    """No gateway to the index is available, and the settings do not allow cells to use the open network."""

    exit_code = 38


class UnhealthyError(PPPError):
    """`ppp doctor` found a problem on this machine."""

    exit_code = 36


class InvalidFileError(PPPError):
    """A published file is not what it claims to be, or nothing confirms its content."""

    exit_code = 37


class ClockError(PPPError):
    """The clock of this machine is wrong: records would carry wrong times."""

    exit_code = 39


class InvalidRecordError(PPPError):
    """A record of this node is invalid by the published schema; it was not stored."""

    exit_code = 45


class JournalUnreachableError(PPPError):
    """An index's journal did not respond, or refused the request."""

    exit_code = 46


class JournalMalformedError(PPPError):
    """A response is not a journal's, exceeds a limit, or contradicts itself."""

    exit_code = 47


class StateError(PPPError):
    """A state does not belong here: it is another node's, or older than the ledger or than what is published."""

    exit_code = 52


class BackupError(PPPError):
    """A backup cannot be made there, or the copy differs from the ledger."""

    exit_code = 56


class UndecidedError(PPPError):
    """A check ended without a verdict, for a reason that is ours: it says nothing about what was checked."""

    exit_code = 58


class NotForEnvironmentError(PPPError):
    """None of the files to check is for an environment, so nothing was checked there."""

    exit_code = 59


class MirrorIncompleteError(PPPError):
    """The site was published, but files that its mirror has room for could not be copied."""

    exit_code = 60


class NoEpisodeError(PPPError):
    """The ledger holds no such episode, so there is nothing to render."""

    exit_code = 86


class LockRefusedError(PPPError):
    """No lock can be made: a record is no PASS, or a file of it has no hash, or is not known from the index."""

    exit_code = 66


class InvalidLockError(PPPError):
    """A lock is not one that PPP makes, or was changed since; nothing of it is used."""

    exit_code = 67


class JointLockBlockedError(PPPError):
    """Packages cannot be locked together in an environment; what blocks each of them was printed."""

    exit_code = 77


class ReproducedDifferentlyError(PPPError):
    """A cell that was run again made other claims than its record; what differs was printed."""

    exit_code = 70


class NotReproducibleError(PPPError):
    """A record cannot be reproduced here: its image, a file, or another thing that it names is missing."""

    exit_code = 71


class UnknownRecordError(PPPError):
    """The ledger has no such record, or several whose ids begin so."""

    exit_code = 72


class JournalThrottledError(PPPError):
    """An index asks to be asked less often; `retry_after_s` says in how many seconds it may be asked again."""

    exit_code = 48

    def __init__(self, message: str, *, hint: str, retry_after_s: float) -> None:
        """Store the message and the hint (see `PPPError`), and the time to wait."""
        super().__init__(message, hint=hint)
        self.retry_after_s = retry_after_s


class DeclarationError(PPPError):
    """A declared set of packages is no valid file; the message lists its mistakes."""

    exit_code = 80


class DeclaredRulesError(PPPError):
    """A declared set of packages breaks rules; what breaks each of them was printed, and nothing was released."""

    exit_code = 81


class DeclaredReleaseError(PPPError):
    """A declared release is malformed, was changed, or is signed by nobody who is trusted."""

    exit_code = 82


class InvalidAttestationError(PPPError):
    """An attestation is malformed, was changed, or is signed by nobody who is trusted."""

    exit_code = 78


class NotAttestedError(PPPError):
    """A record has no attestation: it is another node's, has no verdict, or names no file."""

    exit_code = 79


class ProjectFileError(PPPError):
    """A project's pyproject.toml or pylock.toml is missing or invalid, or does not have what is asked for."""

    exit_code = 73


class LockedFileError(PPPError):
    """A file is not the one that the lock names, or cannot be fetched; nothing was installed."""

    exit_code = 74


class InstallToolError(PPPError):
    """Neither uv nor pip is available, or it failed."""

    exit_code = 75


class EnvironmentDiffersError(PPPError):
    """An environment is not as its lock says."""

    exit_code = 76


class ExportError(PPPError):
    """An export cannot be written: its folder holds something, or a library is missing."""

    exit_code = 65
