"""Where wheels are installable, by their names alone: whether two are on one platform, and whether one is there.

Two wheels clash if there is a Python and a platform that accept both: which one is installed then depends on the order
in which an installer prefers tags. Tags are read as packaging reads them; what is unknown clashes with itself only.
"""

import re
from functools import cache
from itertools import product
from typing import Final

from packaging.tags import Tag, compatible_tags, cpython_tags
from packaging.utils import parse_wheel_filename

from ppp.model.matrix import EnvironmentId, Platform

#: The minor versions of Python 3 that are tried.
MINORS: Final = range(5, 31)
#: The versions of the C libraries that an environment's are compared with: what is older is accepted, too.
_GLIBC_MINORS: Final = range(5, 60)
_MUSL_MINORS: Final = range(10)
#: Where no platform matters.
_SOME: Final = "some_platform"
_LINUX: Final = re.compile(r"(?P<family>manylinux|musllinux)(?:1|2010|2014|_\d+_\d+)_(?P<arch>\w+)")
_PLAIN_LINUX: Final = re.compile(r"linux_(?P<arch>\w+)")
_MAC: Final = re.compile(r"macosx_\d+_\d+_(?P<arch>\w+)")
#: The architectures for which a macOS wheel has code.
_MAC_ARCHES: Final = {
    "universal2": {"x86_64", "arm64"},
    "universal": {"i386", "ppc", "ppc64", "x86_64"},
    "intel": {"i386", "x86_64"},
    "fat": {"i386", "ppc"},
    "fat3": {"i386", "ppc", "x86_64"},
    "fat32": {"i386", "ppc"},
    "fat64": {"ppc64", "x86_64"},
}
_LEGACY_GLIBC: Final = ("manylinux1", "manylinux2010", "manylinux2014")


def clash(one: str, other: str) -> str | None:
    """Return a platform on which two wheels are both installable, as its tag; None if there is none.

    Both are names of wheels.
    """
    pairs = product(sorted(_tags(one), key=str), sorted(_tags(other), key=str))
    for first, second in pairs:
        if _share_python(first, second) and _share_platform(first.platform, second.platform):
            return first.platform if second.platform == "any" else second.platform
    return None


def is_installable(filename: str, environment: str, arch: str) -> bool:
    """Return whether an environment on a processor may install a wheel, as far as its tags say."""
    return not _tags(filename).isdisjoint(_environment_tags(environment, arch))


def _tags(filename: str) -> frozenset[Tag]:
    return parse_wheel_filename(filename)[3]


@cache
def _pythons(minor: int, *, threaded: bool) -> frozenset[tuple[str, str]]:
    """Return the pairs of interpreter and ABI that a CPython accepts."""
    interpreter = f"cp3{minor}"
    abi = f"{interpreter}{'t' if threaded else 'm' if minor < 8 else ''}"  # noqa: PLR2004 - when the m was dropped
    tags = [*cpython_tags((3, minor), [abi], [_SOME])]
    tags += compatible_tags((3, minor), interpreter, [_SOME])
    return frozenset((tag.interpreter, tag.abi) for tag in tags)


def _share_python(one: Tag, other: Tag) -> bool:
    pair = {(one.interpreter, one.abi), (other.interpreter, other.abi)}
    return len(pair) == 1 or any(
        pair <= _pythons(minor, threaded=threaded) for minor in MINORS for threaded in (False, True)
    )


def _share_platform(one: str, other: str) -> bool:
    if "any" in {one, other} or one == other:
        return True
    mac, other_mac = _MAC.fullmatch(one), _MAC.fullmatch(other)
    if mac and other_mac:
        return not _mac_arches(mac["arch"]).isdisjoint(_mac_arches(other_mac["arch"]))
    return not _c_libraries(one).isdisjoint(_c_libraries(other))


def _mac_arches(arch: str) -> set[str]:
    return _MAC_ARCHES.get(arch, {arch})


def _c_libraries(platform: str) -> set[tuple[str, str]]:
    """Return the families of Linux, each with the processor, that a platform tag is for; none for other systems."""
    if found := _LINUX.fullmatch(platform):
        return {(found["family"], found["arch"])}
    if found := _PLAIN_LINUX.fullmatch(platform):
        return {("manylinux", found["arch"]), ("musllinux", found["arch"])}
    return set()


@cache
def _environment_tags(environment: str, arch: str) -> frozenset[Tag]:
    parts = EnvironmentId.parse(environment)
    minor = int(parts.python_version.partition(".")[2])
    if parts.platform is Platform.ALPINE:
        platforms = [f"musllinux_1_{number}_{arch}" for number in _MUSL_MINORS]
    else:
        platforms = [f"manylinux_2_{number}_{arch}" for number in _GLIBC_MINORS]
        platforms += [f"{name}_{arch}" for name in _LEGACY_GLIBC]
    platforms.append(f"linux_{arch}")
    interpreter = f"cp3{minor}"
    abi = f"{interpreter}{'m' if minor < 8 else ''}"  # noqa: PLR2004 - when the m was dropped
    return frozenset(
        [*cpython_tags((3, minor), [abi], platforms), *compatible_tags((3, minor), interpreter, platforms)]
    )
