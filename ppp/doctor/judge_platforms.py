"""Judge the platforms that cells can run on: the Docker engine, its images, and this machine as the host. Pure."""

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

_FAILURES: Final = {
    Reachability.NOT_FOUND: "does not exist",
    Reachability.REFUSED: "does not listen",
    Reachability.FORBIDDEN: "may not be used by this user",
    Reachability.TIMED_OUT: "does not answer",
    Reachability.BAD_CERTIFICATE: "presents a certificate that is not trusted",
    Reachability.UNEXPECTED: "does not answer as a Docker engine",
}


def engine(facts: EngineFacts, *, needed: bool) -> Diagnosis:
    """Judge the Docker engine. A node without one, if none is `needed` or configured, uses the host platform."""
    if facts.answers:
        return _usable_engine(facts)
    # Nobody asked for Docker, so its absence is no fault.
    if facts.reach is Reachability.NOT_FOUND and not (facts.configured or needed):
        return Diagnosis(
            subject="docker",
            state=State.NOTE,
            found=f"no Docker engine at {facts.address}: cells run on the host platform, and their records say so",
            remedy=_other_socket(facts) or "install Docker to check in the containers of the matrix",
        )
    return Diagnosis(
        subject="docker",
        state=State.BROKEN,
        found=f"the engine at {facts.address} {_FAILURES[facts.reach]}{parenthesized(facts.detail)}",
        remedy=_engine_remedy(facts),
    )


def _usable_engine(facts: EngineFacts) -> Diagnosis:
    cgroups = facts.cgroups or "unknown"
    found = f"Docker {facts.version} at {facts.address}, API {facts.api_version}, cgroups {cgroups}"
    # Cells use folders of this machine as volumes, which a remote engine cannot mount.
    if not facts.address.startswith("unix://"):
        return Diagnosis(
            subject="docker",
            state=State.WARN,
            found=f"{found}: a remote engine sees neither this machine's files nor its index gateway",
            remedy="set DOCKER_HOST to the socket of an engine on this machine, or unset it",
        )
    # Without the limit one package can take the memory of all cells, and of the machine.
    if facts.unenforced_limits:
        return Diagnosis(
            subject="docker",
            state=State.WARN,
            found=f"{found}; it cannot enforce a cell's limit on {', '.join(facts.unenforced_limits)}",
            remedy="enable it in the kernel: see `docker info`, and the boot option cgroup_enable=memory",
        )
    return Diagnosis(subject="docker", state=State.OK, found=found)


def _engine_remedy(facts: EngineFacts) -> str:
    unset = ", or unset DOCKER_HOST" if facts.configured else ""
    if facts.reach is Reachability.FORBIDDEN:
        return "join the socket's group (`sudo usermod -aG docker $USER`, then log in again), or use rootless Docker"
    if facts.reach is Reachability.UNEXPECTED and facts.configured:
        return "fix DOCKER_HOST: it must be unix:///PATH or tcp://HOST:PORT"
    return _other_socket(facts) or f"start Docker (`sudo systemctl start docker`){unset}"


def _other_socket(facts: EngineFacts) -> str:
    socket = facts.other_socket
    return f"there is another engine's socket: set DOCKER_HOST=unix://{socket}" if socket else ""


def image(environment: Environment, facts: ImageFacts) -> Diagnosis:
    """Judge an environment's image: whether it is here or can be pulled, and has the Python that the matrix says."""
    name = environment.image
    match facts.availability:
        case ImageAvailability.UNAVAILABLE:
            return Diagnosis(
                subject=environment.id,
                state=State.BROKEN,
                found=f"{name} is not here and cannot be pulled{parenthesized(facts.detail)}",
                remedy=f"give the engine access to its registry and run `docker pull {name}`, or load the image from a"
                " file",
            )
        case ImageAvailability.PULLABLE:
            return Diagnosis(
                subject=environment.id,
                state=State.NOTE,
                found=f"{name} is not here yet; it can be pulled",
                remedy=f"the first run pulls it; or run `docker pull {name}` now",
            )
        case ImageAvailability.LOCAL:
            return _local_image(environment, facts)
    assert_never(facts.availability)


def _local_image(environment: Environment, facts: ImageFacts) -> Diagnosis:
    # A tag says little about what is in an image: its interpreter was asked.
    if not facts.python.startswith(f"{environment.python}."):
        has = f"has Python {facts.python}" if facts.python else f"has no Python that runs{parenthesized(facts.detail)}"
        return Diagnosis(
            subject=environment.id,
            state=State.BROKEN,
            found=f"{environment.image} {has}; the matrix says {environment.python}",
            remedy=f"pull the image again (`docker pull {environment.image}`), or fix its line in the matrix",
        )
    found = f"{environment.image} is here: Python {facts.python} on {facts.arch}"
    if facts.standin:
        return Diagnosis(
            subject=environment.id,
            state=State.NOTE,
            found=f"{found}; it is a stand-in, not the real image, and its records say so",
            remedy=f"where a registry can be reached: `docker pull {environment.image}`",
        )
    return Diagnosis(subject=environment.id, state=State.OK, found=found)


def image_without_engine(environment: Environment) -> Diagnosis:
    """Return the diagnosis of an image that could not be looked for, because no engine answers."""
    return Diagnosis(
        subject=environment.id,
        state=State.BROKEN,
        found=f"{environment.image} was not looked for: no Docker engine answers",
        remedy="fix docker first",
    )


# ---------------------------------------------------------------- the host platform


def bubblewrap(facts: BubblewrapFacts, *, on_host: bool, restricted_network: bool) -> Diagnosis:
    """Judge the sandbox of the host platform, which its cells need unless they have the open network."""
    if facts.path and facts.works:
        return Diagnosis(subject="bubblewrap", state=State.OK, found=f"{facts.path} {facts.version} makes sandboxes")
    problem, remedy = _no_sandbox(facts)
    # A run would refuse to start here, so this must not look like a warning.
    if on_host and restricted_network:
        return Diagnosis(
            subject="bubblewrap",
            state=State.BROKEN,
            found=f"{problem}: cells of the host platform cannot be restricted to the gateway, and a run refuses to"
            " start",
            remedy=f"{remedy}, or allow package code to reach everything this machine can with `--network open`",
        )
    unused = "cells with the open network do not need it" if on_host else "only the host platform would need it"
    return Diagnosis(subject="bubblewrap", state=State.NOTE, found=f"{problem}; {unused}", remedy=remedy)


def _no_sandbox(facts: BubblewrapFacts) -> tuple[str, str]:
    # The problem and its remedy.
    if facts.path is None:
        return "no bwrap on this machine", "install bubblewrap"
    program = f"{facts.path} {facts.version}"
    if not facts.supports_size:
        return f"{program} is too old to limit the size of a file system (--size)", "install bubblewrap 0.7 or newer"
    commands = " and ".join(f"`sudo sysctl -w {setting}`" for setting in facts.sysctl_fixes)
    remedy = f"allow user namespaces: {commands}" if commands else "allow this user to create user namespaces"
    return f"{program} cannot make a sandbox{parenthesized(facts.detail)}", remedy


def pythons(found: Mapping[Environment, InterpreterFacts | None], *, named: bool) -> tuple[Diagnosis, ...]:
    """Judge the interpreters of host environments: all are needed if the user `named` them, otherwise any one."""
    # `ppp run` uses whichever environments it finds, and fails only if there is none.
    none = not any(found.values())
    missing = State.BROKEN if named or none else State.NOTE
    return tuple(
        Diagnosis(subject=e.id, state=State.OK, found=f"Python {python.version} at {python.path}")
        if python
        else Diagnosis(
            subject=e.id,
            state=missing,
            found=f"no working Python {e.python} on PATH or in pyenv's folder",
            remedy=f"install Python {e.python} with its venv module (`pyenv install {e.python}`)",
        )
        for e, python in found.items()
    )


def spare_pythons(found: Mapping[str, InterpreterFacts | None]) -> Diagnosis:
    """Judge the interpreters of a node that uses containers, where they are only a fallback."""
    here = [f"{python.version} at {python.path}" for python in found.values() if python]
    missing = [version for version, python in found.items() if not python]
    text = f"Python {', '.join(here)}" if here else "no Python of the matrix"
    if not missing:
        return Diagnosis(subject="pythons", state=State.OK, found=text)
    return Diagnosis(
        subject="pythons",
        state=State.NOTE,
        found=f"{text}; not {', '.join(missing)}, which only the host platform would need",
    )


def canary(environment: Environment, faults: Iterable[str]) -> Diagnosis:
    """Judge an environment by what its canary reported; no faults mean that it is healthy."""
    subject, found = f"canary {environment.id}", "; ".join(faults)
    if not found:
        return Diagnosis(subject=subject, state=State.OK, found="every release gave its known result")
    return Diagnosis(
        subject=subject,
        state=State.BROKEN,
        found=found,
        remedy="fix whatever else is broken here; a fault that remains is in the environment's own image or Python",
    )
