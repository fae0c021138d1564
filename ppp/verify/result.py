"""What was found of one published thing: it holds, or it does not and why."""

from dataclasses import dataclass
from typing import NoReturn

from ppp.mesh.untrusted import printable_line
from ppp.model.errors import InvalidFileError
from ppp.model.record import Json


@dataclass(frozen=True, slots=True, kw_only=True)
class Verification:
    """Whether the thing at a path holds; `told` says as what, or why not, in one printable line."""

    path: str
    valid: bool
    message: str

    def to_json(self) -> dict[str, Json]:
        """Give it for a program."""
        return {"path": self.path, "holds": self.valid, "told": self.message}


def fail(why: str) -> NoReturn:
    """Raise the `DoesNotHoldError` that says why; strangers' words in it are made harmless."""
    raise InvalidFileError(printable_line(why), hint="")
