"""The address of PyPI's simple index."""

import subprocess
import sys

from pypi_simple import PYPI_SIMPLE_ENDPOINT

from ppp.index_address import default_index_url


def test_it_is_the_one_of_pypi_simple() -> None:
    assert default_index_url() == PYPI_SIMPLE_ENDPOINT


def test_what_reads_index_pages_is_not_imported_for_it() -> None:
    program = """
import sys
from ppp.index_address import default_index_url
print(default_index_url(), "pypi_simple" in sys.modules)
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.split() == [PYPI_SIMPLE_ENDPOINT, "False"]
