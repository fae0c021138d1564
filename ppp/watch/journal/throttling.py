"""How often an index may be asked: at least so many seconds apart, and later when it says so.

It says so with a status, a `Retry-After` (RFC 9110), or `RateLimit` headers: those of draft 8 and later of
draft-ietf-httpapi-ratelimit-headers (`RateLimit: "default";r=0;t=30`) and the older `RateLimit-Remaining` and
`RateLimit-Reset`. The clock and sleeping are arguments.
"""

import re
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from typing import Final

#: Statuses that mean: later.
THROTTLING: Final = frozenset({HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE})
#: What one header may make us wait, in seconds: a day.
MAX_WAIT_S: Final = 86_400.0
#: The longest header that is read, in characters, and how many policies of it.
MAX_HEADER: Final = 1_000
MAX_POLICIES: Final = 20

_SECONDS: Final = re.compile(r"[0-9]{1,10}")
_PARAMETER: Final = re.compile(r"(?:^|[;,])\s*(?P<name>[a-z]+)\s*=\s*(?P<value>[0-9]{1,10})(?=\s*(?:[;,]|$))")


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """Seconds: between two requests; the first wait after a refusal, which doubles up to the longest one; all waits.

    `budget_s` limits what is waited in all because the index refused: then the caller is told to come back later.
    """

    between_s: float = 1.0
    first_wait_s: float = 2.0
    longest_wait_s: float = 60.0
    budget_s: float = 180.0


@dataclass(slots=True, kw_only=True)
class Throttle:
    """What is known of how often one index may be asked. `clock` is monotonic, in seconds."""

    pace: Pace = field(default_factory=Pace)
    clock: Callable[[], float] = time.monotonic
    sleep: Callable[[float], object] = time.sleep
    #: When the next request may be sent.
    _not_before: float | None = None
    _refusals: int = 0
    _waited_s: float = 0.0

    def wait(self) -> float:
        """Sleep until a request may be sent. Return 0, or, if that is beyond the budget, the seconds still to wait."""
        if self._not_before is not None and (left := self._not_before - self.clock()) > 0:
            if left > self.pace.between_s:
                if self._waited_s + left > self.pace.budget_s:
                    return left
                self._waited_s += left
            self.sleep(left)
        self._not_before = self.clock() + self.pace.between_s
        return 0.0

    def accepted(self, headers: Mapping[str, str]) -> None:
        """Note an answer: the next request may have to wait until a limit is reset."""
        self._refusals = 0
        self._postpone(max(self.pace.between_s, limit_wait_s(headers)))

    def refused(self, headers: Mapping[str, str], *, now: float) -> None:
        """Note that the index refused; `now` is in epoch seconds, for a `Retry-After` that is a date."""
        back_off = min(self.pace.first_wait_s * 2**self._refusals, self.pace.longest_wait_s)
        self._refusals = min(self._refusals + 1, 30)
        self._postpone(max(back_off, limit_wait_s(headers), retry_after_s(headers.get("retry-after"), now=now)))

    def _postpone(self, seconds: float) -> None:
        self._not_before = self.clock() + seconds


def retry_after_s(text: str | None, *, now: float) -> float:
    """Return the seconds that a `Retry-After` header asks to wait, at most `MAX_WAIT_S`; 0 if it is invalid."""
    if text is None or len(text) > MAX_HEADER:
        return 0.0
    if _SECONDS.fullmatch(text.strip()):
        return min(float(text), MAX_WAIT_S)
    try:
        return min(max(parsedate_to_datetime(text).timestamp() - now, 0.0), MAX_WAIT_S)
    except (ValueError, TypeError, OverflowError, IndexError):
        return 0.0


def limit_wait_s(headers: Mapping[str, str]) -> float:
    """Return the seconds until a limit is reset that has no request left; 0 if there is no such limit."""
    waits = [0.0]
    # A list of policies, each a name with parameters: `r` requests are left, for `t` seconds.
    for policy in headers.get("ratelimit", "")[:MAX_HEADER].split(",")[:MAX_POLICIES]:
        found = {match["name"]: int(match["value"]) for match in _PARAMETER.finditer(policy)}
        # Draft 7 wrote `limit=100, remaining=0, reset=30`, whose parts are handled below.
        if found.get("r") == 0 and "t" in found:
            waits.append(found["t"])
    older = {m["name"]: m["value"] for m in _PARAMETER.finditer(headers.get("ratelimit", "")[:MAX_HEADER])}
    remaining = headers.get("ratelimit-remaining", older.get("remaining", ""))[:MAX_HEADER].strip()
    reset = headers.get("ratelimit-reset", older.get("reset", ""))[:MAX_HEADER].strip()
    if _SECONDS.fullmatch(remaining) and int(remaining) == 0 and _SECONDS.fullmatch(reset):
        waits.append(int(reset))
    return min(max(waits), MAX_WAIT_S)
