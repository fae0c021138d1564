"""A JSON object with one long list in it, read while it arrives: each element goes to a function and is forgotten.

The whole index of a large registry has 40 MB, and 700,000 elements. The standard library's decoder, which has a limit
of depth, reads the elements one by one; what is not decoded yet is at most one part and one element.
"""

import codecs
import json
import re
from collections.abc import Callable
from typing import Any, Final

from ppp.model.printable import printable_reason

#: The longest element of the list, and the longest member beside it, in characters.
MAX_ELEMENT: Final = 64 * 1024
MAX_MEMBER: Final = 4 * 1024 * 1024
#: The most members beside the list.
MAX_MEMBERS: Final = 100

_SPACE: Final = re.compile(r"[ \t\r\n]*")


class InvalidListError(Exception):
    """What was sent is not such an object, or exceeds a limit; the message continues "the answer …"."""


class _Incomplete(Exception):  # noqa: N818 - no error: more has to arrive
    """What was received ends in the middle of something."""


class JsonListReader:
    """Reads an object in parts; `on_element` gets each element of the list that is its member `key`."""

    def __init__(self, key: str, on_element: Callable[[Any], object], *, keep: frozenset[str]) -> None:
        """Begin to read; the members in `keep` are kept."""
        self._key = key
        self._on_element = on_element
        self._keep = keep
        self._decoder = json.JSONDecoder(parse_constant=_refuse_constant)
        self._text_decoder = codecs.getincrementaldecoder("utf-8")()
        self._buffer = ""
        self._place = 0
        self._step: Callable[[], Callable[..., Any] | None] | None = self._begin
        self._limit = MAX_ELEMENT
        self._count = 0
        #: The members that were kept; and whether the list was among the others.
        self.members: dict[str, Any] = {}
        self.has_list = False

    def feed(self, part: bytes) -> None:
        """Read the next part; raise `InvalidListError`."""
        try:
            self._buffer = self._buffer[self._place :] + self._text_decoder.decode(part)
            self._place = 0
            while self._step is not None:
                self._step = self._step()
        except _Incomplete:
            if len(self._buffer) - self._place > self._limit:
                raise InvalidListError(f"has an element of more than {self._limit:,} characters") from None
        except UnicodeDecodeError:
            raise InvalidListError("is not UTF-8") from None
        except RecursionError:
            raise InvalidListError("nests too deep") from None
        if self._step is None and self._buffer[self._place :].strip():
            raise InvalidListError("has something after its end")

    def close(self) -> None:
        """Raise `InvalidListError` if the object has not ended, or has no such list."""
        if self._step is not None:
            raise InvalidListError("is empty" if self._step == self._begin else "is cut short")
        if not self.has_list:
            raise InvalidListError(f"has no list {self._key!r}")

    # ---------------------------------------------------------------- steps: each returns the next one, None at the end

    def _begin(self) -> Callable[..., Any]:
        first = self._character()
        if first == "<":
            raise InvalidListError("is HTML or XML in place of JSON")
        if first not in "{\ufeff":
            raise InvalidListError("is not JSON, or not an object of it")
        return self._begin if first == "\ufeff" else self._first_member

    def _first_member(self) -> Callable[..., Any] | None:
        if self._peek() == "}":
            self._place += 1
            return None
        return self._member()

    def _member(self) -> Callable[..., Any] | None:
        self._limit = MAX_MEMBER
        start = self._place
        try:
            name, self._place = self._decode()
            if self._character() != ":":
                raise InvalidListError("is not JSON: a member has no value")
            if not isinstance(name, str):
                raise InvalidListError("is not JSON: the name of a member is no text")
            if name == self._key and self._peek() == "[":
                return self._begin_list()
            value, end = self._decode()
            self._place = end
            return self._after_member(name, value)
        except _Incomplete:
            self._place = start
            raise

    def _after_member(self, name: str, value: object) -> Callable[..., Any] | None:
        # What follows has arrived, or `_decode` would not have returned.
        self._count += 1
        if self._count > MAX_MEMBERS:
            raise InvalidListError(f"has more than {MAX_MEMBERS} members")
        if name in self._keep:
            self.members.setdefault(name, value)
        return self._end_of_member()

    def _end_of_member(self) -> Callable[..., Any] | None:
        match self._character():
            case ",":
                return self._member
            case "}":
                return None
        raise InvalidListError("is not JSON: a comma or } is missing")

    def _begin_list(self) -> Callable[..., Any]:
        if self.has_list:
            raise InvalidListError(f"has two lists {self._key!r}")
        self.has_list = True
        self._place += 1
        self._limit = MAX_ELEMENT
        return self._first_element

    def _first_element(self) -> Callable[..., Any]:
        if self._peek() == "]":
            self._place += 1
            return self._end_of_member
        return self._elements

    def _elements(self) -> Callable[..., Any]:
        """Read all elements that have arrived."""
        while True:
            value, end = self._decode()
            delimiter = self._buffer[end]
            self._place = end + 1
            if delimiter not in ",]":
                raise InvalidListError("is not JSON: a comma or ] is missing")
            self._on_element(value)
            if delimiter == "]":
                return self._end_of_member

    # ---------------------------------------------------------------- what has arrived

    def _skip_space(self, place: int) -> int:
        match = _SPACE.match(self._buffer, place)
        place = match.end() if match else place
        if place >= len(self._buffer):
            raise _Incomplete
        return place

    def _peek(self) -> str:
        self._place = self._skip_space(self._place)
        return self._buffer[self._place]

    def _character(self) -> str:
        found = self._peek()
        self._place += 1
        return found

    def _decode(self) -> tuple[Any, int]:
        """Return the value that begins here, and the place of what follows it, which has arrived."""
        start = self._skip_space(self._place)
        try:
            value, end = self._decoder.raw_decode(self._buffer, start)
        except json.JSONDecodeError as error:
            # Of what cannot be decoded, either the end has not arrived, or it is no JSON, which the limit finds.
            if len(self._buffer) - start > self._limit:
                reason = printable_reason(error.msg, 100)
                raise InvalidListError(f"is not JSON, or has an element that is too long: {reason}") from None
            raise _Incomplete from None
        following = self._skip_space(end)
        if following == end and self._buffer[end] in ".eE" and isinstance(value, int | float):
            # `1.5e` is the beginning of a number, of which the decoder took `1.5` for the whole.
            raise _Incomplete
        return value, following


def _refuse_constant(name: str) -> None:
    raise InvalidListError(f"is not JSON: it has {name}")
