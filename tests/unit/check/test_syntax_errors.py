"""Which Python a line was written for: each construct by its own excerpt, and by what real interpreters print."""

import subprocess
import sys
from pathlib import Path

import pytest

from ppp.check.syntax_errors import Construct, constructs, last_syntax_fault

PRINTED = '  File "/w/site-packages/lib/old.py", line 7\n    {source}\n    ^^^^\n{error}: {message}\n'


def printed(message: str, source: str, error: str = "SyntaxError") -> str:
    """Return what an interpreter prints about a line that it cannot compile."""
    return PRINTED.format(source=source, message=message, error=error)


@pytest.mark.parametrize("construct", constructs(), ids=lambda construct: construct.name)
def test_each_construct_is_told_by_its_own_excerpt(construct: Construct) -> None:
    message, _, source = construct.excerpt.partition("\n")
    fault = last_syntax_fault(printed(message, source))
    assert fault
    assert fault.construct == construct
    assert (construct.since is None) is not (construct.until is None)


@pytest.mark.parametrize(
    ("message", "source", "written_for"),
    [
        ("invalid syntax", "case [x, y]:", "3.10"),
        ("invalid syntax", "match event:  # a comment", "3.10"),
        ("invalid syntax", "match = pattern.search(text", None),
        ("invalid syntax", "except (IOError, OSError), e:", "2.7"),
        ("multiple exception types must be parenthesized", "except socket.error, why:", "2.7"),
        ("multiple exception types must be parenthesized", "except socket.timeout, ssl.SSLError:", "3.14"),
        ("Missing parentheses in call to 'print'. Did you mean print(...)?", "print", "2.7"),
        ("f-string: unmatched '('", "x = f'{f('a')}'", "3.12"),
        ("f-string expression part cannot include a backslash", r"x = f'{chr(10).join(a)}\n'", "3.12"),
        ("f-string: empty expression not allowed", "x = f'{}'", None),
        ("invalid syntax", "def run(self, async=False):", "3.6"),
        ("invalid syntax", "self.async = True", "3.6"),
        ("invalid syntax", "async def run(self, x", None),
        ("unindent does not match any outer indentation level", "return x", None),
        ("expected an indented block after 'if' statement on line 3", "return x", None),
        ("'(' was never closed", "print(", None),
        ("invalid syntax", "x = 'a <> b' if", None),
    ],
)
def test_lines_of_several_pythons(message: str, source: str, written_for: str | None) -> None:
    fault = last_syntax_fault(printed(message, source))
    assert fault
    construct = fault.construct
    assert (construct and (construct.since or construct.until)) == written_for


def test_file_and_line_are_named() -> None:
    fault = last_syntax_fault(printed("invalid syntax", "match command:"))
    assert fault
    assert (fault.file, fault.line, fault.cause) == ("/w/site-packages/lib/old.py", 7, "written-for-newer-python")
    assert fault.described("lib/old.py") == (
        "SyntaxError: invalid syntax (lib/old.py, line 7: match command:); the match statement, Python 3.10 or newer"
    )


def test_without_a_construct_it_is_a_plain_error() -> None:
    fault = last_syntax_fault(printed("unexpected indent", "x = 1", "IndentationError"))
    assert fault
    assert (fault.cause, fault.described("a.py")) == (
        "syntax-error",
        "IndentationError: unexpected indent (a.py, line 7: x = 1)",
    )


def test_the_last_error_counts() -> None:
    fault = last_syntax_fault(printed("no", "x") + printed("invalid syntax", "match a:"))
    assert fault
    assert fault.source == "match a:"


def test_a_line_that_was_not_printed() -> None:
    fault = last_syntax_fault("  File \"<string>\", line 2\nSyntaxError: Missing parentheses in call to 'exec'\n")
    assert fault
    assert fault.described("setup.py") == (
        "SyntaxError: Missing parentheses in call to 'exec' (setup.py, line 2); the exec statement, Python 2.7 or older"
    )


def test_no_error() -> None:
    assert last_syntax_fault("Traceback (most recent call last):\nValueError: SyntaxError: no\n") is None


@pytest.mark.parametrize(
    ("source", "cause"),
    [
        ('print "hello"\n', "written-for-older-python"),
        ("def f():\n\tif x:\n        return 1\n", "written-for-older-python"),
        ("try:\n    pass\nexcept OSError, e:\n    pass\n", "written-for-older-python"),
        ("os.chmod('x', 0644)\n", "written-for-older-python"),
        ("raise ValueError, 'x'\n", "written-for-older-python"),
        ("x = 5L\n", "written-for-older-python"),
        ("def f():\nreturn 1\n", "syntax-error"),
        ("x = (1,\n", "syntax-error"),
        ("lazy import json\n", "written-for-newer-python"),
    ],
)
def test_what_this_interpreter_prints(source: str, cause: str, tmp_path: Path) -> None:
    (tmp_path / "written.py").write_text(source)
    done = subprocess.run(
        [sys.executable, "-I", str(tmp_path / "written.py")], capture_output=True, text=True, timeout=30, check=False
    )
    fault = last_syntax_fault(done.stderr)
    assert fault, done.stderr
    assert (fault.cause, fault.file) == (cause, str(tmp_path / "written.py"))
