"""Describes this interpreter, and the tags by which pip would judge files: `probe PIP_FOLDER`, prints JSON."""

import importlib.machinery
import json
import os
import platform
import sys

if __name__ == "__main__":
    sys.path.insert(0, sys.argv[1])
    from pip._vendor.packaging import tags

    print(
        json.dumps(
            {
                "executable": os.path.realpath(getattr(sys, "_base_executable", "") or sys.executable),
                "folders": sorted({sys.base_prefix, sys.base_exec_prefix}),
                "python": platform.python_version(),
                "arch": platform.machine(),
                "tags": [str(tag) for tag in tags.sys_tags()],
                "suffixes": importlib.machinery.all_suffixes(),
            }
        )
    )
