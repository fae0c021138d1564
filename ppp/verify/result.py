"""The result of verifying one published file or ledger: valid, or INVALID with the reason."""

from dataclasses import dataclass
from typing import NoReturn

from ppp.model.canonical import Json
from ppp.model.errors import InvalidFileError
from ppp.model.printable import printable_reason


@dataclass(frozen=True, slots=True, kw_only=True)
class Verification:
    """Whether the file at a path is valid; `message` says as what, or why not, in one printable line."""

    path: str
    valid: bool
    message: str

    def to_json(self) -> dict[str, Json]:
        """Return a JSON object for programs; its keys are published, so they keep their names."""
        return {"path": self.path, "valid": self.valid, "message": self.message}


def fail(why: str) -> NoReturn:
    """Raise `InvalidFileError` with a reason; unprintable characters of untrusted text in it are replaced."""
    raise InvalidFileError(printable_reason(why), hint="")
