"""Tells what `full` left behind: `installed WORK PACKAGE`, prints JSON; PACKAGE is a normalized name.

Reads pip's report, and RECORD, METADATA and top_level.txt of the package's own distribution.
"""

import email
import json
import os
import re
import sys


def normalized(name):
    """Give a project name in PEP 503's form."""
    return re.sub(r"[-_.]+", "-", name).lower()


def from_report(path):
    """Give [name, version, sha256 or None] for each distribution that pip reports as installed."""
    with open(path, encoding="utf-8") as file:
        report = json.load(file)
    rows = []
    for item in report["install"]:
        archive = item.get("download_info", {}).get("archive_info", {})
        rows.append([item["metadata"]["name"], item["metadata"]["version"], archive.get("hashes", {}).get("sha256")])
    return rows


def dist_info(site, package):
    """Give the folder of the package's own dist-info."""
    for name in os.listdir(site):
        if name.endswith(".dist-info") and normalized(name[: -len(".dist-info")].rpartition("-")[0]) == package:
            return os.path.join(site, name)
    raise SystemExit(f"no dist-info of {package} in {site}")


def read(folder, name):
    """Give the text of a file, or an empty one where there is none."""
    try:
        with open(os.path.join(folder, name), encoding="utf-8", errors="replace") as file:
            return file.read()
    except FileNotFoundError:
        return ""


if __name__ == "__main__":
    work, package = sys.argv[1:]
    lib = os.path.join(work, "full", "lib")
    site = os.path.join(lib, os.listdir(lib)[0], "site-packages")
    folder = dist_info(site, package)
    headers = email.message_from_string(read(folder, "METADATA"))
    target = {
        # RECORD is CSV, of which only the path may hold a comma, and then in quotes.
        "paths": [line.rsplit(",", 2)[0].strip('"') for line in read(folder, "RECORD").splitlines()],
        "import_names": headers.get_all("Import-Name"),
        "top_level": read(folder, "top_level.txt").split(),
    }
    print(json.dumps({"installed": from_report(os.path.join(work, "report.json")), "target": target}))
