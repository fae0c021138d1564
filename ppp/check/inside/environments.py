"""Makes what a cell needs in its work folder: `environments WORK`.

A bare virtual environment for each installing phase, and an empty folder to import from.
"""

import os
import sys
import venv

if __name__ == "__main__":
    for name in ("nodeps", "full"):
        venv.EnvBuilder(with_pip=False, symlinks=True).create(os.path.join(sys.argv[1], name))
    os.mkdir(os.path.join(sys.argv[1], "empty"))
