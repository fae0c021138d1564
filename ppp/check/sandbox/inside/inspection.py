"""Describes an installation: from pip's report, and from the metadata in the package's own distribution.

The package may have put anything into these files. They are read up to a limit, and only if they are regular files.
What a build left running was killed before, but it may have changed them until then: the host compares the description
with what it knows (`ppp.check.installation`).
"""

from __future__ import annotations

import csv
import email.message
import email.parser
import hashlib
import json
import os
import re
import stat
from typing import Any

#: How much of a file is read, in bytes: far more than any real one has.
MAX_FILE_BYTES = 32 * 1024 * 1024
#: How many paths, headers or names are returned.
MAX_ITEMS = 10_000
#: How long each of them may be, in characters.
MAX_CHARS = 4096
#: How many entry points are returned, and how long one may be, in characters.
MAX_ENTRY_POINTS = 1000
MAX_ENTRY_POINT_CHARS = 1024
#: How many distributions are returned: more than a record may hold, so that too many show.
MAX_DISTRIBUTIONS = 2001
#: How long the requirements of all distributions may be together, in characters.
MAX_REQUIRES_CHARS = 2_000_000
#: How many dist-infos, or files of one, are named.
MAX_FOLDERS = 64
#: How long the name of a distribution or of a top-level module may be.
MAX_NAME_CHARS = 256
#: How many characters of all files RECORD together are read.
MAX_RECORD_CHARS = 64 * 1024 * 1024
INIT = re.compile(r"__init__\.[^/]+")
#: How many shared libraries inside packages, and how many modules near their tops, are returned.
MAX_INNER = 1000
#: What is near the top of a package, by its path in it.
NEAR_THE_TOP = re.compile(r"[^/]+\.py|([^/]+/){1,2}__init__\.[^/]+")


def inspect(scratch: str, site: str, package: str, folder: str | None, markers: dict[str, str]) -> dict[str, Any]:
    """Return what an installation left behind, as an object for JSON.

    `scratch` holds pip's `report.json`, `site` is site-packages, `package` a normalized name, `markers` are the values
    of this interpreter's marker variables. `folder` is the name of the dist-info to describe, where it is known;
    otherwise it is looked for. Raises `KeyError`, `TypeError` or `ValueError` if pip's report is not one.

    - `installed`: name, version and sha256 (or None) of each distribution, and `requested` those of the one that was
      asked for, by pip's report.
    - `folders`: the names of the package's dist-infos, by these names alone.
    - `target`: what the dist-info of exactly the requested name and version says; None where there is not one such.
      `digests` are the sha256 of the files in it.
    - `needs`: its dependencies, and the markers by which they apply.
    - `owned`: of each distribution here, by the name of its dist-info, the modules that it brought; nothing where
      nothing but the package was to be installed (no `folder` is given).
    - `requires`: by name, the Requires-Dist of all of `installed`, by pip's report; None if they are too long.
    """
    report = json.loads(read_text(os.path.join(scratch, "report.json")) or "{}")
    items = report["install"][:MAX_DISTRIBUTIONS]
    rows = [(bool(item.get("requested")), reported_distribution(item)) for item in items]
    requested = [row for is_requested, row in rows if is_requested]
    wanted: list[str | None] = requested[0] if len(requested) == 1 else [None, None, None]
    owned = [] if folder is None else owned_modules(site)
    if folder is None:
        exact = [name for name in sorted(os.listdir(site)) if is_dist_info_of(os.path.join(site, name), wanted)]
        folder = exact[0] if len(exact) == 1 else None
    target, requires = describe_dist_info(site, folder) if folder else (None, [])
    return {
        "installed": [row for _, row in rows],
        "requested": requested,
        "folders": dist_infos(site, package),
        "target": target,
        "needs": {"requires": requires, "markers": markers},
        "owned": owned,
        "requires": reported_requirements(items),
    }


def describe_dist_info(site: str, folder: str) -> tuple[dict[str, Any], list[str]]:
    """Return what a dist-info says about its modules, and its Requires-Dist."""
    place = os.path.join(site, folder)
    headers = read_headers(place)
    names = headers.get_all("Import-Name")
    top_level = read_text(os.path.join(place, "top_level.txt")).split()
    paths = present_paths(site, record_paths(read_text(os.path.join(place, "RECORD"))))
    target = {
        "folder": folder,
        "paths": module_paths(paths),
        "inner": inner_paths(paths),
        "import_names": names and [str(name)[:MAX_CHARS] for name in names[:MAX_ITEMS]],
        "top_level": [name[:MAX_CHARS] for name in top_level[:MAX_ITEMS]],
        "entry_points": entry_points(read_text(os.path.join(place, "entry_points.txt"))),
        "digests": digests(place),
    }
    requires = headers.get_all("Requires-Dist", [])
    return target, [str(line)[:MAX_CHARS] for line in requires[:MAX_ITEMS]]


def owned_modules(site: str) -> list[list[Any]]:
    """Return [name, modules] of each distribution, by its RECORD.

    Modules are top-level names; of a folder without `__init__`, which several distributions may share, the names in it
    (`google/auth`).
    """
    owned: list[list[Any]] = []
    unread, left = MAX_RECORD_CHARS, MAX_ITEMS
    for folder in sorted(name for name in os.listdir(site) if name.endswith(".dist-info"))[:MAX_DISTRIBUTIONS]:
        record = read_text(os.path.join(site, folder, "RECORD"))[:unread]
        unread -= len(record)
        modules = top_modules(record)[:MAX_FOLDERS][:left]
        left -= len(modules)
        owned.append([folder.partition("-")[0][:MAX_NAME_CHARS], [name[:MAX_NAME_CHARS] for name in modules]])
    return owned


def top_modules(record: str) -> list[str]:
    """Return the modules that a RECORD names, at the top level or right below a namespace, sorted."""
    packages, found = set(), set()
    for line in record.splitlines():
        top, _, rest = line.partition(",")[0].strip('"').partition("/")
        inner = rest.partition("/")[0]
        if not rest:
            found.add((top.partition(".")[0], ""))
        elif not top.endswith((".dist-info", ".data", "..")) and top != "__pycache__":
            found.add((top, inner.partition(".")[0]))
            if INIT.fullmatch(rest):
                packages.add(top)
    return sorted({top if top in packages or not inner else f"{top}/{inner}" for top, inner in found if top})


def reported_distribution(item: dict[str, Any]) -> list[str | None]:
    """Return [name, version, sha256 or None] of a distribution that pip reports as installed."""
    archive = item.get("download_info", {}).get("archive_info", {})
    name, version = item["metadata"]["name"][:MAX_CHARS], item["metadata"]["version"][:MAX_CHARS]
    return [name, version, archive.get("hashes", {}).get("sha256")]


def reported_requirements(items: list[dict[str, Any]]) -> dict[str, list[str]] | None:
    """Return the Requires-Dist of the distributions that pip reports as installed, by name; None if too long."""
    found = {}
    for item in items:
        lines = item["metadata"].get("requires_dist") or []
        found[item["metadata"]["name"][:MAX_CHARS]] = [str(line) for line in lines]
    return found if sum(len(line) for lines in found.values() for line in lines) <= MAX_REQUIRES_CHARS else None


def dist_infos(site: str, package: str) -> list[str]:
    """Return the names of the folders that are a package's dist-infos by their names, whatever they hold."""
    names = [name for name in os.listdir(site) if name.endswith(".dist-info")]
    own = [name for name in names if normalize_name(name[: -len(".dist-info")].rpartition("-")[0]) == package]
    return sorted(own)[:MAX_FOLDERS]


def is_dist_info_of(folder: str, wanted: list[str | None]) -> bool:
    """Return whether a folder is a dist-info whose metadata has the wanted name and version, letter by letter."""
    if not folder.endswith(".dist-info"):
        return False
    headers = read_headers(folder)
    found = [headers.get("Name"), headers.get("Version")]
    return [str(text).strip() for text in found] == [str(text).strip() for text in wanted[:2]] and None not in found


def read_headers(folder: str) -> email.message.Message:
    """Return the headers of a dist-info's METADATA; none where it has no such file."""
    return email.parser.HeaderParser().parsestr(read_text(os.path.join(folder, "METADATA")))


def digests(folder: str) -> dict[str, str]:
    """Return the sha256 (hex) of the regular files in a folder, by name, without those in folders inside it."""
    names = sorted(name for name in os.listdir(folder) if os.path.isfile(os.path.join(folder, name)))
    return {name: hashlib.sha256(read_bytes(os.path.join(folder, name))).hexdigest() for name in names[:MAX_FOLDERS]}


def normalize_name(name: str) -> str:
    """Return a project name in PEP 503's form."""
    return re.sub(r"[-_.]+", "-", name).lower()


def record_paths(text: str) -> list[str]:
    """Return the paths in a RECORD file, which are the first fields of its lines."""
    csv.field_size_limit(MAX_FILE_BYTES)
    return [row[0] for row in csv.reader(text.splitlines()) if row]


def present_paths(site: str, paths: list[str]) -> list[str]:
    """Return those paths, relative to site-packages, that are there: a RECORD may name what the wheel does not hold."""
    return [path for path in paths if os.path.lexists(os.path.join(site, path))]


def entry_points(text: str) -> list[list[str]]:
    """Return [group, name, value] of each entry point in a file, as `importlib.metadata` reads it; other lines are not.

    What is too long is left out.
    """
    group, found = "", []
    for line in map(str.strip, text.splitlines()):
        if line.startswith("[") and line.endswith("]"):
            group = line[1:-1]
        elif line and not line.startswith("#") and "=" in line and group:
            name, _, value = line.partition("=")
            row = [group, name.strip(), value.strip()]
            if sum(map(len, row)) <= MAX_ENTRY_POINT_CHARS:
                found.append(row)
    return found[:MAX_ENTRY_POINTS]


def module_paths(paths: list[str]) -> list[str]:
    """Return the paths that show which modules there are, without those inside a package: it imports them itself."""
    packages = package_folders(paths)
    return [path for path in paths if len(path) <= MAX_CHARS and path_in_package(path, packages) is None][:MAX_ITEMS]


def inner_paths(paths: list[str]) -> list[str]:
    """Return some paths inside packages: modules near the top, and shared libraries at any depth; the upper ones first.

    Near the top of the outermost package are its modules and packages, and the packages in these.
    """
    packages = package_folders(paths)
    libraries, modules = [], []
    for path in paths:
        inner = path_in_package(path, packages) if len(path) <= MAX_CHARS else None
        if inner is not None and path.endswith(".so"):
            libraries.append(path)
        elif inner is not None and NEAR_THE_TOP.fullmatch(inner):
            modules.append(path)
    return [path for kind in (libraries, modules) for path in sorted(kind, key=depth_and_path)[:MAX_INNER]]


def package_folders(paths: list[str]) -> set[str]:
    """Return the folders that have an `__init__`."""
    return {os.path.dirname(path) for path in paths if INIT.fullmatch(os.path.basename(path))}


def path_in_package(path: str, packages: set[str]) -> str | None:
    """Return a path relative to the outermost package around it; None if there is none, or it is that package's own."""
    folders = os.path.dirname(path).split("/")
    outer = ("/".join(folders[:depth]) for depth in range(1, len(folders) + 1))
    outermost = next((folder for folder in outer if folder in packages), None)
    inner = None if outermost is None else path[len(outermost) + 1 :]
    return None if inner is None or INIT.fullmatch(inner) else inner


def depth_and_path(path: str) -> tuple[int, str]:
    """Return a key that sorts paths by how many folders they lie in."""
    return path.count("/"), path


def read_text(path: str) -> str:
    """Return the text of a regular file, cut at the limit; an empty one where there is no such file."""
    return read_bytes(path).decode("utf-8", "replace")


def read_bytes(path: str) -> bytes:
    """Return the content of a regular file, cut at the limit; nothing where there is no such file."""
    descriptor = open_regular(path)
    if descriptor is None:
        return b""
    with open(descriptor, "rb") as file:
        return file.read(MAX_FILE_BYTES)


def open_regular(path: str) -> int | None:
    """Open a regular file for reading; return None where there is no such file."""
    try:
        # Opening a FIFO would block for ever otherwise.
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    except OSError:
        return None
    if stat.S_ISREG(os.fstat(descriptor).st_mode):
        return descriptor
    os.close(descriptor)
    return None
