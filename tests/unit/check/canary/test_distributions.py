"""Wheels and sdists of our own building: the same bytes each time, and what tools expect of them."""

import base64
import csv
import hashlib
import io
import tarfile
import zipfile
from dataclasses import replace
from email import message_from_bytes
from typing import Final

import pytest

from ppp.check.canary.distributions import Distribution
from ppp.model.canonical import sha256_hex

WHEEL: Final = Distribution(
    name="example-lib",
    version="2.1.0",
    requires=("other>=1", 'old; python_version < "3.10"'),
    requires_python=">=3.9",
    metadata=("Provides-Extra: more",),
    files={"example_lib/__init__.py": b"NAME = 'example'\n", "example_lib/data.bin": bytes(range(256))},
)
SDIST: Final = replace(
    WHEEL, kind="sdist", backend=b"# builds\n", build_requires=("setuptools",), files={"src/example_lib.py": b""}
)


def wheel(distribution: Distribution) -> dict[str, bytes]:
    with zipfile.ZipFile(io.BytesIO(distribution.build())) as archive:
        assert archive.testzip() is None
        return {name: archive.read(name) for name in archive.namelist()}


def sdist(distribution: Distribution) -> dict[str, bytes]:
    with tarfile.open(fileobj=io.BytesIO(distribution.build())) as archive:
        read = {member.name: archive.extractfile(member) for member in archive}
        return {name: file.read() for name, file in read.items() if file}


# What these hash to is pinned: a node of another machine must come to the same.
@pytest.mark.parametrize(
    ("distribution", "sha256"),
    [
        (WHEEL, "c0b5fab0856c5c40e78ece85ea83c4b1d55e3b2a71bfd7685ac9c8b39529809b"),
        (SDIST, "8790beb50ac7b1709fd700702a2934b3c12dd3b45287949b749bd4e1f1b14666"),
    ],
    ids=["wheel", "sdist"],
)
def test_the_same_bytes_everywhere(distribution: Distribution, sha256: str) -> None:
    assert sha256_hex(distribution.build()) == sha256
    assert distribution.build() == distribution.build()


def test_every_difference_changes_the_bytes() -> None:
    others = [
        replace(WHEEL, version="2.1.1"),
        replace(WHEEL, requires=()),
        replace(WHEEL, requires_python=None),
        replace(WHEEL, metadata=()),
        replace(WHEEL, metadata_name="another"),
        replace(WHEEL, purelib=False),
        replace(WHEEL, tag="py2.py3-none-any"),
        replace(WHEEL, generator="tests"),
        replace(WHEEL, files={}),
        SDIST,
        replace(SDIST, backend=b""),
        replace(SDIST, build_requires=()),
        replace(SDIST, compression=9),
    ]
    assert len({each.build() for each in [WHEEL, *others]}) == len(others) + 1


def test_a_wheels_metadata() -> None:
    assert WHEEL.filename == "example_lib-2.1.0-py3-none-any.whl"
    content = wheel(WHEEL)
    metadata = message_from_bytes(content["example_lib-2.1.0.dist-info/METADATA"])
    assert (metadata["Name"], metadata["Version"], metadata["Requires-Python"]) == ("example-lib", "2.1.0", ">=3.9")
    assert metadata.get_all("Requires-Dist") == list(WHEEL.requires)
    assert metadata["Provides-Extra"] == "more"
    headers = message_from_bytes(content["example_lib-2.1.0.dist-info/WHEEL"])
    assert (headers["Wheel-Version"], headers["Tag"], headers["Root-Is-Purelib"]) == ("1.0", "py3-none-any", "true")


def test_a_wheel_for_a_platform_has_its_tag() -> None:
    built = replace(WHEEL, tag="cp39-abi3-manylinux_2_17_x86_64", purelib=False)
    assert built.filename == "example_lib-2.1.0-cp39-abi3-manylinux_2_17_x86_64.whl"
    headers = message_from_bytes(wheel(built)["example_lib-2.1.0.dist-info/WHEEL"])
    assert (headers["Tag"], headers["Root-Is-Purelib"]) == ("cp39-abi3-manylinux_2_17_x86_64", "false")


def test_a_wheels_record_names_every_file_by_its_hash() -> None:
    content = wheel(WHEEL)
    name = "example_lib-2.1.0.dist-info/RECORD"
    rows = {path: (digest, size) for path, digest, size in csv.reader(content[name].decode().splitlines())}
    assert rows.pop(name) == ("", "")
    expected = {
        path: ("sha256=" + base64.urlsafe_b64encode(hashlib.sha256(data).digest()).decode().rstrip("="), str(len(data)))
        for path, data in content.items()
        if path != name
    }
    assert rows == expected


def test_an_sdist_contains_its_backend_and_names_it() -> None:
    assert SDIST.filename == "example_lib-2.1.0.tar.gz"
    content = sdist(SDIST)
    assert content["example_lib-2.1.0/_backend.py"] == b"# builds\n"
    assert "requires = ['setuptools']" in content["example_lib-2.1.0/pyproject.toml"].decode()
    assert content["example_lib-2.1.0/src/example_lib.py"] == b""
    assert message_from_bytes(content["example_lib-2.1.0/PKG-INFO"])["Name"] == "example-lib"


def test_import_names_raise_the_metadata_version() -> None:
    plain, named = WHEEL, replace(WHEEL, metadata=("Import-Name: example_lib",))
    versions = [
        message_from_bytes(wheel(each)["example_lib-2.1.0.dist-info/METADATA"])["Metadata-Version"]
        for each in (plain, named)
    ]
    assert versions == ["2.1", "2.5"]
