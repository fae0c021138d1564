"""The little programs that run inside a sandbox, by the environment's own interpreter: standard library, Python ≥ 3.9.

They are handed over as text (`python -c`), so nothing of PPP has to be there.
"""

from functools import cache
from importlib.resources import files


@cache
def program(name: str) -> str:
    """Give the source of one of them: `probe`, `environments`, `installed` or `importing`."""
    return files(__name__).joinpath(f"{name}.py").read_text("utf-8")
