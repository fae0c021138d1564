"""Credentials: which requests get them, and that no text shows them."""

from base64 import b64encode, urlsafe_b64encode
from urllib.parse import quote, quote_plus

import pytest

from ppp.model.credentials import HIDDEN, Credentials, origin_of, split_credentials, without_userinfo

SECRET = "pä ss/wörd+&<%41"
URL = f"https://us%40er:{quote(SECRET, safe='')}@index.example/simple/"


def split(url: str) -> Credentials:
    credentials = split_credentials(url)[1]
    assert credentials is not None
    return credentials


def test_a_url_is_split_from_what_it_contains() -> None:
    bare, credentials = split_credentials(URL)
    assert bare == "https://index.example/simple/"
    assert credentials == Credentials(origin="https://index.example", user="us@er", password=SECRET)


@pytest.mark.parametrize(
    ("url", "user", "password"),
    [
        ("http://token@h.example:81/s/", "token", ""),
        ("http://token:@h.example:81/s/", "token", ""),
        ("http://:word@h.example:81/s/", "", "word"),
        ("http://a:b:c@h.example:81/s/", "a", "b:c"),
        ("http://a:b@c@h.example:81/s/", "a", "b@c"),
    ],
)
def test_every_form_of_userinfo_is_taken_out(url: str, user: str, password: str) -> None:
    assert split_credentials(url) == (
        "http://h.example:81/s/",
        Credentials(origin="http://h.example:81", user=user, password=password),
    )


@pytest.mark.parametrize("url", ["http://h.example/simple/", "http://@h.example/simple/", "http://:@h.example/simple/"])
def test_no_userinfo_is_no_credentials(url: str) -> None:
    assert split_credentials(url) == ("http://h.example/simple/", None)


@pytest.mark.parametrize("url", ["", "h.example", "ftp://u:p@h.example/", "https://u:pa/ss@h.example/", "http://[/"])
def test_what_is_no_web_address(url: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - that of urlsplit too
        split_credentials(url)


@pytest.mark.parametrize(
    ("url", "sent"),
    [
        ("https://index.example/simple/lib/", True),
        ("https://INDEX.example:443/files/lib.whl?x=1", True),
        ("https://us@index.example/simple/", True),
        ("http://index.example/simple/", False),
        ("https://index.example:8443/simple/", False),
        ("https://files.index.example/", False),
        ("https://index.example.evil.example/", False),
        ("https://evil.example/?https://index.example/", False),
        ("https://index.example@evil.example/", False),
        ("https://evil.example\\@index.example/", False),
        ("//index.example/", False),
        ("", False),
    ],
)
def test_only_requests_of_their_origin_get_them(url: str, *, sent: bool) -> None:
    expected = f"Basic {b64encode(f'us@er:{SECRET}'.encode()).decode()}"
    assert split(URL).authorization(url) == (expected if sent else None)


def test_no_text_form_shows_them() -> None:
    credentials = split(URL)
    for text in (str(credentials), repr(credentials), f"{credentials}", f"{[credentials]}", f"{credentials!r:>5}"):
        assert SECRET not in text
        assert "us@er" not in text


@pytest.mark.parametrize(
    "form",
    [
        SECRET,
        quote(SECRET),
        quote(SECRET, safe=""),
        quote_plus(SECRET),
        quote(SECRET, safe="").replace("%C3%A4", "%c3%a4").replace("%2F", "%2f").replace("%C3%B6", "%c3%b6")
        .replace("%2B", "%2b").replace("%3C", "%3c"),
        b64encode(f"us@er:{SECRET}".encode()).decode(),
        b64encode(f"us@er:{SECRET}".encode()).decode().rstrip("="),
        urlsafe_b64encode(f"us@er:{SECRET}".encode()).decode(),
        b64encode(SECRET.encode()).decode(),
        "p\\u00e4 ss/w\\u00f6rd+&<%41",
        "pä ss/wörd+&amp;&lt;%41",
        f"us@er:{SECRET}",
    ],
)  # fmt: skip
def test_every_form_is_hidden(form: str) -> None:
    hidden = split(URL).hide(f"before {form} behind {form}")
    assert form not in hidden
    assert hidden.startswith(f"before {HIDDEN}")
    assert f" behind {HIDDEN}" in hidden


def test_a_token_in_place_of_the_user_is_hidden_and_a_short_word_is_not() -> None:
    assert split("https://tokentoken@h.example/").hide("my tokentoken") == f"my {HIDDEN}"
    assert split("https://user:the@h.example/").hide("the user:the user") == f"the {HIDDEN} user"


@pytest.mark.parametrize(
    ("url", "origin"),
    [
        ("https://files.example/a", "https://files.example"),
        ("https://files.example:443/a", "https://files.example"),
        ("http://files.example:443/a", "http://files.example:443"),
        ("HTTP://User:secret@Files.Example:8080/a", "http://files.example:8080"),
        ("http://[::1]:8080/a", "http://[::1]:8080"),
        ("https:///a", None),
        ("file:///a", None),
        ("http://[/", None),
        ("http://files.example:port/", None),
        ("/a", None),
    ],
)
def test_the_origin_of_a_url(url: str, origin: str | None) -> None:
    assert origin_of(url) == origin


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("no http://user:word@h:1/x here", f"no http://{HIDDEN}@h:1/x here"),
        ("http://a:b/c@d@h", f"http://{HIDDEN}@h"),
        ("https://token@h, and http://h/", f"https://{HIDDEN}@h, and http://h/"),
        ("mail user@h.example", "mail user@h.example"),
        ("http://h/simple/", "http://h/simple/"),
        ("http://@h/", "http://@h/"),
    ],
)
def test_userinfo_is_taken_out_of_a_text(text: str, shown: str) -> None:
    assert without_userinfo(text) == shown
