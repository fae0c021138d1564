"""What a real runtime reports when something it needs is missing, and what it passes on from this process."""

import gc
import json
from pathlib import Path
from typing import Final

import pytest
from cell_environments import FetchedPip, host_environ, host_environment, tiny_matrix
from runtimes import UNREACHABLE_INDEX, RuntimeKind, run_python, running_runtime

from ppp.check.runtime import EnvironmentUnavailableError, SandboxLostError, pip_environment
from ppp.check.sandbox.docker import DockerRuntime, connect_engine
from ppp.check.sandbox.host import HostRuntime
from ppp.model.matrix import Environment, Platform


def test_a_missing_python_is_unavailable(tmp_path: Path) -> None:
    runtime = HostRuntime(tiny_matrix(), pip=tmp_path, index_url=UNREACHABLE_INDEX, environ={"PATH": str(tmp_path)})
    missing = Environment(id="py39-host", python="3.9", platform=Platform.HOST)
    with pytest.raises(EnvironmentUnavailableError, match=r"no working Python 3\.9 .*none on PATH"):
        runtime.prepare(missing)


@pytest.mark.parametrize(
    "source",
    [
        "#!/bin/sh\nexit 127\n",
        "#!/bin/sh\necho no JSON\n",
        '#!/bin/sh\necho \'{"python": "3.8.1"}\'\n',
        "no program at all",
    ],
)
def test_a_broken_python_is_unavailable(tmp_path: Path, source: str) -> None:
    shim = tmp_path / "python3.9"
    shim.write_text(source)
    shim.chmod(0o755)
    runtime = HostRuntime(tiny_matrix(), pip=tmp_path, index_url=UNREACHABLE_INDEX, environ={"PATH": str(tmp_path)})
    with pytest.raises(EnvironmentUnavailableError, match=r"no working Python 3\.9 .*tried .*python3\.9"):
        runtime.prepare(Environment(id="py39-host", python="3.9", platform=Platform.HOST))


FAKE_PIP: Final = {
    "tags.py": "def sys_tags():\n    return ['py3-none-any']\n",
}


ABSENT: Final = f"sha256:{'5a' * 32}"


@pytest.mark.docker
@pytest.mark.parametrize(
    ("image", "python", "reason"),
    [
        # Nothing listens there, so that no registry is asked.
        ("localhost:9/python:3.12-alpine", "3.12", "is not here and cannot be pulled"),
        ("localhost:9/python", "3.12", "localhost:9/python is not here and cannot be pulled: .*localhost:9"),
        (f"localhost:9/python:3.12@{ABSENT}", "3.12", "is not here and cannot be pulled: .*localhost:9"),
        ("python:3.12:slim", "3.12", "'python:3.12:slim' is not a valid image reference"),
        ("python:3.9-slim", "3.12", r"has Python 3\.9\.\d+, not 3\.12"),
    ],
)
def test_a_missing_or_wrong_image_is_unavailable(tmp_path: Path, image: str, python: str, reason: str) -> None:
    client = connect_engine()
    assert client is not None
    environment = Environment(id="py312-alpine", python=python, platform=Platform.ALPINE, image=image)
    (tmp_path / "pip").mkdir()
    try:
        # The probe needs only this of pip.
        packaging = tmp_path / "pip" / "pip" / "_vendor" / "packaging"
        packaging.mkdir(parents=True)
        for name, text in FAKE_PIP.items():
            (packaging / name).write_text(text)
        runtime = DockerRuntime(client, tiny_matrix(), data=tmp_path, pip=tmp_path / "pip", index_url=UNREACHABLE_INDEX)
        with pytest.raises(EnvironmentUnavailableError, match=reason):
            runtime.prepare(environment)
        runtime.close()
    finally:
        client.close()


@pytest.mark.docker
@pytest.mark.online
def test_the_requested_container_runtime_is_used(tmp_path: Path, pinned_pip: FetchedPip) -> None:
    with (
        running_runtime(RuntimeKind.CONTAINER, tmp_path, pinned_pip, container_runtime="runc") as place,
        place.sandbox() as box,
    ):
        assert run_python(box, "print('here')").output == "here\n"
        (container,) = place.remains()
        assert container.attrs["HostConfig"]["Runtime"] == "runc"  # type: ignore[attr-defined]


@pytest.mark.docker
@pytest.mark.online
def test_a_missing_container_runtime_is_reported(tmp_path: Path, pinned_pip: FetchedPip) -> None:
    with (
        running_runtime(RuntimeKind.CONTAINER, tmp_path, pinned_pip, container_runtime="no-such-runtime") as place,
        pytest.raises((SandboxLostError, EnvironmentUnavailableError), match=r"no-such-runtime"),
        place.sandbox(),
    ):
        pass


# docker-py leaves a socket open when nothing answers.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_without_an_engine_there_is_none(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/nothing.sock")
    assert connect_engine() is None
    gc.collect()


# ---------------------------------------------------------------- what pip is told


def test_pip_reads_no_configuration_and_asks_one_index() -> None:
    with_tls = pip_environment("https://index.example/simple/")
    assert with_tls["PIP_INDEX_URL"] == "https://index.example/simple/"
    assert with_tls["PIP_CONFIG_FILE"] == "/dev/null"
    assert "PIP_TRUSTED_HOST" not in with_tls
    assert pip_environment("http://10.0.0.1:8080/simple/")["PIP_TRUSTED_HOST"] == "10.0.0.1:8080"


@pytest.mark.online
def test_nothing_of_this_process_reaches_a_cell_in_the_open(
    pinned_pip: FetchedPip, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PPP_SECRET", "hunter2")
    monkeypatch.setenv("PIP_INDEX_URL", "https://other.example/simple/")
    environ = {**host_environ(), "PPP_SECRET": "hunter2", "SSL_CERT_FILE": "/etc/some.pem"}
    runtime = HostRuntime(tiny_matrix(), pip=pinned_pip.folder, index_url=UNREACHABLE_INDEX, environ=environ)
    with runtime.sandbox(runtime.prepare(host_environment()), tmp_path / "file") as box:
        done = box.run([box.python, "-I", "-c", "import json, os; print(json.dumps(dict(os.environ)))"], timeout_s=10)
    seen = json.loads(done.output)
    assert "PPP_SECRET" not in seen
    assert seen["SSL_CERT_FILE"] == "/etc/some.pem"
    assert seen["PIP_INDEX_URL"] == UNREACHABLE_INDEX
    assert seen["HOME"] == box.scratch
    assert Path(seen["TMPDIR"]).parent == Path(box.scratch).parent.parent
