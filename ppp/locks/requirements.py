"""A lock as a requirements file of addresses with hashes: for any pip, with `--require-hashes`, and for uv."""

from datetime import UTC, datetime
from typing import Final

from ppp.locks.lock import JointClaim, Lock, LockedPackage

REQUIREMENTS_NAME: Final = "requirements.txt"
CLAIM: Final = (
    "These files were installed together and imported. The lock pins files: it does not pin the base image, the",
    "architecture, pip, or what an sdist is built with. Those were:",
)


def write_requirements(lock: Lock) -> bytes:
    """Return a lock as the bytes of a requirements file: a line for each package, after what the lock claims."""
    origin = lock.origin
    joint = [] if lock.joint is None else [("joint", ", ".join(lock.joint.requirements)), _imported(lock.joint)]
    facts = [
        *joint,
        ("environment", origin.environment),
        ("image", f"{origin.image_digest}{' (a stand-in)' if origin.standin else ''}" if origin.image_digest else None),
        ("python", origin.python),
        ("architecture", origin.arch),
        ("pip", origin.pip_version),
        ("preinstalled", ", ".join(f"{name} {version}" for name, version in origin.preinstalled)),
        ("observed", f"{datetime.fromtimestamp(origin.observed_at, UTC):%Y-%m-%dT%H:%M:%SZ} by node {origin.node}"),
        ("record", ", ".join(origin.evidence)),
        ("strength", str(lock.strength)),
    ]
    comments = [*CLAIM, *(f"  {name}: {fact}" for name, fact in facts if fact)]
    lines = [*(f"# {comment}" for comment in comments), *map(_line, lock.packages), ""]
    return "\n".join(lines).encode()


def _imported(joint: JointClaim) -> tuple[str, str]:
    return "imported", ", ".join(joint.imported)


def _line(package: LockedPackage) -> str:
    marker = f" ; {package.marker}" if package.marker is not None else ""
    return f"{package.name} @ {package.file.url}{marker} --hash=sha256:{package.file.sha256}"
