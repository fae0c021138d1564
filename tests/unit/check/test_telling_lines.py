"""The line that tells the most, in the ends of real logs."""

import pytest

from ppp.check.telling_lines import SILENT, is_progress, telling_exception, telling_line

SKLEARN = """\
  │ exit code: 1
  ╰─> [15 lines of output]
      The 'sklearn' PyPI package is deprecated, use 'scikit-learn'
      rather than 'sklearn' for pip commands.

      Here is how to fix this error in the main use cases:
      - use `pip install scikit-learn` rather than `pip install sklearn`

      More information is available at
      https://docs.example/sklearn-pypi-package
      [end of output]

  note: This error originates from a subprocess, and is likely not a problem with pip.
error: subprocess-exited-with-error
"""
COMPILED = """\
  ╰─> [40 lines of output]
      running build_ext
      gcc -c src/lib.c -o build/lib.o
      src/lib.c: In function 'f':
      src/lib.c:12:5: warning: unused variable 'x'
      src/lib.c:14:9: error: too few arguments to function 'PyFrame_New'
      src/lib.c:15:9: error: 'y' undeclared
      error: command '/usr/bin/gcc' failed with exit code 1
      [end of output]
"""
RUST = """\
  ╰─> [6 lines of output]
      Checking for Rust toolchain....
      Running `maturin pep517 write-dist-info`
      [end of output]
ERROR: Failed to build 'lib' when getting requirements to build wheel
"""
CHAINED = """\
  ╰─> [9 lines of output]
      Traceback (most recent call last):
        File "setup.py", line 3, in <module>
          import numpy
      ModuleNotFoundError: No module named 'numpy'

      During handling of the above exception, another exception occurred:

      Traceback (most recent call last):
        File "setup.py", line 9, in <module>
          raise RuntimeError(
      RuntimeError:
      ****************
      Install numpy first.
      [end of output]
"""


@pytest.mark.parametrize(
    ("output", "line"),
    [
        (SKLEARN, "The 'sklearn' PyPI package is deprecated, use 'scikit-learn'"),
        (COMPILED, "src/lib.c:14:9: error: too few arguments to function 'PyFrame_New'"),
        (RUST, SILENT),
        (CHAINED, "RuntimeError: Install numpy first."),
        ("Collecting six\n\nsomething odd\n", "something odd"),
        ("first\nsecond\n", "second"),
        (
            "CMake Error at CMakeLists.txt:3 (find_package):\n-- Configuring incomplete, errors occurred!\n",
            "CMake Error at CMakeLists.txt:3 (find_package):",
        ),
        ("", SILENT),
        ("   \n...\n", SILENT),
    ],
)
def test_the_line_that_tells_the_most(output: str, line: str) -> None:
    assert telling_line(output) == line


@pytest.mark.parametrize(
    "line",
    [
        "Checking for Rust toolchain....",
        "  copying a.py -> build/lib",
        "Building wheel for lib (pyproject.toml): started",
        "[ 50%] Building C object x.o",
        "-- Found Threads: TRUE",
        "^~~~~~",
        "https://docs.example/",
        "note: see above",
        "UserWarning: this is old",
        "",
    ],
)
def test_what_tells_nothing(line: str) -> None:
    assert is_progress(line)


@pytest.mark.parametrize(
    "line", ["error: no", "Rust not found, installing into a temporary directory", "checkError: no", "ValueError: x..y"]
)
def test_what_tells_something(line: str) -> None:
    assert not is_progress(line)


def test_an_exception_without_a_text_is_continued() -> None:
    output = "ImportError:\n\nIMPORTANT\nImporting the C-extensions failed.\n"
    assert telling_exception("ImportError:", output, 12) == "ImportError: IMPORTANT Importing the C-extensions failed."
    assert telling_exception("ValueError: no", output, 0) == "ValueError: no"
