"""What facts about the engine, the images and the host platform come to: where cells can run. Pure."""

from collections.abc import Iterable, Mapping
from typing import Final, assert_never

from ppp.doctor.diagnosis import Diagnosis, State, parenthesized
from ppp.doctor.machine import (
    BubblewrapFacts,
    EngineFacts,
    ImageAvailability,
    ImageFacts,
    InterpreterFacts,
    Reachability,
)
from ppp.model.matrix import Environment

_HOW: Final = {
    Reachability.NOT_FOUND: "is not there",
    Reachability.REFUSED: "does not listen",
    Reachability.FORBIDDEN: "may not be used by this user",
    Reachability.TIMED_OUT: "does not answer",
    Reachability.BAD_CERTIFICATE: "shows a certificate that is not believed",
    Reachability.UNEXPECTED: "gives no sense",
}


def engine(found: EngineFacts, *, needed: bool) -> Diagnosis:
    """Judge the Docker engine; without one, and unasked for, a node checks on the host platform."""
    if found.answers:
        return _answering(found)
    if found.reach is Reachability.NOT_FOUND and not (found.configured or needed):
        return Diagnosis(
            subject="docker",
            state=State.NOTE,
            found=f"no Docker engine at {found.address}: cells run on the host platform, and say so (py312-host)",
            remedy=_other_socket(found) or "install Docker to check in the containers of the matrix",
        )
    return Diagnosis(
        subject="docker",
        state=State.BROKEN,
        found=f"the engine at {found.address} {_HOW[found.reach]}{parenthesized(found.detail)}",
        remedy=_engine_remedy(found),
    )


def _answering(found: EngineFacts) -> Diagnosis:
    what = f"Docker {found.version} at {found.address}, API {found.api_version}, cgroups {found.cgroups or 'unknown'}"
    if not found.address.startswith("unix://"):
        return Diagnosis(
            subject="docker",
            state=State.WARN,
            found=f"{what}: an engine elsewhere sees neither this machine's files nor its index gateway",
            remedy="set DOCKER_HOST to the socket of an engine on this machine, or unset it",
        )
    if found.unenforced_limits:
        return Diagnosis(
            subject="docker",
            state=State.WARN,
            found=f"{what}; it cannot hold a cell to its limit of {', '.join(found.unenforced_limits)}",
            remedy="let the kernel count it: see `docker info`, and the boot option cgroup_enable=memory",
        )
    return Diagnosis(subject="docker", state=State.OK, found=what)


def _engine_remedy(found: EngineFacts) -> str:
    unset = ", or unset DOCKER_HOST" if found.configured else ""
    if found.reach is Reachability.FORBIDDEN:
        return (
            "join the group of the socket (`sudo usermod -aG docker $USER`, then log in again), or use rootless Docker"
        )
    if found.reach is Reachability.UNEXPECTED and found.configured:
        return "mend DOCKER_HOST: it is unix:///PATH or tcp://HOST:PORT"
    return _other_socket(found) or f"start Docker (`sudo systemctl start docker`){unset}"


def _other_socket(found: EngineFacts) -> str:
    return f"another engine's socket is here: set DOCKER_HOST=unix://{found.other_socket}" if found.other_socket else ""


def image(environment: Environment, found: ImageFacts) -> Diagnosis:
    """Judge an environment's image: it is here, or can be pulled, and its Python is what the matrix says."""
    name = environment.image
    match found.availability:
        case ImageAvailability.UNAVAILABLE:
            return Diagnosis(
                subject=environment.id,
                state=State.BROKEN,
                found=f"{name} is not here and cannot be pulled{parenthesized(found.detail)}",
                remedy=f"let the engine reach its registry and run `docker pull {name}`, or load the image from a file",
            )
        case ImageAvailability.PULLABLE:
            return Diagnosis(
                subject=environment.id,
                state=State.NOTE,
                found=f"{name} is not here yet; it can be pulled",
                remedy=f"the first run pulls it; or run `docker pull {name}` now",
            )
        case ImageAvailability.LOCAL:
            return _image_here(environment, found)
    assert_never(found.held)


def _image_here(environment: Environment, found: ImageFacts) -> Diagnosis:
    if not found.python.startswith(f"{environment.python}."):
        holds = (
            f"holds Python {found.python}" if found.python else f"has no Python that runs{parenthesized(found.detail)}"
        )
        return Diagnosis(
            subject=environment.id,
            state=State.BROKEN,
            found=f"{environment.image} {holds}; the matrix says {environment.python}",
            remedy=f"pull the image anew (`docker pull {environment.image}`), or mend its line in the matrix",
        )
    what = f"{environment.image} is here: Python {found.python} on {found.arch}"
    if found.standin:
        return Diagnosis(
            subject=environment.id,
            state=State.NOTE,
            found=f"{what}; a stand-in, not the real image, and its records say so",
            remedy=f"where a registry can be reached: `docker pull {environment.image}`",
        )
    return Diagnosis(subject=environment.id, state=State.OK, found=what)


def image_unseen(environment: Environment) -> Diagnosis:
    """Judge an image that nobody can be asked about."""
    return Diagnosis(
        subject=environment.id,
        state=State.BROKEN,
        found=f"{environment.image} was not looked for: no Docker engine answers",
        remedy="mend what is said of docker first",
    )


# ---------------------------------------------------------------- the host platform


def bubblewrap(found: BubblewrapFacts, *, on_host: bool, shut_in: bool) -> Diagnosis:
    """Judge the sandbox of the host platform, which cells there must be `shut_in` with unless the network is open."""
    if found.path and found.works:
        return Diagnosis(subject="bubblewrap", state=State.OK, found=f"{found.path} {found.version} makes sandboxes")
    trouble, remedy = _no_sandbox(found)
    if on_host and shut_in:
        return Diagnosis(
            subject="bubblewrap",
            state=State.BROKEN,
            found=f"{trouble}: cells of the host platform cannot be held to the gateway, and a run refuses to begin",
            remedy=f"{remedy}, or let package code reach all that this machine does with `--network open`",
        )
    unused = "cells with the open network do without" if on_host else "only the host platform would want it"
    return Diagnosis(subject="bubblewrap", state=State.NOTE, found=f"{trouble}; {unused}", remedy=remedy)


def _no_sandbox(found: BubblewrapFacts) -> tuple[str, str]:
    if found.path is None:
        return "no bwrap on this machine", "install bubblewrap"
    what = f"{found.path} {found.version}"
    if not found.supports_size:
        return f"{what} is too old to limit the size of a file system (--size)", "install bubblewrap 0.7 or newer"
    lifted = " and ".join(f"`sudo sysctl -w {setting}`" for setting in found.sysctl_fixes)
    remedy = f"allow user namespaces: {lifted}" if lifted else "allow this user to make user namespaces"
    return f"{what} makes no sandbox{parenthesized(found.detail)}", remedy


def pythons(found: Mapping[Environment, InterpreterFacts | None], *, named: bool) -> tuple[Diagnosis, ...]:
    """Judge the interpreters of host environments: of those nobody named, one is enough."""
    none = not any(found.values())
    lacking = State.BROKEN if named or none else State.NOTE
    return tuple(
        Diagnosis(subject=e.id, state=State.OK, found=f"Python {python.version} at {python.path}")
        if python
        else Diagnosis(
            subject=e.id,
            state=lacking,
            found=f"no Python {e.python} that works, on PATH or in pyenv's folder",
            remedy=f"install Python {e.python} with its venv module (`pyenv install {e.python}`)",
        )
        for e, python in found.items()
    )


def spare_pythons(found: Mapping[str, InterpreterFacts | None]) -> Diagnosis:
    """Judge the interpreters where cells run in containers: they are only what a node falls back on."""
    here = [f"{python.version} at {python.path}" for python in found.values() if python]
    missing = [version for version, python in found.items() if not python]
    told = f"Python {', '.join(here)}" if here else "no Python of the matrix"
    if not missing:
        return Diagnosis(subject="pythons", state=State.OK, found=told)
    return Diagnosis(
        subject="pythons",
        state=State.NOTE,
        found=f"{told}; not {', '.join(missing)}, which only the host platform would want",
    )


def canary(environment: Environment, faults: Iterable[str]) -> Diagnosis:
    """Judge an environment by what its canary came to."""
    subject, told = f"canary {environment.id}", "; ".join(faults)
    if not told:
        return Diagnosis(subject=subject, state=State.OK, found="it sings")
    return Diagnosis(
        subject=subject,
        state=State.BROKEN,
        found=told,
        remedy="mend what else is said here; a fault that stays is in the environment's own image or Python",
    )
