"""An XML-RPC response, read while it arrives: each element of the array that it is goes to a function and is forgotten.

Whatever is sent, little is held: values are short, few and not deep, markup is short, and a document type, which could
declare entities that expand without end, is refused. expat needs time in proportion to the length for all of this.

expat calls a function 40 times for a row of the changelog. So rows in the exact form that Python's own library writes
are cut out of what arrives before expat sees it, where it would read a row next; all else goes to expat, as do rows
with any text that XML has to escape.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, NoReturn
from xml.parsers import expat

from ppp.model.printable import printable_reason

#: The most elements above one another: a row's field has eleven.
MAX_DEPTH: Final = 16
#: The longest text of a value, in characters; a longer one of a fault is cut.
MAX_TEXT: Final = 2_000
#: How many values a row, or any array or structure in it, may have.
MAX_VALUES: Final = 32
#: The longest tag or comment, in bytes.
MAX_MARKUP: Final = 256 * 1024
#: The longest number, in digits.
MAX_DIGITS: Final = 20

#: How much is held back because it may be the beginning of a row in that form, in bytes.
MAX_HELD: Final = 4 * 1024
#: How many elements are open where a row of the outermost array may begin: its `data` is the sixth.
_ROWS_DEPTH: Final = 6

_ROW_START: Final = b"<value><array><data>"
#: A text that means the same with and without XML.
_PLAIN: Final = rb"<value><string>([ !-%'-;=?-~]{0,2000})</string></value>\n"
_INTEGER: Final = rb"<value><int>(-?[0-9]{1,20})</int></value>\n"
_ROW: Final = re.compile(
    rb"\n?<value><array><data>\n"
    + _PLAIN
    + rb"(?:%s|<value><nil/></value>\n?)" % _PLAIN
    + _INTEGER
    + _PLAIN
    + _INTEGER
    + rb"</data></array></value>"
)

_NUMBERS: Final = frozenset({"int", "i4", "i8"})
_SCALARS: Final = frozenset({"string", "nil", "boolean", "double", "dateTime.iso8601", "base64"}) | _NUMBERS
_OTHERS: Final = frozenset({"methodResponse", "params", "param", "fault", "value", "array", "data"})
_IN_STRUCTURES: Final = frozenset({"struct", "member", "name"})
_ELEMENTS: Final = _SCALARS | _OTHERS | _IN_STRUCTURES

#: A value: texts and numbers, None for `nil`; arrays as lists; structures as lists of names and values by turns.
Value = str | int | None | list["Value"]


class InvalidResponseError(Exception):
    """What was sent is not a response of XML-RPC, or exceeds a limit; the message continues "the answer …"."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RpcFault:
    """A server's refusal: its number, and its text, printable."""

    code: int
    text: str


class ResponseReader:
    """Reads a response in pieces; `on_row` gets each element of the outermost array."""

    def __init__(self, on_row: Callable[[Value], object]) -> None:
        """Begin to read."""
        self._on_row = on_row
        self._parser = expat.ParserCreate("utf-8")
        self._parser.buffer_text = True
        self._parser.StartElementHandler = self._start
        self._parser.EndElementHandler = self._end
        self._parser.CharacterDataHandler = self._add_text
        self._parser.StartDoctypeDeclHandler = self._refuse_doctype
        self._parser.StartCdataSectionHandler = self._start_cdata
        self._parser.EndCdataSectionHandler = self._end_cdata
        #: How many bytes expat has got, and what neither it nor anyone has read yet.
        self._parsed = 0
        self._rest = b""
        self._in_cdata = False
        self._depth = 0
        self._text = ""
        #: The value that has just ended, if any did since the last `<value>` began.
        self._value: Value = None
        self._has_value = False
        self._open: list[list[Value]] = []
        self._results: list[Value] = []
        self._is_fault = False
        #: Whether the outermost of what is in `_open` is an array.
        self._is_array = False
        self._has_rows = False

    def feed(self, part: bytes) -> None:
        """Read the next part; raise `InvalidResponseError`."""
        data, place = self._rest + part, 0
        while True:
            place = self._take_rows(data, place) if self._is_before_row() else place
            # Where the next row may begin. Small pieces would make expat begin anew too often in a long comment.
            end = data.find(_ROW_START, place + MAX_HELD)
            if end < 0:
                break
            self._parse(data[place:end])
            place = end
        if len(data) - place > MAX_HELD:
            self._parse(data[place:])
            place = len(data)
        self._rest = data[place:]

    def _is_before_row(self) -> bool:
        is_outermost = self._depth == _ROWS_DEPTH and len(self._open) == 1 and self._is_array
        # Within a tag or a comment, expat is not at the end of what it got.
        return is_outermost and not self._in_cdata and self._parser.CurrentByteIndex == self._parsed

    def _take_rows(self, data: bytes, place: int) -> int:
        """Pass on the rows that begin here and are in the usual form; return where they end."""
        while match := _ROW.match(data, place):
            name, version, at, action, serial = match.groups()
            self._has_rows = True
            self._on_row(
                [name.decode(), None if version is None else version.decode(), int(at), action.decode(), int(serial)]
            )
            place = match.end()
        return place

    def close(self) -> RpcFault | Value:
        """Return the fault, or the one value that the response is; None if its rows were passed on.

        Raise `InvalidResponseError` if the response is cut short, or has no value.
        """
        if not self._parsed + len(self._rest):
            raise InvalidResponseError("is empty")
        self._parse(self._rest, is_last=True)
        if self._is_fault:
            return _fault(self._results)
        if self._has_rows:
            return None
        if len(self._results) != 1:
            raise InvalidResponseError(f"has {len(self._results)} values in place of one")
        return self._results[0]

    def _parse(self, part: bytes, *, is_last: bool = False) -> None:
        try:
            self._parser.Parse(part, is_last)
        except expat.ExpatError as error:
            reason = printable_reason(str(error), 100)
            raise InvalidResponseError(f"is not XML, or is cut short: {reason}") from error
        self._parsed += len(part)
        if not is_last and self._parsed - max(self._parser.CurrentByteIndex, 0) > MAX_MARKUP:
            raise InvalidResponseError(f"has a tag or comment of more than {MAX_MARKUP:,} bytes")

    # ---------------------------------------------------------------- what expat calls

    def _refuse_doctype(self, name: str, *_: object) -> NoReturn:
        if name.lower() == "html":
            raise InvalidResponseError("is a page of HTML")
        raise InvalidResponseError("declares a document type, which XML-RPC has none of")

    def _start_cdata(self) -> None:
        self._in_cdata = True

    def _end_cdata(self) -> None:
        self._in_cdata = False

    def _start(self, name: str, _: object) -> None:
        self._depth += 1
        if self._depth > MAX_DEPTH:
            raise InvalidResponseError(f"has elements more than {MAX_DEPTH} deep")
        if (name == "methodResponse") != (self._depth == 1) or name not in _ELEMENTS:
            raise InvalidResponseError(_unexpected(name, self._depth))
        self._text = ""
        if name == "value":
            self._has_value = False
        elif name in {"array", "struct"}:
            self._is_array = name == "array" if not self._open else self._is_array
            self._open.append([])
        elif name == "fault":
            self._is_fault = True

    def _add_text(self, text: str) -> None:
        # A text can come in several parts. Of one that is too long the beginning stays, which no field accepts.
        if len(self._text) <= MAX_TEXT:
            self._text = self._text + text if self._text else text

    def _end(self, name: str) -> None:
        self._depth -= 1
        if name == "value":
            # A value without a type is a string.
            self._add(self._value if self._has_value else self._checked_text())
            self._has_value = True
        elif name in _SCALARS:
            self._value, self._has_value = self._scalar(name), True
        elif name in {"array", "struct"}:
            self._value, self._has_value = list(self._open.pop()), True
        elif name == "name":
            self._add(self._checked_text())
        self._text = ""

    def _add(self, value: Value) -> None:
        match len(self._open):
            case 0 if not self._has_rows:
                self._results.append(value)
            case 0:
                pass
            case 1 if self._is_array and not self._is_fault:
                self._has_rows = True
                self._on_row(value)
                return
            case _:
                self._open[-1].append(value)
        if len((self._open or [self._results])[-1]) > MAX_VALUES:
            raise InvalidResponseError(f"has more than {MAX_VALUES} values in a row")

    def _scalar(self, name: str) -> Value:
        match name:
            case "nil":
                return None
            case "string":
                return self._checked_text()
            case _ if name in _NUMBERS:
                return _number(self._text)
        # No field has another type: its text says enough for a message.
        return [name, self._checked_text()]

    def _checked_text(self) -> str:
        if len(self._text) > MAX_TEXT and not self._is_fault:
            raise InvalidResponseError(f"has a value of more than {MAX_TEXT:,} characters")
        return self._text[:MAX_TEXT]


def _number(text: str) -> int:
    digits = text.strip()
    if not (digits.removeprefix("-").isascii() and digits.removeprefix("-").isdigit() and len(digits) <= MAX_DIGITS):
        raise InvalidResponseError(f"has {printable_reason(digits, 40)!r} for a number")
    return int(digits)


def _fault(results: list[Value]) -> RpcFault:
    match results:
        case [["faultCode", int(code), "faultString", str(text)]] | [
            ["faultString", str(text), "faultCode", int(code)]
        ]:
            return RpcFault(code=code, text=printable_reason(" ".join(text.split())))
    raise InvalidResponseError("is a fault without a code and a text")


def _unexpected(name: str, depth: int) -> str:
    if name.lower() in {"html", "head", "body"}:
        return "is a page of HTML"
    if depth == 1:
        return f"is no response of XML-RPC: it begins with <{printable_reason(name, 40)}>"
    return f"has an element <{printable_reason(name, 40)}>, which XML-RPC does not know in its place"
