"""The build backend that lies in each sdist of tests/packages: it needs nothing but the standard library.

`before_build.py`, where there is one, is run first. What lies under `src/` goes into the wheel.
"""

import os
import runpy
import zipfile


def _headers():
    with open("PKG-INFO", encoding="utf-8") as file:
        return file.read()


def build_wheel(wheel_directory, config_settings=None, metadata_directory=None):
    if os.path.exists("before_build.py"):
        runpy.run_path("before_build.py", run_name="__main__")
    headers = dict(line.split(": ", 1) for line in _headers().splitlines() if ": " in line)
    stem = "{}-{}".format(headers["Name"].replace("-", "_"), headers["Version"])
    content = {
        stem + ".dist-info/METADATA": _headers(),
        stem + ".dist-info/WHEEL": "Wheel-Version: 1.0\nGenerator: tests\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    for folder, _, names in os.walk("src"):
        for name in names:
            path = os.path.join(folder, name)
            with open(path, encoding="utf-8") as file:
                content[os.path.relpath(path, "src")] = file.read()
    record = stem + ".dist-info/RECORD"
    content[record] = "".join(name + ",,\n" for name in [*content, record])
    filename = stem + "-py3-none-any.whl"
    with zipfile.ZipFile(os.path.join(wheel_directory, filename), "w") as archive:
        for name, text in content.items():
            archive.writestr(name, text)
    return filename
