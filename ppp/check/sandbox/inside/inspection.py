"""Describes an installation: from pip's report, and from the metadata in the package's own distribution.

The package may have put anything into these files. They are read up to a limit, and only if they are regular files.
"""

from __future__ import annotations

import csv
import email
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
INIT = re.compile(r"__init__\.[^/]+")


def inspect(scratch: str, site: str, package: str) -> dict[str, Any]:
    """Return what an installation left behind, as an object for JSON.

    `scratch` holds pip's `report.json`, `site` is site-packages, `package` a normalized name. Raises `SystemExit` if
    the package has no dist-info, `KeyError` or `ValueError` if pip's report is not one.
    """
    folder = find_dist_info(site, package)
    headers = email.message_from_string(read_text(os.path.join(folder, "METADATA")))
    names = headers.get_all("Import-Name")
    requires = headers.get_all("Requires-Dist", [])
    top_level = read_text(os.path.join(folder, "top_level.txt")).split()
    report = json.loads(read_text(os.path.join(scratch, "report.json")) or "{}")
    return {
        "installed": reported_distributions(report),
        "target": {
            "paths": module_paths(record_paths(read_text(os.path.join(folder, "RECORD")))),
            "import_names": names and [str(name)[:MAX_CHARS] for name in names[:MAX_ITEMS]],
            "top_level": [name[:MAX_CHARS] for name in top_level[:MAX_ITEMS]],
        },
        "needs": {
            "requires": [str(line)[:MAX_CHARS] for line in requires[:MAX_ITEMS]],
            "markers": report["environment"],
        },
    }


def reported_distributions(report: dict[str, Any]) -> list[list[str | None]]:
    """Return [name, version, sha256 or None] for each distribution that pip reports as installed."""
    rows = []
    for item in report["install"]:
        archive = item.get("download_info", {}).get("archive_info", {})
        rows.append([item["metadata"]["name"], item["metadata"]["version"], archive.get("hashes", {}).get("sha256")])
    return rows


def normalize_name(name: str) -> str:
    """Return a project name in PEP 503's form."""
    return re.sub(r"[-_.]+", "-", name).lower()


def find_dist_info(site: str, package: str) -> str:
    """Return the path of the package's own dist-info; raise `SystemExit` if there is none."""
    for name in sorted(os.listdir(site)):
        if name.endswith(".dist-info") and normalize_name(name[: -len(".dist-info")].rpartition("-")[0]) == package:
            return os.path.join(site, name)
    raise SystemExit(f"no dist-info of {package} in {site}")


def record_paths(text: str) -> list[str]:
    """Return the paths in a RECORD file, which are the first fields of its lines."""
    csv.field_size_limit(MAX_FILE_BYTES)
    return [row[0] for row in csv.reader(text.splitlines()) if row]


def module_paths(paths: list[str]) -> list[str]:
    """Return the paths that show which modules there are, without those inside a package: it imports them itself."""
    packages = {os.path.dirname(path) for path in paths if INIT.fullmatch(os.path.basename(path))}
    return [path for path in paths if len(path) <= MAX_CHARS and not is_inside_package(path, packages)][:MAX_ITEMS]


def is_inside_package(path: str, packages: set[str]) -> bool:
    """Return whether a path lies in a package, and is not the `__init__` of the outermost one."""
    folders = os.path.dirname(path).split("/")
    outer = ("/".join(folders[:depth]) for depth in range(1, len(folders) + 1))
    outermost = next((folder for folder in outer if folder in packages), None)
    return outermost is not None and not INIT.fullmatch(path[len(outermost) + 1 :])


def read_text(path: str) -> str:
    """Return the text of a regular file, cut at the limit; an empty one where there is no such file."""
    try:
        # Opening a FIFO would block for ever otherwise.
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    except OSError:
        return ""
    with open(descriptor, "rb") as file:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            return ""
        return file.read(MAX_FILE_BYTES).decode("utf-8", "replace")
