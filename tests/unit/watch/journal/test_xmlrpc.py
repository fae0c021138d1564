"""Reading a response of XML-RPC in pieces."""

import xmlrpc.client
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ppp.watch.journal.xmlrpc import (
    MAX_DEPTH,
    MAX_MARKUP,
    MAX_TEXT,
    MAX_VALUES,
    InvalidResponseError,
    ResponseReader,
    RpcFault,
    Value,
)

ROWS: list[Value] = [
    ["six", "1.0", 1_714_003_200, "new release", 11],
    ["Zope.Interface", None, 1_714_003_201, "remove <project> & more", 2**31 - 1],
    ["ünïcode", "", -5, " two  spaces ", 0],
]


def read(document: bytes | str, size: int = 65_536) -> tuple[RpcFault | Value, list[Value]]:
    data = document.encode() if isinstance(document, str) else document
    rows: list[Value] = []
    reader = ResponseReader(rows.append)
    for start in range(0, len(data), size):
        reader.feed(data[start : start + size])
    return reader.close(), rows


def response(value: Any) -> str:
    return xmlrpc.client.dumps((value,), methodresponse=True, allow_none=True)


def values(inside: str) -> str:
    return f"<methodResponse><params><param><value>{inside}</value></param></params></methodResponse>"


@pytest.mark.parametrize("size", [1, 7, 65_536])
def test_rows_are_passed_on_one_by_one(size: int) -> None:
    assert read(response(ROWS), size) == (None, ROWS)


def test_a_single_value() -> None:
    assert read(response(12_345)) == (12_345, [])
    assert read(values("text")) == ("text", [])
    assert read(values("<i8>9223372036854775807</i8>")) == (2**63 - 1, [])


def test_no_rows() -> None:
    assert read(response([])) == ([], [])


def test_values_of_other_types_are_lists_and_fit_no_field() -> None:
    assert read(response([[True, 1.5]]))[1] == [[["boolean", "1"], ["double", "1.5"]]]


@pytest.mark.parametrize("code", [-32500, 1])
def test_a_fault(code: int) -> None:
    text = f"HTTPTooManyRequests:\n too many\x07 requests{'!' * 5000}".replace("\x07", "")
    fault, rows = read(xmlrpc.client.dumps(xmlrpc.client.Fault(code, text), methodresponse=True))
    assert isinstance(fault, RpcFault)
    assert fault.code == code
    assert fault.text.startswith("HTTPTooManyRequests: too many requests!")
    assert len(fault.text) == 400
    assert rows == []


ENTITIES = '<!DOCTYPE x [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;&a;&a;"><!ENTITY c "&b;&b;&b;&b;&b;">]>'


@pytest.mark.attack("bounded-input")
@pytest.mark.parametrize(
    ("document", "reason"),
    [
        ("", "is empty"),
        ("   ", "is not XML, or is cut short"),
        ("gateway timeout", "is not XML, or is cut short"),
        ("<!DOCTYPE html><html><body>Sorry</body></html>", "is a page of HTML"),
        ("<html><body>Sorry</body></html>", "is a page of HTML"),
        ("<rss version='2.0'></rss>", "is no response of XML-RPC: it begins with <rss>"),
        ('{"meta": {}}', "is not XML"),
        (ENTITIES + values("&c;"), "declares a document type"),
        ('<!DOCTYPE x SYSTEM "file:///etc/hostname">' + values("1"), "declares a document type"),
        (values("&undeclared;"), "is not XML"),
        (response(ROWS)[:-60], "is cut short"),
        (response(ROWS)[:400], "is cut short"),
        ("<methodResponse></methodResponse>", "has 0 values"),
        ("<methodResponse>" + "<params><param><value>1</value></param></params>" * 2 + "</methodResponse>", "2 values"),
        (values("<int>one</int>"), "has 'one' for a number"),
        (values("<int>1_000</int>"), "has '1_000' for a number"),
        (values(f"<int>{'9' * 5000}</int>"), "for a number"),
        (values("<script/>"), "has an element <script>"),
        (values("<methodResponse/>"), "has an element <methodResponse>"),
        ("<methodResponse>" + "<value>" * 100, f"more than {MAX_DEPTH} deep"),
        (values(f"<string>{'x' * (MAX_TEXT + 1)}</string>"), "has a value of more than 2,000 characters"),
        (values("<array><data><value><array><data>" + "<value>1</value>" * 100), f"more than {MAX_VALUES} values"),
        ("<methodResponse><fault><value><int>1</int></value></fault></methodResponse>", "is a fault without"),
        ("<methodResponse><!--" + "x" * (MAX_MARKUP + 200_000), "has a tag or comment of more than 262,144 bytes"),
        ("<methodResponse a='" + "x" * (MAX_MARKUP + 200_000), "has a tag or comment of more than"),
    ],
)
def test_what_is_no_response_is_refused(document: str, reason: str) -> None:
    with pytest.raises(InvalidResponseError, match=reason):
        read(document)


@pytest.mark.attack("bounded-input")
@pytest.mark.parametrize("encoding", ["utf-16", "utf-32", "utf-7"])
def test_other_encodings_hide_nothing(encoding: str) -> None:
    with pytest.raises(InvalidResponseError):
        read((f'<?xml version="1.0" encoding="{encoding}"?>' + ENTITIES + values("&c;")).encode(encoding))


@pytest.mark.attack("bounded-input")
@given(st.binary(max_size=300), st.integers(0, 900), st.integers(1, 50))
def test_any_input_is_read_or_refused(noise: bytes, place: int, size: int) -> None:
    document = response(ROWS).encode()
    try:
        read(document[:place] + noise + document[place + len(noise) :], size)
    except InvalidResponseError as error:
        assert str(error).isprintable()  # noqa: PT017 - either end is right


TEXTS = st.text(st.sampled_from("az09.- <>&'\"]é\u202e"), max_size=12)
GENERATED = st.lists(
    st.lists(TEXTS | st.none() | st.integers(-(2**31), 2**31 - 1), max_size=6)
    | st.tuples(TEXTS, TEXTS | st.none(), st.integers(0, 2**31 - 1), TEXTS, st.integers(0, 2**31 - 1)).map(list),
    min_size=1,
    max_size=60,
)


@given(GENERATED, st.integers(1, 9_000))
def test_whatever_form_a_row_has_it_is_read_as_by_the_standard_library(rows: list[Value], size: int) -> None:
    document = response(rows)
    ((expected,), _) = xmlrpc.client.loads(document)
    assert read(document, size) == (None, expected)


def test_rows_of_the_usual_form_after_others_are_read_in_their_order() -> None:
    rows: list[Value] = [["six", "1 < 2" if n % 40 < 3 else None, n, "new release", n] for n in range(2_000)]
    assert read(response(rows), 5_000) == (None, rows)


@pytest.mark.parametrize("around", [("<!--", "-->"), ("<![CDATA[", "]]>"), ("<?x ", "?>")])
def test_what_looks_like_a_row_is_none_where_xml_has_none(around: tuple[str, str]) -> None:
    row = response([ROWS[0]]).partition("<data>\n")[2].partition("</data></array></value>\n</param>")[0]
    hidden = f"<data>{around[0]}{row * 100}{around[1]}"
    assert read(response(ROWS).replace("<data>", hidden, 1), 5_000) == (None, ROWS)
    assert read(response(ROWS).replace("<data>", "<data>" + " " * 20_000 + hidden[6:], 1), 700) == (None, ROWS)


def test_a_long_text_is_refused_in_the_usual_form_too() -> None:
    with pytest.raises(InvalidResponseError, match="more than 2,000 characters"):
        read(response([["x" * (MAX_TEXT + 1), None, 1, "new release", 1]]))
    assert len(read(response([["x" * MAX_TEXT, None, 1, "new release", 1]]))[1]) == 1


@pytest.mark.attack("bounded-input")
@pytest.mark.parametrize("part", [b"<value><array><data>\n", b"<value><array><data>\n<value><string>", b"<value>"])
def test_beginnings_of_rows_without_end_are_refused(part: bytes) -> None:
    with pytest.raises(InvalidResponseError):
        read(part * 100_000)
