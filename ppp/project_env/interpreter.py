"""Ask a Python what decides which files suit it.

The Python that is asked need not have `packaging`: it imports ours, which runs on every Python that has wheels today.
"""

import json
import subprocess
from pathlib import Path
from typing import Final

import packaging

from ppp.model.errors import ProjectFileError
from ppp.project_env.locked import PythonFacts

TIMEOUT_S: Final = 60
_PROGRAM: Final = """
import json, sys, sysconfig
sys.path.insert(0, sys.argv[1])
from packaging import markers, tags
sys.path.pop(0)
print(json.dumps({
    "markers": markers.default_environment(),
    "tags": [str(tag) for tag in tags.sys_tags()],
    "site_packages": sysconfig.get_path("purelib", "posix_prefix", {"base": sys.argv[2]}),
}))
"""


def environment_python(environment: Path) -> Path:
    """Return the path of the Python of a virtual environment."""
    return environment / "bin" / "python"


def read_facts(python: str | Path, environment: Path) -> PythonFacts:
    """Return the facts of a Python whose environment is, or will be, in a folder.

    Raise `ProjectFileError` if it does not tell them.
    """
    library = Path(packaging.__file__).parents[1]
    try:
        # Isolated and without site-packages: nothing that is installed there is run.
        done = subprocess.run(
            [python, "-I", "-S", "-c", _PROGRAM, library, environment],
            check=True,
            capture_output=True,
            timeout=TIMEOUT_S,
            stdin=subprocess.DEVNULL,
        )
        facts = json.loads(done.stdout)
        return PythonFacts(markers=facts["markers"], tags=facts["tags"], site_packages=facts["site_packages"])
    except (OSError, subprocess.SubprocessError, ValueError, LookupError) as error:
        hint = "it is no working Python: remove its environment, and `ppp env sync` makes it again"
        raise ProjectFileError(f"{python} does not say what suits it: {error}", hint=hint) from error
