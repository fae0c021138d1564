"""Describes this interpreter, and the tags by which pip would judge files: `probe PIP_FOLDER`, prints JSON.

It also describes the users here: the accounts, and the first number that cannot be a user's; and the wheels that
`venv` installs.
"""

import importlib.machinery
import json
import os
import platform
import sys
import sysconfig

#: More than any image has, in characters.
MAX_ACCOUNTS = 65_536


def read_accounts(path: str) -> str:
    """Return the text of a file of accounts; nothing if there is none."""
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read(MAX_ACCOUNTS)
    except OSError:
        return ""


def end_of_users() -> int:
    """Return the first number that, in this user namespace, is neither a user's nor a group's, nor is any above it."""
    ends = []
    for path in ("/proc/self/uid_map", "/proc/self/gid_map"):
        with open(path, encoding="ascii") as file:
            ranges = [[int(number) for number in line.split()] for line in file]
        ends.append(max(first + count for first, _, count in ranges))
    return min(ends)


def bundled_wheels() -> "list[list[object]] | None":
    """Return path, size and modification time (ns) of the wheels that `ensurepip` has; None if it is missing.

    Some distributions of Linux keep them in a folder of their own, which `WHEEL_PKG_DIR` names.
    """
    try:
        import ensurepip
    except ImportError:
        return None
    places = (os.path.join(os.path.dirname(ensurepip.__file__), "_bundled"), sysconfig.get_config_var("WHEEL_PKG_DIR"))
    folders = [place for place in places if place and os.path.isdir(place)]
    paths = [os.path.join(folder, name) for folder in folders for name in sorted(os.listdir(folder))]
    return [[path, os.stat(path).st_size, os.stat(path).st_mtime_ns] for path in paths]


if __name__ == "__main__":
    sys.path.insert(0, sys.argv[1])
    from pip._vendor.packaging import markers, tags

    print(
        json.dumps(
            {
                "executable": os.path.realpath(getattr(sys, "_base_executable", "") or sys.executable),
                "folders": sorted({sys.base_prefix, sys.base_exec_prefix}),
                "python": platform.python_version(),
                "arch": platform.machine(),
                "markers": {name: str(value) for name, value in markers.default_environment().items()},
                "tags": [str(tag) for tag in tags.sys_tags()],
                "suffixes": importlib.machinery.all_suffixes(),
                "passwd": read_accounts("/etc/passwd"),
                "group": read_accounts("/etc/group"),
                "end_of_users": end_of_users(),
                "bundled": bundled_wheels(),
            }
        )
    )
