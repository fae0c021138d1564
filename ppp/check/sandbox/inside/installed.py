"""Tells what was installed, from pip's report and from what the package's own distribution has in its metadata.

Whatever the package made of these files, they are read to a limit, and only if they are files.
"""

import csv
import email
import json
import os
import re
import stat

#: How much of a file is read, in bytes: far more than any real one has.
MOST = 32 * 1024 * 1024
#: How many paths, lines or names are told.
MANY = 10_000
#: Where these files may hold only a little, in characters.
SHORT = 4096
INIT = re.compile(r"__init__\.[^/]+")


def told(work, site, package):
    """Give what an installation has left behind, as an object for JSON; PACKAGE is a normalized name."""
    folder = dist_info(site, package)
    headers = email.message_from_string(read(os.path.join(folder, "METADATA")))
    names = headers.get_all("Import-Name")
    report = json.loads(read(os.path.join(work, "report.json")) or "{}")
    requires = headers.get_all("Requires-Dist", [])
    return {
        "installed": from_report(report),
        "target": {
            "paths": telling(recorded(read(os.path.join(folder, "RECORD")))),
            "import_names": names and [str(name)[:SHORT] for name in names[:MANY]],
            "top_level": [name[:SHORT] for name in read(os.path.join(folder, "top_level.txt")).split()[:MANY]],
        },
        "needs": {"requires": [str(line)[:SHORT] for line in requires[:MANY]], "markers": report["environment"]},
    }


def from_report(report):
    """Give [name, version, sha256 or None] for each distribution that pip reports as installed."""
    rows = []
    for item in report["install"]:
        archive = item.get("download_info", {}).get("archive_info", {})
        rows.append([item["metadata"]["name"], item["metadata"]["version"], archive.get("hashes", {}).get("sha256")])
    return rows


def normalized(name):
    """Give a project name in PEP 503's form."""
    return re.sub(r"[-_.]+", "-", name).lower()


def dist_info(site, package):
    """Give the folder of the package's own dist-info."""
    for name in sorted(os.listdir(site)):
        if name.endswith(".dist-info") and normalized(name[: -len(".dist-info")].rpartition("-")[0]) == package:
            return os.path.join(site, name)
    raise SystemExit("no dist-info of %s in %s" % (package, site))


def recorded(text):
    """Give the paths that RECORD's lines begin with."""
    csv.field_size_limit(MOST)
    return [row[0] for row in csv.reader(text.splitlines()) if row]


def telling(paths):
    """Give the paths that tell which modules there are: what lies within a package is imported through it."""
    packages = {os.path.dirname(path) for path in paths if INIT.fullmatch(os.path.basename(path))}
    return [path for path in paths if len(path) <= SHORT and not is_within(path, packages)][:MANY]


def is_within(path, packages):
    """Say whether a path lies in a package, and is not what makes its outermost folder one."""
    folders = os.path.dirname(path).split("/")
    outer = ("/".join(folders[:depth]) for depth in range(1, len(folders) + 1))
    outermost = next((folder for folder in outer if folder in packages), None)
    return outermost is not None and not INIT.fullmatch(path[len(outermost) + 1 :])


def read(path):
    """Give the text of a file, cut to a limit; an empty one where there is no such file."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    except OSError:
        return ""
    with open(descriptor, "rb") as file:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            return ""
        return file.read(MOST).decode("utf-8", "replace")
