"""What an import that fails between two distributions says, and what it lacks: as an interpreter prints it."""

from typing import Final

import pytest

from ppp.check.causes import classify_failure
from ppp.check.distributions import Distributions
from ppp.check.phases import PhaseReport
from ppp.check.runtime import CommandResult
from ppp.model.record import Phase

INSTALLED: Final = Distributions(
    versions={"lib": "1.0", "werkzeug": "3.1.3", "lxml": "6.0.2", "numpy": "2.3.5", "pyyaml": "6.0.3", "flask": "1.1"},
    modules={"lib": "lib", "werkzeug": "werkzeug", "lxml": "lxml", "yaml": "pyyaml", "numpy": "numpy"},
)


def imported(
    *frames: tuple[str, str], line: str, before: str = "", distributions: Distributions = INSTALLED
) -> PhaseReport:
    """Classify an import that raised `line`; frames are the file below site-packages and its source."""
    log = f"{before}Traceback (most recent call last):\n" + '  File "<string>", line 1, in <module>\n'
    for file, source in frames:
        path = file if file.startswith("/") else f"/usr/local/lib/python3.11/site-packages/{file}"
        log += f'  File "{path}", line 7, in <module>\n    {source}\n'
    done = CommandResult(exit_code=1, output=f"{log}{line}\n", duration_ms=1)
    return classify_failure(Phase.IMPORT, done, package="lib", modules=("lib",), distributions=distributions)


def verdict(report: PhaseReport) -> tuple[str | None, str | None]:
    """Return cause and blame."""
    return report.cause, report.blame


OWN: Final = ("lib/__init__.py", "from . import native")

# ---------------------------------------------------------------- dependencies that changed


@pytest.mark.parametrize(
    ("frames", "line", "detail"),
    [
        (
            [("lib/__init__.py", "from werkzeug import secure_filename")],
            "ImportError: cannot import name 'secure_filename' from 'werkzeug' (/usr/lib/site-packages/werkzeug/x.py)",
            "werkzeug: ImportError: cannot import name 'secure_filename' from 'werkzeug' (werkzeug 3.1.3)",
        ),
        (
            [("lib/__init__.py", "kind = np.float")],
            "AttributeError: module 'numpy' has no attribute 'float'.",
            "numpy: AttributeError: module 'numpy' has no attribute 'float'. (numpy 2.3.5)",
        ),
        (
            [("lib/__init__.py", "from yaml.old import x")],
            "ModuleNotFoundError: No module named 'yaml.old'",
            "pyyaml: ModuleNotFoundError: No module named 'yaml.old' (pyyaml 6.0.3)",
        ),
        (
            [("lib/__init__.py", "import flask"), ("flask/__init__.py", "from werkzeug import url_quote")],
            "ImportError: cannot import name 'url_quote' from 'werkzeug'",
            "werkzeug: ImportError: cannot import name 'url_quote' from 'werkzeug' (werkzeug 3.1.3)",
        ),
        (
            [("lib/__init__.py", "import lxml.html.clean"), ("lxml/html/clean.py", "raise ImportError(")],
            "ImportError: lxml.html.clean module is now a separate project lxml_html_clean.",
            "lxml: ImportError: lxml.html.clean module is now a separate project lxml_html_clean. (lxml 6.0.2)",
        ),
        (
            [("lib/__init__.py", "np.float_"), ("numpy/__init__.py", "raise AttributeError(")],
            "AttributeError: `np.float_` was removed in the NumPy 2.0 release. Use `np.float64` instead.",
            (
                "numpy: AttributeError: `np.float_` was removed in the NumPy 2.0 release. Use `np.float64` instead."
                " (numpy 2.3.5)"
            ),
        ),
    ],
)
def test_a_dependency_that_changed_is_named(frames: list[tuple[str, str]], line: str, detail: str) -> None:
    report = imported(*frames, line=line)
    assert verdict(report) == ("dependency-drift", "dependency")
    assert report.detail == detail


@pytest.mark.parametrize(
    ("frames", "line", "expected"),
    [
        # Its own module, a part of the standard library, a module of nobody here, a circle.
        ([OWN], "ImportError: cannot import name 'x' from 'lib.part'", ("import-error", "package")),
        ([OWN], "ImportError: cannot import name 'Mapping' from 'collections'", ("import-error", "package")),
        ([OWN], "AttributeError: module 'collections' has no attribute 'Mapping'", ("import-error", "package")),
        ([OWN], "ModuleNotFoundError: No module named 'cv2.aruco'", ("module-missing", "package")),
        ([OWN], "ModuleNotFoundError: No module named 'numpy'", ("module-missing", "package")),
        (
            [OWN],
            "AttributeError: partially initialized module 'yaml' has no attribute 'x' (most likely due to a circle)",
            ("import-error", "package"),
        ),
        # A dependency that is broken by itself has not changed under anybody.
        (
            [OWN, ("yaml/__init__.py", "from yaml.reader import x")],
            "ImportError: cannot import name 'x' from 'yaml.reader'",
            ("import-error", "dependency"),
        ),
    ],
)
def test_what_is_no_drift(frames: list[tuple[str, str]], line: str, expected: tuple[str, str]) -> None:
    assert verdict(imported(*frames, line=line)) == expected


def test_a_fallback_counts_and_not_what_it_falls_back_from() -> None:
    first = (
        "Traceback (most recent call last):\nImportError: cannot import name 'x' from 'werkzeug'\n\nDuring handling\n"
    )
    assert imported(OWN, before=first, line="ModuleNotFoundError: No module named 'other'").cause == "module-missing"


def test_a_dependency_is_named_by_its_project_and_not_by_its_module() -> None:
    report = imported(OWN, ("yaml/__init__.py", "raise RuntimeError"), line="RuntimeError: no")
    assert (verdict(report), report.detail) == (("import-error", "dependency"), "pyyaml: RuntimeError: no")


# ---------------------------------------------------------------- compiled against something else


@pytest.mark.parametrize(
    ("line", "numpy", "bound"),
    [
        (
            (
                "ValueError: numpy.dtype size changed, may indicate binary incompatibility."
                " Expected 96 from C header, got 88 from PyObject"
            ),
            "2.3.5",
            "numpy<2",
        ),
        (
            (
                "ValueError: numpy.ndarray size changed, may indicate binary incompatibility."
                " Expected 88 from C header, got 80 from PyObject"
            ),
            "1.19.5",
            "numpy>=1.20",
        ),
        (
            "RuntimeError: module compiled against ABI version 0x1000009 but this version of numpy is 0x2000000",
            "2.0",
            "numpy<2",
        ),
        (
            "RuntimeError: module compiled against API version 0x10 but this version of numpy is 0xf",
            "1.22.4",
            "numpy>=1.23",
        ),
        ("ImportError: numpy.core.multiarray failed to import", "2.3.5", "numpy<2"),
        ("AttributeError: _ARRAY_API not found", "2.3.5", "numpy<2"),
        ("ImportError: numpy._core.multiarray failed to import", "2.3.5", "numpy<2"),
    ],
)
def test_the_bound_that_helps_is_named(line: str, numpy: str, bound: str) -> None:
    distributions = Distributions(versions={"numpy": numpy}, modules={"lib": "lib"})
    report = imported(OWN, line=line, distributions=distributions)
    assert verdict(report) == ("binary-incompatible", "dependency")
    assert report.detail == f"numpy: {line} (numpy {numpy} is installed; {bound} helps)"


def test_a_warning_of_numpy_is_not_what_ended_an_import() -> None:
    warned = "A module that was compiled using NumPy 1.x cannot be run in\nNumPy 2.3.5 as it may crash.\n\n"
    assert imported(OWN, line=f"ImportError: \n{warned}").cause == "binary-incompatible"
    assert imported(OWN, before=warned, line="ModuleNotFoundError: No module named 'other'").cause == "module-missing"


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        (
            "ValueError: greenlet.greenlet size changed, may indicate binary incompatibility. Expected 1, got 2",
            ("binary-incompatible", "dependency"),
        ),
        ("ValueError: lib.core.Thing has the wrong size, try recompiling", ("binary-incompatible", "package")),
        ("ImportError: /w/x.so: undefined symbol: _PyUnicode_Ready", ("binary-incompatible", "package")),
        ("ImportError: /w/x.so: undefined symbol: SSL_library_init", ("shared-library", "environment")),
        ("ImportError: /w/x.so: undefined symbol: _ZN5boost6system", ("shared-library", "environment")),
        ('ImportError: PyCapsule_Import could not import module "numpy.core"', ("binary-incompatible", "dependency")),
    ],
)
def test_what_does_not_fit(line: str, expected: tuple[str, str]) -> None:
    assert verdict(imported(OWN, line=line)) == expected


# ---------------------------------------------------------------- what the environment lacks

CTYPES: Final = ("/usr/local/lib/python3.11/ctypes/__init__.py", "func = self._FuncPtr((name_or_ordinal, self))")
SUBPROCESS: Final = ("/usr/local/lib/python3.11/subprocess.py", "raise child_exception_type(errno_num, err_msg)")


@pytest.mark.parametrize(
    ("frames", "line", "cause"),
    [
        ([OWN], "OSError: Could not find libspatialindex_c library file", "shared-library"),
        ([OWN], "OSError: could not find or load spatialindex_c-64", "shared-library"),
        (
            [OWN, CTYPES],
            "AttributeError: /usr/local/bin/python3: undefined symbol: Error_GetLastErrorNum",
            "shared-library",
        ),
        ([OWN, CTYPES], "FileNotFoundError: [Errno 2] No such file or directory: b'liblibc.a'", "shared-library"),
        ([OWN], "ImportError: failed to find libmagic.  Check your installation", "shared-library"),
        (
            [OWN],
            "ImportError: The 'enchant' C library was not found and maybe needs to be installed.",
            "shared-library",
        ),
        ([OWN], 'OSError: no library called "cairo-2" was found', "shared-library"),
        ([OWN], "OSError: sndfile library not found using ctypes.util.find_library", "shared-library"),
        ([OWN], "usb.core.NoBackendError: No backend available", "shared-library"),
        ([OWN], "lib.errors.LibraryError: cannot load library libfoo.so.2", "shared-library"),
        (
            [OWN],
            'django.core.exceptions.ImproperlyConfigured: Could not find the GDAL library (tried "gdal").',
            "shared-library",
        ),
        (
            [("lib/native.py", 'lib = CDLL(find_library("foo"))')],
            "TypeError: expected str, got NoneType: cannot go on",
            "shared-library",
        ),
        ([OWN, SUBPROCESS], "FileNotFoundError: [Errno 2] No such file or directory: 'nvidia-smi'", "missing-program"),
        ([OWN], "ImportError: Bad git executable.", "missing-program"),
        ([OWN], "lib.FFmpegError: ffmpeg executable not found", "missing-program"),
        (
            [OWN],
            "pytesseract.TesseractNotFoundError: tesseract is not installed or it's not in your PATH",
            "missing-program",
        ),
        ([OWN], "sh.CommandNotFound: docker", "missing-program"),
        ([OWN], "ModuleNotFoundError: No module named '_tkinter'", "missing-stdlib-module"),
        ([OWN], "ModuleNotFoundError: No module named 'tkinter'", "missing-stdlib-module"),
        ([OWN], "ImportError: libtk8.6.so: cannot open shared object file: No such file", "missing-stdlib-module"),
        ([OWN], "ModuleNotFoundError: No module named '_curses'", "missing-stdlib-module"),
        ([OWN], "httpx.ConnectError: [Errno -3] Temporary failure in name resolution", "needs-network"),
        (
            [OWN],
            "aiohttp.client_exceptions.ClientConnectorDNSError: Cannot connect to host x.example:443 ssl:default",
            "needs-network",
        ),
        (
            [OWN],
            'botocore.exceptions.EndpointConnectionError: Could not connect to "https://x.example/"',
            "needs-network",
        ),
        (
            [OWN],
            "OSError: We couldn't connect to 'https://models.example' to load this file, couldn't find it in the cache",
            "needs-network",
        ),
        ([OWN], "urllib3.exceptions.MaxRetryError: host='x.example': [Errno -3] Try again", "needs-network"),
        ([OWN], "OSError: [Errno 101] Network unreachable", "needs-network"),
        ([OWN], "TimeoutError: [Errno 110] Operation timed out", "needs-network"),
        ([OWN], "requests.exceptions.ProxyError: Cannot connect to proxy", "needs-network"),
        (
            [OWN],
            "LookupError: \n**\n  Resource words not found.\n  Please use the NLTK Downloader to obtain the resource:",
            "needs-network",
        ),
    ],
)
def test_what_the_environment_lacks_is_its_fault(frames: list[tuple[str, str]], line: str, cause: str) -> None:
    assert verdict(imported(*frames, line=line)) == (cause, "environment")


@pytest.mark.parametrize(
    ("line", "cause"),
    [
        ("FileNotFoundError: [Errno 2] No such file or directory: 'settings.ini'", "import-error"),
        ("OSError: [E050] Can't find model 'en_core_web_sm'.", "import-error"),
        ("ImportError: The plotly library is not installed. Use pip install plotly", "import-error"),
        ("ValueError: the binary data was not decoded", "import-error"),
        ("RuntimeError: library of books is empty", "import-error"),
        ("RuntimeError: the cache is locked. Try again", "import-error"),
        ("lib.BuildError: Could not find suitable distribution for libfoo", "import-error"),
        ("ImportError: cannot import name 'libfoo' from 'lib'", "import-error"),
    ],
)
def test_what_the_environment_does_not_lack(line: str, cause: str) -> None:
    assert verdict(imported(OWN, line=line)) == (cause, "package")


@pytest.mark.parametrize(
    "missing",
    [
        "ImportError: libtk8.6.so: cannot open shared object file: No such file or directory",
        "ImportError: Error loading shared library libtk8.6.so: No such file or directory (needed by /usr/lib/_t.so)",
    ],
)
@pytest.mark.parametrize("name", ["Tkinter", "global_state"])
def test_a_fallback_from_tkinter_fails_for_want_of_tkinter(missing: str, name: str) -> None:
    first = f"Traceback (most recent call last):\n{missing}\n\nDuring handling of the above exception, another:\n\n"
    report = imported(OWN, before=first, line=f"ModuleNotFoundError: No module named '{name}'")
    assert verdict(report) == ("missing-stdlib-module", "environment")


def test_a_missing_python_library_is_not_the_environments() -> None:
    first = "Traceback (most recent call last):\nModuleNotFoundError: No module named 'plotly'\n\nDuring handling\n"
    report = imported(OWN, before=first, line="ImportError: plotly library not found")
    assert report.blame == "package"


# ---------------------------------------------------------------- names of other Pythons


@pytest.mark.parametrize(
    ("line", "cause"),
    [
        ("ModuleNotFoundError: No module named 'urllib2'", "written-for-older-python"),
        ("NameError: name 'unicode' is not defined", "written-for-older-python"),
        ("ModuleNotFoundError: No module named 'tomllib'", "written-for-newer-python"),
        (
            "ImportError: cannot import name 'Self' from 'typing' (/usr/local/lib/python3.9/typing.py)",
            "written-for-newer-python",
        ),
        ("TypeError: unsupported operand type(s) for |: 'type' and 'NoneType'", "written-for-newer-python"),
        ("TypeError: dataclass() got an unexpected keyword argument 'slots'", "written-for-newer-python"),
    ],
)
def test_names_that_another_python_has(line: str, cause: str) -> None:
    assert verdict(imported(OWN, line=line)) == (cause, "package")


# ---------------------------------------------------------------- what a log leaves open


def test_an_exit_that_asks_for_a_system_package_is_the_environments() -> None:
    said = "NOTE: You must install tkinter on Linux. Run: sudo apt-get install python3-tk\n"
    report = classify_failure(Phase.IMPORT, CommandResult(exit_code=1, output=said, duration_ms=1), package="lib")
    assert verdict(report) == ("exits", "environment")
    assert report.detail
    assert report.detail.endswith("sudo apt-get install python3-tk")


@pytest.mark.parametrize(
    "said",
    [
        "RuntimeError: This module can only be run on a Raspberry Pi!",
        "lib.X: no NVIDIA driver",
        "FileNotFoundError: [Errno 2] No such file or directory: '/dev/spidev0.0'",
    ],
)
def test_an_exception_about_what_is_lacking_is_the_environments(said: str) -> None:
    assert verdict(imported(OWN, line=said)) == ("import-error", "environment")


def test_a_device_that_is_only_named_is_not_lacking() -> None:
    assert verdict(imported(OWN, line="ValueError: wrote to '/dev/null'")) == ("import-error", "package")
