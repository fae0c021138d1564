"""Reading a list of packages: what a requirements file may contain, and how its mistakes are reported."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ppp.model.errors import RequirementsError
from ppp.model.release import RequestedPackage
from ppp.resources import resource
from ppp.watch.watchlist import MAX_BYTES, WatchlistEntry, parse, read


def wanted(text: str) -> list[str]:
    return [str(w) for w in parse(text, place="list").wanted]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", []),
        ("\n\n# only a comment\n   # and another\n", []),
        ("six\n", ["six"]),
        ("six", ["six"]),
        ("six\r\nidna\rrequests\n", ["six", "idna", "requests"]),
        ("six==1.17.0", ["six==1.17.0"]),
        ("six >= 1.16 , < 2", ["six<2,>=1.16"]),
        ("six (>=1.16)", ["six>=1.16"]),
        ("Zope.Interface", ["zope-interface"]),
        ("six==1.17.0  # the newest", ["six==1.17.0"]),
        ("six\nsix\nsix==1.0", ["six", "six==1.0"]),
        ("six \\\n  ==1.17.0\nidna", ["six==1.17.0", "idna"]),
        ("six==1.17.0 \\\n    --hash=sha256:aa \\\n    --hash=sha256:bb\nidna", ["six==1.17.0", "idna"]),
        ("six==1.17.0 --hash sha256:aa", ["six==1.17.0"]),
        ("six \\\n# a comment ends what it follows\nidna", ["six", "idna"]),
        ("six # not continued \\\nidna", ["six"]),
        ("# not continued \\\nidna", ["idna"]),
        ("six \\", ["six"]),
        ("\ufeffsix", ["six"]),
    ],
)
def test_the_requested_packages(tmp_path: Path, text: str, expected: list[str]) -> None:
    path = tmp_path / "list.txt"
    path.write_bytes(text.encode())
    watchlist = read(path)
    assert [str(w) for w in watchlist.wanted] == expected
    assert watchlist.notes == ()


def test_each_entry_has_the_line_where_it_starts() -> None:
    text = "# a list\nsix\n\nidna \\\n  ==3.7\nrequests\nsix\n"
    assert parse(text, place="list").entries == (
        WatchlistEntry(wanted=RequestedPackage(package="six"), line=2),
        WatchlistEntry(wanted=RequestedPackage(package="idna", specifier="==3.7"), line=4),
        WatchlistEntry(wanted=RequestedPackage(package="requests"), line=6),
    )


def test_dropped_parts_are_noted() -> None:
    lines = (
        "uvicorn[standard]>=0.30",
        'rich[jupyter]==13; os_name == "posix"',
        "--require-hashes",
    )
    watchlist = parse("\n".join(lines), place="requirements.txt")
    assert [str(w) for w in watchlist.wanted] == ["uvicorn>=0.30", "rich==13"]
    assert watchlist.notes == (
        "line 1: dropped the extras of uvicorn",
        "line 2: dropped the extras of rich",
        "line 3: ignored --require-hashes",
    )


def test_markers_are_kept_and_a_package_may_have_several_lines() -> None:
    lines = (
        'numpy==1.26; python_version < "3.12"',
        'numpy==2.1; python_version >= "3.12"',
        "tomli ; python_version<'3.11' and sys.platform != \"win32\"",
        'numpy==2.1 ; python_version >= "3.12"',
        "six",
    )
    entries = parse("\n".join(lines), place="requirements.txt").entries
    assert [(str(e.wanted), e.line, e.marker and str(e.marker)) for e in entries] == [
        ("numpy==1.26", 1, 'python_version < "3.12"'),
        ("numpy==2.1", 2, 'python_version >= "3.12"'),
        ("tomli", 3, 'python_version < "3.11" and sys_platform != "win32"'),
        ("six", 5, None),
    ]


@pytest.mark.parametrize(
    ("line", "what", "hint"),
    [
        ("-r other.txt", "is an option", "copy that file's lines here"),
        ("-rother.txt", "is an option", "copy that file's lines here"),
        ("--requirement=other.txt", "is an option", "copy that file's lines here"),
        ("-c limits.txt", "is an option", "write the constraint after the package"),
        ("-e .", "is an option", "only releases of the index can be checked"),
        ("--index-url https://mirror.example/simple", "is an option", "set PPP_INDEX_URL instead"),
        ("-i https://mirror.example/simple", "is an option", "set PPP_INDEX_URL instead"),
        ("--extra-index-url https://mirror.example", "is an option", "only one index is used"),
        ("--frobnicate", "is an option", "a list holds packages only"),
        ("-", "is an option", "a list holds packages only"),
        ("six @ https://files.example/six.whl", "is a URL", "write six"),
        ("https://files.example/six.whl", "is a path or a URL", "write its name"),
        ("git+https://forge.example/six", "is a path or a URL", "write its name"),
        ("./six", "is a path or a URL", "write its name"),
        (".", "is a path or a URL", "write its name"),
        ("../../etc/passwd", "is a path or a URL", "write its name"),
        ("six-1.17.0.tar.gz", "is a path or a URL", "write its name"),
        ("six 1.17.0", "is not a requirement", "six==1.17.0"),
        ("six=1.17.0", "is not a requirement", "six==1.17.0"),
        ("==1.0", "is not a requirement", "six==1.17.0"),
        ("six==", "is not a requirement", "six==1.17.0"),
        ("${HOME}", "is not a requirement", "six==1.17.0"),
        (f"six; {'(' * 5000}", "is not a requirement", "six==1.17.0"),
        ('six; "x" in extras', "has a marker without a value", "PEP 508"),
        # Escapes in a string may leave it without any way to be quoted.
        (r"six; os_name == '\x22\x27'", "has a marker without a value", "PEP 508"),
        ('six; python_flavour == "x"', "is not a requirement", "six==1.17.0"),
        ("a" * 300, "is not a package name", "use letters"),
        (f"six=={'9' * 5000}", "names a version that is too long", "six==1.17.0"),
    ],
)
def test_an_invalid_line(line: str, what: str, hint: str) -> None:
    with pytest.raises(RequirementsError) as caught:
        parse(f"six\n{line}\n", place="list.txt")
    message = str(caught.value)
    assert message.startswith("list.txt has 1 mistake: line 2: ")
    assert what in message
    assert hint in message
    assert len(message) < 700


def test_all_mistakes_are_reported_together() -> None:
    with pytest.raises(RequirementsError) as caught:
        parse("-r a.txt\nsix\n!\nidna \\\n =1\n", place="list.txt")
    assert caught.value.message.startswith("list.txt has 3 mistakes: line 1: '-r a.txt' is an option")
    assert "; line 3: '!' is not" in caught.value.message
    assert "; line 4: 'idna  =1' is not" in caught.value.message
    assert "\n" not in str(caught.value)


@pytest.mark.attack("bounded-input")
def test_very_many_mistakes_are_counted() -> None:
    with pytest.raises(RequirementsError, match=r"has 500 mistakes: .*line 20: .*; and 480 more") as caught:
        parse("!\n" * 500, place="list.txt")
    assert "line 21:" not in caught.value.message


def test_a_missing_file(tmp_path: Path) -> None:
    with pytest.raises(RequirementsError, match=r"cannot read .*absent\.txt: No such file"):
        read(tmp_path / "absent.txt")


def test_a_folder_instead_of_a_file(tmp_path: Path) -> None:
    with pytest.raises(RequirementsError, match="Is a directory"):
        read(tmp_path)


@pytest.mark.attack("bounded-input")
def test_a_file_above_the_size_limit(tmp_path: Path) -> None:
    path = tmp_path / "list.txt"
    path.write_bytes(b"#" * MAX_BYTES)
    assert read(path).wanted == ()
    path.write_bytes(b"#" * (MAX_BYTES + 1))
    with pytest.raises(RequirementsError, match="larger than 1000000 bytes"):
        read(path)


def test_another_encoding_is_reported_with_its_line(tmp_path: Path) -> None:
    path = tmp_path / "list.txt"
    path.write_bytes(b"six\n# \xe9t\xe9\n")
    with pytest.raises(RequirementsError, match=r"is not UTF-8: line 2 \(save it as UTF-8\)"):
        read(path)
    path.write_bytes("six\n".encode("utf-16"))
    with pytest.raises(RequirementsError, match="is not UTF-8: line 1"):
        read(path)


@pytest.mark.attack("bounded-input")
@given(st.text(max_size=200))
def test_any_text_is_read_or_rejected(text: str) -> None:
    try:
        asked = wanted(text)
    except RequirementsError as error:
        assert "line " in error.message  # noqa: PT017 - either end is right
    else:
        # What was read can be written out and read again.
        assert wanted("\n".join(asked)) == asked


def test_the_shipped_watchlist_is_valid() -> None:
    watchlist = read(resource("matrices/watchlist.txt"))
    assert 40 <= len(watchlist.wanted) <= 70
    assert watchlist.notes == ()
