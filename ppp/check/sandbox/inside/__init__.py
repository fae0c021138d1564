"""The programs that run inside a sandbox, by the environment's own interpreter: standard library, Python ≥ 3.9.

Small ones are handed over as text (`python -c`). The keeper is laid beside the pinned pip, whose bytecode it shares a
place with. So nothing of PPP has to be there.
"""

import hashlib
import os
from functools import cache
from importlib.resources import files
from pathlib import Path
from tempfile import mkdtemp
from typing import Final

_KEEPER_MODULES: Final = ("starting", "keeper", "forwarder", "hearing", "processes", "removing", "installed")


@cache
def program_source(name: str) -> str:
    """Give the source of one of them: `probe`, `starting` or `importing`."""
    return files(__name__).joinpath(f"{name}.py").read_text("utf-8")


@cache
def keeper_package() -> str:
    """Give the name of the package that the keeper is in a sandbox; another keeper has another."""
    return f"ppp_keeper_{hashlib.sha256(''.join(map(program_source, _KEEPER_MODULES)).encode()).hexdigest()[:16]}"


def install_keeper(folder: Path) -> None:
    """Lay the keeper beside the pinned pip, whole or not at all."""
    if (folder / keeper_package()).exists():
        return
    partial = Path(mkdtemp(dir=folder, prefix=".keeper-"))
    partial.chmod(0o755)
    (partial / "__init__.py").touch()
    for name in _KEEPER_MODULES:
        (partial / f"{name}.py").write_text(program_source(name), "utf-8")
    os.replace(partial, folder / keeper_package())
