"""`ppp env`: an environment exactly as locked, by uv and by pip, also after it was killed at any moment."""

import json
import os
import random
import signal
import subprocess
import sys
from collections.abc import Iterator
from importlib.metadata import distributions
from pathlib import Path
from typing import Final

import pytest
from my_lib import BASE, MARKERS, FileRequest, WheelServer, new_project, wheel_server, wheels
from program import Program, wait_until

from ppp.project_env.tools import PIP, UV

TOOLS: Final = (UV, PIP)
KILLS: Final = 10
#: So that a first synchronization takes about two seconds.
SLOW: Final = 2_000_000


@pytest.fixture
def server() -> Iterator[WheelServer]:
    with wheel_server() as made:
        yield made


@pytest.fixture
def project(tmp_path: Path, server: WheelServer) -> Path:
    return new_project(tmp_path / "my-lib", server.lock_of(MARKERS))


@pytest.fixture(autouse=True)
def cache(program: Program, tmp_path: Path) -> Path:
    program.settings["UV_CACHE_DIR"] = str(tmp_path / "uv")
    program.settings["PPP_ENV_CACHE"] = str(tmp_path / "cache")
    return tmp_path / "cache"


def inspected(project: Path) -> dict[str, str]:
    """Return what `pip inspect` finds in the environment of a project."""
    python = project / ".venv" / "bin" / "python"
    command = [sys.executable, "-m", "pip", "--python", str(python), "inspect", "--local"]
    done = subprocess.run(command, check=True, capture_output=True, env={**os.environ, "PIP_CONFIG_FILE": os.devnull})
    rows = json.loads(done.stdout)["installed"]
    return {row["metadata"]["name"]: row["metadata"]["version"] for row in rows}


def found(project: Path) -> dict[str, str]:
    """Return what has metadata in the environment of a project: as `inspected`, and many times faster."""
    (site_packages,) = (project / ".venv").glob("lib/python*/site-packages")
    return {one.metadata["Name"]: one.version for one in distributions(path=[str(site_packages)])}


def partial_sizes(cache: Path) -> dict[str, int]:
    return {path.name.removesuffix(".partial"): path.stat().st_size for path in cache.rglob("*.partial")}


def complete_files(cache: Path) -> set[str]:
    return {path.name for path in cache.rglob("*.whl")}


def names_of(*parts: str) -> dict[str, str]:
    return dict.fromkeys(sorted([*BASE, *parts]), "1.0")


@pytest.mark.parametrize("tool", TOOLS)
def test_the_project_is_locked_installed_run_and_uninstalled(
    program: Program, server: WheelServer, tmp_path: Path, tool: str
) -> None:
    project = new_project(tmp_path / "my-lib")
    chosen = ("--project", str(project), "--tool", tool)
    program.run_ok("env", "lock", *chosen, "--index-url", server.index.url)
    first = (project / "pylock.toml").read_bytes()
    if tool == UV:
        # pip takes many times as long.
        program.run_ok("env", "lock", *chosen, "--index-url", server.index.url)
        assert (project / "pylock.toml").read_bytes() == first

    program.run_ok("env", "sync", *chosen)
    assert inspected(project) == names_of()
    run = ("env", "run", "--project", str(project), "python", str(project / "src" / "my_lib" / "__main__.py"))
    assert program.run_ok(*run) == "my-lib runs: my-lib-small my-lib-linux 3000000\n"
    assert program.run_ok("env", "run", "--project", str(project), "my-lib-small") == "my-lib-small\n"

    program.run_ok("env", "sync", *chosen, "--extra", "fancy", "--group", "dev")
    assert inspected(project) == names_of("my-lib-fancy", "my-lib-tests", "my-lib-docs")
    program.run_ok("env", "sync", *chosen, "--group", "docs")
    assert inspected(project) == names_of("my-lib-docs")

    (project / "pylock.toml").write_bytes(server.lock_of({}))
    program.run_ok("env", "sync", *chosen)
    (site_packages,) = (project / ".venv").glob("lib/python*/site-packages")
    # uv has a patch of its own there.
    assert [path.name for path in site_packages.iterdir() if not path.name.startswith("_virtualenv")] == []
    assert not (project / ".venv" / "bin" / "my-lib-small").exists()


def test_what_is_not_as_locked_is_not_run_and_is_made_so(program: Program, project: Path) -> None:
    where = ("--project", str(project))
    assert program.run("env", "run", *where, "true").code == 76
    program.run_ok("env", "sync", *where)
    (site_packages,) = (project / ".venv").glob("lib/python*/site-packages")
    record = next(site_packages.glob("my_lib_small-*.dist-info")) / "RECORD"
    record.write_text(record.read_text() + "added.py,,\n")
    refused = program.run("env", "run", *where, "true")
    assert (refused.code, refused.out) == (76, "")
    assert "is not as its lock says: install my-lib-small 1.0; remove my-lib-small" in refused.err
    program.run_ok("env", "sync", *where)
    assert program.run("env", "run", *where, "true").code == 0


def test_init_writes_what_is_missing_and_overwrites_nothing(program: Program, tmp_path: Path) -> None:
    project = tmp_path / "new-project"
    project.mkdir()
    program.run_ok("env", "init", "--project", str(project))
    written = {path.name: path.read_bytes() for path in project.iterdir() if path.is_file()}
    assert written.keys() == {"pyproject.toml", "pylock.toml"}
    program.run_ok("env", "init", "--project", str(project))
    assert {path.name: path.read_bytes() for path in project.iterdir() if path.is_file()} == written
    assert program.run_ok("env", "run", "--project", str(project), "python", "-c", "print(1)") == "1\n"


@pytest.mark.parametrize("place", ["served", "cached"])
def test_one_flipped_byte_refuses_and_changes_nothing(
    program: Program, server: WheelServer, cache: Path, project: Path, place: str
) -> None:
    where = ("--project", str(project))
    program.run_ok("env", "sync", *where)
    before = sorted(str(path) for path in (project / ".venv").rglob("*"))
    server.add(wheels(small_version="2.0"))
    (project / "pylock.toml").write_bytes(server.lock_of(MARKERS))
    filename = server.projects["my-lib-small"].filename
    content = bytearray(server.contents[filename])
    content[len(content) // 2] ^= 1
    if place == "served":
        server.contents[filename] = bytes(content)
    else:
        program.run_ok("env", "sync", *where)
        (project / "pylock.toml").write_bytes(server.lock_of({"my-lib-base": ""}))
        program.run_ok("env", "sync", *where)
        before = sorted(str(path) for path in (project / ".venv").rglob("*"))
        (project / "pylock.toml").write_bytes(server.lock_of(MARKERS))
        next(cache.rglob(filename)).write_bytes(content)
    refused = program.run("env", "sync", *where)
    assert refused.code == 74
    (line,) = [line for line in refused.err.splitlines() if line.startswith("ppp: ")]
    assert line.startswith(f"ppp: {filename} ")
    assert "has the sha256" in line
    assert sorted(str(path) for path in (project / ".venv").rglob("*")) == before


def check_resumed(requests: list[FileRequest], complete: set[str], partial: dict[str, int]) -> None:
    """Check that only what was incomplete was asked for, each from where it ended."""
    for request in requests:
        assert request.filename not in complete, request
        assert request.offset == partial.get(request.filename, 0), request


@pytest.mark.slow
@pytest.mark.parametrize("tool", TOOLS)
def test_killed_at_random_points_and_run_again_it_is_right(
    program: Program, server: WheelServer, cache: Path, project: Path, tool: str
) -> None:
    sync = ("env", "sync", "--project", str(project), "--tool", tool)
    points = random.Random(tool)
    server.bytes_per_s = SLOW
    killed, number, latest = 0, 0, 2.5
    while killed < KILLS:
        number += 1
        server.add(wheels(small_version=f"1.{number}"))
        (project / "pylock.toml").write_bytes(server.lock_of(MARKERS))
        heavy = next(cache.rglob("my_lib_heavy-*.whl"), None)
        if heavy is not None and number % 2:
            # Half of the kills are during a download, and half of them after it.
            heavy.unlink()
        complete, partial = complete_files(cache), partial_sizes(cache)
        server.take_requests()
        process = program.start(*sync)
        try:
            process.wait(points.uniform(0.1, latest))
            # It ended before: the next ones are killed earlier.
            latest *= 0.7
        except subprocess.TimeoutExpired:
            killed += 1
        # The process alone: what it started goes on.
        process.kill()
        process.communicate()
        check_resumed(server.take_requests(), complete, partial)

        complete, partial = complete_files(cache), partial_sizes(cache)
        server.take_requests()
        program.run_ok(*sync)
        check_resumed(server.take_requests(), complete, partial)
        assert found(project) == {**names_of(), "my-lib-small": f"1.{number}"}
        assert [path.name for path in project.iterdir() if path.name.startswith(".venv-")] == []
        assert partial_sizes(cache) == {}
    assert inspected(project) == {**names_of(), "my-lib-small": f"1.{number}"}
    assert program.run("env", "run", "--project", str(project), "my-lib-small").out == "my-lib-small\n"


def test_interrupted_by_ctrl_c_it_leaves_nothing_behind_and_resumes(
    program: Program, server: WheelServer, cache: Path, project: Path
) -> None:
    before = sorted(project.rglob("*"))
    server.bytes_per_s = 1_000_000
    process = program.start("env", "sync", "--project", str(project))
    # The small ones are complete by then.
    wait_until(lambda: [*partial_sizes(cache).values()][1:] == [] and sum(partial_sizes(cache).values()) > 100_000)
    process.send_signal(signal.SIGINT)
    assert process.wait(timeout=20) == 130
    process.communicate()
    assert sorted(project.rglob("*")) == before
    partial, complete = partial_sizes(cache), complete_files(cache)
    assert partial.keys() == {"my_lib_heavy-1.0-py3-none-any.whl"}
    server.take_requests()
    server.bytes_per_s = None
    done = program.run("env", "sync", "--project", str(project))
    assert "resumed at" in done.err
    check_resumed(server.take_requests(), complete, partial)
    assert inspected(project) == names_of()
