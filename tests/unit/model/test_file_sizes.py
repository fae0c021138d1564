"""One bound for the size of a file of an index, wherever it is said."""

from hashlib import sha256
from typing import Final

import pytest
from packaging.pylock import Package, PackageWheel
from packaging.utils import canonicalize_name
from packaging.version import Version

from ppp.index_files.file import IndexedFile
from ppp.model.errors import ProjectFileError
from ppp.model.file_sizes import MAX_DISTRIBUTION_BYTES, is_distribution_size
from ppp.project_env.locked import locked_wheel

FILENAME: Final = "six-1.0-py3-none-any.whl"
URL: Final = f"https://files.example/{FILENAME}"
SHA256: Final = sha256(b"six").hexdigest()


def indexed_size(size: int) -> int | None:
    """Return what is kept of a size that an index says."""
    file = IndexedFile.checked(
        sha256=SHA256, project="six", version="1.0", filename=FILENAME, url=URL, seen_at=1, size=size
    )
    assert file is not None
    return file.size


def is_locked(size: int) -> bool:
    """Return whether a lock may say this size."""
    wheel = PackageWheel(name=FILENAME, url=URL, size=size, hashes={"sha256": SHA256})
    package = Package(name=canonicalize_name("six"), version=Version("1.0"), wheels=[wheel])
    try:
        locked_wheel(package, wheel, "pylock.toml")
    except ProjectFileError:
        return False
    return True


@pytest.mark.parametrize("size", [-1, 0, 1, MAX_DISTRIBUTION_BYTES, MAX_DISTRIBUTION_BYTES + 1])
def test_what_an_index_says_and_what_a_lock_says_have_the_same_bounds(size: int) -> None:
    allowed = 0 < size <= MAX_DISTRIBUTION_BYTES
    assert is_distribution_size(size) == is_locked(size) == allowed
    assert indexed_size(size) == (size if allowed else None)


@pytest.mark.parametrize("size", [True, 1.0, "1", None])
def test_a_size_is_an_integer(size: object) -> None:
    assert not is_distribution_size(size)
