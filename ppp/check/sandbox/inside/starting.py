"""Starts a cell: `starting SETTINGS` lays out its virtual environment, and becomes its interpreter: the keeper."""

import json
import os
import sys

KEEPER = "import sys; sys.path.insert(0, sys.argv[1]); from {kit}.keeper import main; main(sys.argv[2])"


def environment(settings):
    """Give the folder of the virtual environment."""
    return os.path.join(settings["work"], "env")


def scratch(settings):
    """Give the folder that the cell may write to."""
    return os.path.join(settings["work"], "scratch")


def empty(settings):
    """Give the folder that the cell imports from."""
    return os.path.join(settings["work"], "empty")


def own_python(settings):
    """Give the interpreter beside which nobody but the keeper can lay anything: what lies there can redirect it."""
    return os.path.join(environment(settings), "own", "python")


def lay_out(settings):
    """Make what a cell needs: a bare virtual environment, a folder to write to, an empty one to import from.

    By hand, because `venv` takes longer to import than all this: PEP 405 asks for no more.
    """
    os.umask(0o022)
    top, version = environment(settings), "python%d.%d" % sys.version_info[:2]
    for folder in ("bin", "include", os.path.join("lib", version, "site-packages")):
        os.makedirs(os.path.join(top, folder))
    for name in ("python", "python3", version):
        os.symlink(settings["python"], os.path.join(top, "bin", name))
    os.mkdir(os.path.join(top, "own"))
    os.symlink(settings["python"], own_python(settings))
    if sys.maxsize > 2**32:
        os.symlink("lib", os.path.join(top, "lib64"))
    with open(os.path.join(top, "pyvenv.cfg"), "w", encoding="utf-8") as file:
        file.write("home = %s\ninclude-system-site-packages = false\n" % os.path.dirname(settings["python"]))
        file.write("version = %d.%d.%d\n" % sys.version_info[:3])
    for folder in (scratch(settings), empty(settings)):
        os.makedirs(folder, exist_ok=True)
    if settings["user"] is not None:
        # Open to the cell's user, who can add to it, but not replace what stands there.
        for place in (top, scratch(settings), empty(settings)):
            for folder, _, _ in os.walk(place):
                os.chmod(folder, 0o1777)
        os.chmod(os.path.dirname(own_python(settings)), 0o755)


def main(settings):
    """Lay out, and go on as the keeper."""
    settings["python"] = getattr(sys, "_base_executable", "") or sys.executable
    lay_out(settings)
    python = os.path.join(environment(settings), "bin", "python")
    program = KEEPER.format(kit=settings["kit"])
    os.execv(python, [python, "-I", "-c", program, settings["pip"], json.dumps(settings)])


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
