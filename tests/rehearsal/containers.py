"""Start the services of scripts/compose.yaml with `docker run`, and see that they answer: `nox -s container`.

This needs the Docker engine and the node's image, but no Compose: what the file says of a service is turned into
options of `docker run`. Three things differ from it: the data folder is a new one, ports are free ones of the loopback
address, and nothing answers where the index should be, so that the runner checks nothing. Services with a profile
(Yggdrasil) are left out. All containers and the folder are removed at the end.
"""

import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from http import HTTPStatus
from pathlib import Path
from typing import Any, Final

import requests
from prometheus_client.parser import text_string_to_metric_families
from ruamel.yaml import YAML

COMPOSE: Final = Path(__file__).parents[2] / "scripts" / "compose.yaml"
#: The folder of a node in the file; another one takes its place.
FOLDER: Final = "/var/lib/ppp"
SOCKET: Final = "/var/run/docker.sock"
WAIT_S: Final = 180
_VARIABLE: Final = re.compile(r"\$\{(\w+)(?::([-?])([^}]*))?\}")
Options = Callable[[Any], list[str]]


def _each(option: str) -> Options:
    return lambda values: [f"--{option}={one}" for one in values]


def _switch(option: str) -> Options:
    return lambda value: [f"--{option}={str(value).lower()}"]


#: What each key of a service is as options of `docker run`; the last three are no options.
OPTIONS: Final[Mapping[str, Options]] = {
    "restart": lambda value: [f"--restart={value}"],
    "init": _switch("init"),
    "read_only": _switch("read-only"),
    "cap_drop": _each("cap-drop"),
    "security_opt": _each("security-opt"),
    "group_add": _each("group-add"),
    "tmpfs": _each("tmpfs"),
    "volumes": _each("volume"),
    "ports": lambda values: [f"--publish=127.0.0.1::{one.rpartition(':')[2]}" for one in values],
    "env_file": lambda values: [f"--env-file={one['path']}" for one in values if Path(one["path"]).exists()],
    "stop_grace_period": lambda value: [f"--stop-timeout={value.removesuffix('s')}"],
    "healthcheck": lambda value: [f"--health-cmd={' '.join(value['test'][1:])}", "--health-interval=5s"],
    **dict.fromkeys(("image", "build", "command"), lambda _: []),
}


def docker(*words: str) -> str:
    """Run a command of Docker; return its output, and end the program with what it says if it fails."""
    done = subprocess.run(["docker", *words], capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"docker {' '.join(words)} ended with {done.returncode}: {done.stderr}")
    return done.stdout.strip()


def interpolate(value: Any, variables: Mapping[str, str]) -> Any:
    """Return a part of the file with the values of its variables; end the program if one is missing."""

    def replaced(match: re.Match[str]) -> str:
        name, kind, text = match.groups()
        if found := variables.get(name):
            return found
        if kind == "?":
            sys.exit(f"set {name}: {text}")
        return text or ""

    match value:
        case str():
            return _VARIABLE.sub(replaced, value).replace(FOLDER, variables["FOLDER"])
        case list():
            return [interpolate(one, variables) for one in value]
        case dict():
            return {name: interpolate(one, variables) for name, one in value.items()}
        case _:
            return value


def run_options(service: Mapping[str, Any]) -> list[str]:
    """Return what a service of the file is as options of `docker run`; end the program if it says more than we know."""
    if unknown := {*service} - {*OPTIONS}:
        sys.exit(f"{COMPOSE.name} has {sorted(unknown)}, which this program does not know")
    return [option for name, value in service.items() for option in OPTIONS[name](value)]


@dataclass(slots=True, kw_only=True)
class Services:
    """The services that were started, by their names in the file."""

    folder: Path
    containers: dict[str, str] = field(default_factory=dict)

    def start(self, name: str, service: Mapping[str, Any]) -> None:
        """Start a service in the background."""
        settings = {
            "PPP_DATA": self.folder / "data",
            "TMPDIR": self.folder / "tmp",
            "PPP_INDEX_URL": "http://127.0.0.1:9/simple/",
            "PPP_JOURNAL": "index",
        }
        given = [f"--env={key}={value}" for key, value in settings.items()]
        container = f"ppp-{name}-{uuid.uuid4().hex[:8]}"
        self.containers[name] = container
        words = ("run", "--detach", "--name", container, *run_options(service), *given)
        docker(*words, service["image"], *service["command"])

    def address(self, name: str) -> str:
        """Return the address of a service's port; it is another one each time that the container starts again."""
        return f"http://{docker('port', self.containers[name]).split()[-1]}/"

    def get(self, name: str, path: str) -> requests.Response:
        """Ask a service until it answers; end the program if it does not."""
        deadline = time.monotonic() + WAIT_S
        while time.monotonic() < deadline:
            try:
                return requests.get(self.address(name) + path, timeout=20)
            except (requests.ConnectionError, IndexError):
                time.sleep(1)
        sys.exit(f"{name} does not answer: {docker('logs', '--tail', '20', self.containers[name])}")

    def stop(self) -> None:
        """Ask each container to end, say how it did, and remove it."""
        for name, container in self.containers.items():
            subprocess.run(["docker", "stop", container], capture_output=True, check=False)
            print(f"{name} ended with {docker('inspect', '--format', '{{.State.ExitCode}}', container)}")
            docker("rm", "--force", container)


@contextmanager
def owned_folder(image: str) -> Iterator[Path]:
    """Make the folder of a node, which belongs to the user of the image; the image itself may do that, and end it."""
    folder = Path(tempfile.mkdtemp(prefix="ppp-compose-"))
    folders = f"{folder} {folder / 'data'} {folder / 'tmp'}"
    as_root = ("run", "--rm", "--user=0", f"--volume={folder}:{folder}", "--entrypoint=sh", image, "-c")
    try:
        docker(*as_root, f"install -d -o 10001 -g 10001 -m 750 {folders}")
        yield folder
    finally:
        docker(*as_root, f"find {folder} -mindepth 1 -delete; chown {os.getuid()} {folder}")
        shutil.rmtree(folder)


def examine(services: Services) -> None:
    """End the program unless each service does what it is for."""
    health = services.get("mesh", "healthz")
    print(f"/healthz: {health.status_code} {health.text.strip()}")
    found = [family.name for family in text_string_to_metric_families(services.get("mesh", "metrics").text)]
    print(f"/metrics: {' '.join(found)}")
    sql = services.get("datasette", "")
    print(f"Datasette: {sql.status_code}")
    runner = services.containers["runner"]
    engine = docker("exec", runner, "python", "-c", "import docker; print(docker.from_env().version()['Version'])")
    nginx = docker("exec", runner, "sh", "-c", "nginx -v 2>&1")
    print(f"runner: Docker {engine}, {nginx}; {docker('exec', runner, 'sh', '-c', 'ppp health; true')}")
    sockets = [name for name, one in services.containers.items() if SOCKET in docker("inspect", one)]
    expected = (
        health.status_code in {HTTPStatus.OK, HTTPStatus.SERVICE_UNAVAILABLE},
        "ppp_healthy" in found,
        sql.status_code == HTTPStatus.OK,
        sockets == ["runner"],
    )
    if not all(expected):
        sys.exit(f"not as expected: {expected}")


def main() -> None:
    """Start what the file describes, and examine it."""
    document = YAML(typ="safe").load(COMPOSE.read_text("utf-8"))
    services = {name: one for name, one in document["services"].items() if "profiles" not in one}
    with ExitStack() as undo:
        folder = undo.enter_context(owned_folder(services["runner"]["image"]))
        group = str(Path(SOCKET).stat().st_gid)
        variables = {"DOCKER_GID": group, **os.environ, "FOLDER": str(folder)}
        running = Services(folder=folder)
        undo.callback(running.stop)
        for name, service in services.items():
            running.start(name, interpolate(service, variables))
        examine(running)


if __name__ == "__main__":
    main()
