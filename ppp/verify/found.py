"""What was found of one published thing: it holds, or it does not and why."""

from dataclasses import dataclass
from typing import NoReturn

from ppp.mesh.untrusted import plain
from ppp.model.errors import DoesNotHoldError
from ppp.model.record import Json


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """Whether the thing at a path holds; `told` says as what, or why not, in one printable line."""

    path: str
    holds: bool
    told: str

    def to_json(self) -> dict[str, Json]:
        """Give it for a program."""
        return {"path": self.path, "holds": self.holds, "told": self.told}


def fail(why: str) -> NoReturn:
    """Raise the `DoesNotHoldError` that says why; strangers' words in it are made harmless."""
    raise DoesNotHoldError(plain(why), hint="")
