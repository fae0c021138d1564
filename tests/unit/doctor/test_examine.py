"""A whole examination of a fake machine: first healthy, then with one problem after another."""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from fake_machine import (
    BUBBLEWRAP,
    ENGINE,
    GIB,
    INDEX_PAGE,
    LEDGER,
    NOW,
    ROOMY_FILE_SYSTEM,
    TEMPORARY,
    YGGDRASIL,
    FakeMachine,
)

from ppp.config import load
from ppp.doctor.diagnosis import Diagnosis, State, broken_subjects
from ppp.doctor.examine import MachineCheck, NodeSetup, Once, examine, run_checks
from ppp.doctor.machine import (
    BubblewrapFacts,
    DnsFacts,
    GatewayFacts,
    ImageAvailability,
    ImageFacts,
    KeyFacts,
    MemoryFacts,
    ModelFacts,
    Reachability,
    SoundFacts,
    YggdrasilFacts,
)
from ppp.matrix_files import load_matrix
from ppp.resources import resource

LOCAL, PULLABLE, UNAVAILABLE = ImageAvailability.LOCAL, ImageAvailability.PULLABLE, ImageAvailability.UNAVAILABLE
BAD_CERTIFICATE, NOT_FOUND, UNEXPECTED = (
    Reachability.BAD_CERTIFICATE, Reachability.NOT_FOUND, Reachability.UNEXPECTED,
)  # fmt: skip

SETTINGS = {"PPP_CONTACT": "operator@node.example", "PPP_JOBS": "2", "PPP_INDEX_URL": "https://index.example/simple/"}
MODEL = Path("/models/small.gguf")


def node_setup(matrix: str = "default", *ids: str, **changes: Any) -> NodeSetup:
    shipped = load_matrix(resource(f"matrices/{matrix}.toml"))
    setup = NodeSetup(
        config=load(SETTINGS, data=Path("data")),
        matrix=shipped,
        environments=shipped.select(ids),
        model=MODEL,
        environments_named=bool(ids),
        mesh_port=8001,
    )
    return replace(setup, **changes)


def examined(machine: FakeMachine, setup: NodeSetup | None = None) -> Mapping[str, Diagnosis]:
    """Examine a machine; return the worst diagnosis of each subject."""
    found = examine(setup or node_setup(), machine, Once(machine.engine))
    order = list(State)
    return {d.subject: d for d in sorted(found, key=lambda d: order.index(d.state))}


def unhealthy(found: Mapping[str, Diagnosis]) -> dict[str, State]:
    return {subject: d.state for subject, d in found.items() if d.state is not State.OK}


@pytest.mark.parametrize("matrix", ["default", "host"])
def test_a_healthy_machine(matrix: str) -> None:
    setup = node_setup(matrix)
    found = examine(setup, FakeMachine(), Once(FakeMachine().engine))
    assert {d.state for d in found} == {State.OK}
    assert not [d.subject for d in found if d.remedy]
    subjects = [d.subject for d in found]
    assert len(subjects) == len(set(subjects))
    assert {e.id for e in setup.environments} < set(subjects)
    rest = {"settings", "docker", "bubblewrap", "dns", "index", "clock", "gateway", "disk", "memory", "ledger", "key",
            "model", "sound", "yggdrasil"}  # fmt: skip
    assert rest < set(subjects)


DEAD = replace(ENGINE, reach=Reachability.REFUSED, version="", api_version="", data_root=None)
ALL_IMAGES = dict.fromkeys(
    ("py39-slim", "py311-slim", "py312-slim", "py39-alpine", "py311-alpine", "py312-alpine"), State.BROKEN
)
TEN_MIB = replace(ROOMY_FILE_SYSTEM, free_bytes=10 * 1024**2)

#: The problem, the facts that show it, the states that it results in, and words that the diagnoses must contain.
BROKEN: list[tuple[str, dict[str, Any], dict[str, State], tuple[str, ...]]] = [
    ("engine not running", {"engine_facts": DEAD}, {"docker": State.BROKEN} | ALL_IMAGES, ("systemctl start docker",)),
    (
        "no permission on the socket",
        {"engine_facts": replace(DEAD, reach=Reachability.FORBIDDEN, detail="Permission denied")},
        {"docker": State.BROKEN} | ALL_IMAGES,
        ("may not be used by this user", "usermod -aG docker"),
    ),
    (
        "DOCKER_HOST is nonsense",
        {"engine_facts": replace(DEAD, address="docker", configured=True, reach=UNEXPECTED)},
        {"docker": State.BROKEN} | ALL_IMAGES,
        ("fix DOCKER_HOST",),
    ),
    (
        "another engine's socket",
        {"engine_facts": replace(DEAD, reach=NOT_FOUND, other_socket="/run/user/1000/docker.sock")},
        {"docker": State.BROKEN} | ALL_IMAGES,
        ("DOCKER_HOST=unix:///run/user/1000/docker.sock",),
    ),
    (
        "remote engine",
        {"engine_facts": replace(ENGINE, address="tcp://engine.example:2375", configured=True)},
        {"docker": State.WARN},
        ("a remote engine",),
    ),
    (
        "limits that are not enforced",
        {"engine_facts": replace(ENGINE, unenforced_limits=("memory",))},
        {"docker": State.WARN},
        ("limit on memory",),
    ),
    (
        "image unavailable",
        {"images": {"py312-alpine": ImageFacts(availability=UNAVAILABLE, detail="no such host")}},
        {"py312-alpine": State.BROKEN},
        ("cannot be pulled (no such host)", "docker pull python:3.12-alpine"),
    ),
    (
        "image to be pulled",
        {"images": {"py39-slim": ImageFacts(availability=PULLABLE)}},
        {"py39-slim": State.NOTE},
        ("it can be pulled",),
    ),
    (
        "stand-in",
        {"images": {"py39-slim": ImageFacts(availability=LOCAL, python="3.9.2", arch="x86_64", standin=True)}},
        {"py39-slim": State.NOTE},
        ("a stand-in",),
    ),
    (
        "image with another Python",
        {"images": {"py39-slim": ImageFacts(availability=LOCAL, python="3.91.0", arch="x86_64")}},
        {"py39-slim": State.BROKEN},
        ("has Python 3.91.0; the matrix says 3.9",),
    ),
    (
        "image without Python",
        {"images": {"py39-slim": ImageFacts(availability=LOCAL, detail="exec: python: not found")}},
        {"py39-slim": State.BROKEN},
        ("has no Python that runs (exec: python: not found)",),
    ),
    (
        "full disk",
        {"file_systems": {Path("data"): replace(TEN_MIB, device=2)}},
        {"disk": State.BROKEN},
        ("10.0 MiB of", "the ledger and pages", "free some space"),
    ),
    (
        "nearly full disk",
        {"file_systems": {Path("data/cache"): replace(ROOMY_FILE_SYSTEM, device=2, free_bytes=3 * GIB // 2)}},
        {"disk": State.WARN},
        ("1.5 GiB of", "needs up to 2.0 GiB", "PPP_JOBS"),
    ),
    (
        "Docker's disk full",
        {"file_systems": {Path("/var/lib/docker"): replace(TEN_MIB, device=2)}},
        {"disk": State.BROKEN},
        ("for Docker",),
    ),
    (
        "inodes gone",
        {"file_systems": {Path("data"): replace(ROOMY_FILE_SYSTEM, free_inodes=3)}},
        {"disk": State.BROKEN},
        ("3 inodes",),
    ),
    (
        "read-only data",
        {"file_systems": {Path("data"): replace(ROOMY_FILE_SYSTEM, writable=False)}},
        {"disk": State.BROKEN},
        ("/srv cannot be written", "--data"),
    ),
    (
        "read-only temporary files",
        {"file_systems": {TEMPORARY: replace(ROOMY_FILE_SYSTEM, writable=False)}},
        {"disk": State.BROKEN},
        ("TMPDIR",),
    ),
    (
        "a file for a folder",
        {"file_systems": {Path("data"): replace(ROOMY_FILE_SYSTEM, is_folder=False)}},
        {"disk": State.BROKEN},
        ("/srv is not a folder", "move it away"),
    ),
    (
        "little memory",
        {"memory_facts": MemoryFacts(total_bytes=8 * GIB, available_bytes=GIB)},
        {"memory": State.WARN},
        ("2 cells at a time may use 5.0 GiB each", "set PPP_JOBS=1"),
    ),
    (
        "hardly any memory",
        {"memory_facts": MemoryFacts(total_bytes=GIB, available_bytes=GIB)},
        {"memory": State.BROKEN},
        ("lower memory_mb",),
    ),
    (
        "no DNS",
        {"dns_facts": DnsFacts(host="index.example", reason="Name or service not known")},
        {"dns": State.BROKEN},
        ("index.example cannot be resolved (Name or service not known)", "/etc/resolv.conf"),
    ),
    (
        "names resolved by a proxy",
        {"dns_facts": DnsFacts(host="index.example", reason="no", proxied=True)},
        {"dns": State.NOTE},
        ("the proxy resolves it",),
    ),
    (
        "index refuses",
        {"index_facts": replace(INDEX_PAGE, reach=Reachability.REFUSED, server_time=None, lists_pip=False)},
        {"index": State.BROKEN, "clock": State.NOTE, "gateway": State.WARN},
        ("refuses the connection", "PPP_INDEX_URL"),
    ),
    (
        "nobody here knows setup signed",
        {"index_facts": replace(INDEX_PAGE, reach=BAD_CERTIFICATE, verify_code=20, server_time=None)},
        {"index": State.BROKEN, "clock": State.NOTE, "gateway": State.WARN},
        ("does not trust", "SSL_CERT_FILE"),
    ),
    (
        "an old clock",
        {"index_facts": replace(INDEX_PAGE, reach=BAD_CERTIFICATE, verify_code=9, requested_at=1000)},
        {"index": State.BROKEN, "clock": State.BROKEN, "gateway": State.WARN},
        ("which says 1970-01-01 00:16:40 UTC",),
    ),
    (
        "a captive portal",
        {"index_facts": replace(INDEX_PAGE, reach=BAD_CERTIFICATE, verify_code=62, server_time=None)},
        {"index": State.BROKEN, "clock": State.NOTE, "gateway": State.WARN},
        ("log in to the network",),
    ),
    (
        "no pinned pip",
        {"index_facts": replace(INDEX_PAGE, lists_pip=False)},
        {"index": State.BROKEN, "gateway": State.WARN},
        ("fix [pip]", "fix the index first"),
    ),
    (
        "a clock that is ahead",
        {"index_facts": replace(INDEX_PAGE, requested_at=NOW + 301)},
        {"clock": State.BROKEN},
        ("5 minutes ahead of the index's", "set-ntp"),
    ),
    (
        "a clock that drifts",
        {"index_facts": replace(INDEX_PAGE, requested_at=NOW - 61)},
        {"clock": State.BROKEN},
        ("61 s behind", "a run refuses to start"),
    ),
    ("no date", {"index_facts": replace(INDEX_PAGE, server_time=None)}, {"clock": State.WARN}, ("sent no date",)),
    (
        "no nginx",
        {"gateway_facts": GatewayFacts(nginx=None, reach=NOT_FOUND, detail="no such host")},
        {"gateway": State.BROKEN},
        ("nor the image nginx:alpine (no such host): a run refuses", "install nginx", "--network open"),
    ),
    (
        "nginx to be pulled",
        {"gateway_facts": GatewayFacts(nginx=None, reach=NOT_FOUND, image_availability=PULLABLE)},
        {"gateway": State.NOTE},
        ("a run pulls the image nginx:alpine",),
    ),
    (
        "nginx does not start",
        {"gateway_facts": GatewayFacts(nginx="/usr/sbin/nginx", reach=UNEXPECTED, detail="unknown directive")},
        {"gateway": State.BROKEN},
        ("not work as a gateway to the index (unknown directive)", "can write to TMPDIR"),
    ),
    ("no bwrap", {"bubblewrap_facts": BubblewrapFacts(path=None)}, {"bubblewrap": State.NOTE}, ("install bubblewrap",)),
    (
        "Pythons missing",
        {"missing_pythons": frozenset({"3.9"})},
        {"pythons": State.NOTE},
        ("3.11.7 at /usr/bin/python3.11", "not 3.9"),
    ),
    (
        "model unreadable",
        {"model_facts": ModelFacts(problem="Permission denied")},
        {"model": State.BROKEN},
        ("denied",),
    ),
    (
        "model is not GGUF",
        {"model_facts": ModelFacts(size=9, magic=b"<htm")},
        {"model": State.BROKEN},
        ("begins with b'<htm'", "complete GGUF"),
    ),
    (
        "model of an old version",
        {"model_facts": ModelFacts(size=9, magic=b"GGUF", version=1)},
        {"model": State.BROKEN},
        ("GGUF version 1",),
    ),
    (
        "no library for the model",
        {"model_facts": ModelFacts(size=9, magic=b"GGUF", version=3, library_problem="No module named 'llama_cpp'")},
        {"model": State.BROKEN},
        ("the-pypi-place[voice]",),
    ),
    (
        "model larger than the memory that it gets",
        {"model_facts": ModelFacts(size=900 * 2**30, magic=b"GGUF", version=3)},
        {"model": State.BROKEN},
        ("its file of 921,600 MiB does not fit its memory", "a smaller model or PPP_MODEL_MEMORY_MIB"),
    ),
    (
        "no program for speech",
        {"sound_facts": SoundFacts(missing="espeak-ng is not installed")},
        {"sound": State.NOTE},
        ("espeak-ng is not installed: episodes are published as text", "install it"),
    ),
    (
        "a program for sound that does not run",
        {"sound_facts": SoundFacts(problem="ffmpeg ended with 127")},
        {"sound": State.WARN},
        ("ffmpeg ended with 127", "published as text"),
    ),
    (
        "no mesh",
        {"yggdrasil_facts": YggdrasilFacts(program=None, running=False)},
        {"yggdrasil": State.NOTE},
        ("only on the web",),
    ),
    (
        "mesh not running",
        {"yggdrasil_facts": YggdrasilFacts(program="/usr/sbin/yggdrasil", running=False)},
        {"yggdrasil": State.NOTE},
        ("/usr/sbin/yggdrasil is not running", "systemctl start"),
    ),
    (
        "mesh too old",
        {"yggdrasil_facts": YggdrasilFacts(program="/usr/sbin/yggdrasil", running=True, is_old=True)},
        {"yggdrasil": State.WARN},
        ("/usr/sbin/yggdrasil is older than 0.5", "scripts/install-yggdrasil"),
    ),
    (
        "mesh too old, and not in use",
        {"yggdrasil_facts": YggdrasilFacts(program="/usr/sbin/yggdrasil", running=False, is_old=True)},
        {"yggdrasil": State.NOTE},
        ("older than 0.5", "to join the mesh"),
    ),
    (
        "mesh with another key's address",
        {"yggdrasil_facts": replace(YGGDRASIL, mistake="its daemon says 200::1, but the address of its key is 201::1")},
        {"yggdrasil": State.WARN},
        ("201::1", "getself"),
    ),
    (
        "mesh without an address",
        {"yggdrasil_facts": YggdrasilFacts(program=None, running=True)},
        {"yggdrasil": State.WARN},
        ("200::/7",),
    ),
    (
        "nobody listens",
        {"yggdrasil_facts": YggdrasilFacts(program=None, running=True, addresses=("200:db8::1",))},
        {"yggdrasil": State.NOTE},
        ("200:db8::1", "8001", "ppp serve --mesh"),
    ),
    (
        "ledger damaged",
        {"ledger_facts": replace(LEDGER, integrity="Tree 4 page 3: btreeInitPage() returns error code 11")},
        {"ledger": State.BROKEN},
        ("is damaged: Tree 4", "restore it"),
    ),
    (
        "ledger of a newer PPP",
        {"ledger_facts": replace(LEDGER, problem="it is from a newer PPP", remedy="upgrade PPP")},
        {"ledger": State.BROKEN},
        ("upgrade PPP",),
    ),
    (
        "ledger in use",
        {"ledger_facts": replace(LEDGER, lock_holder="4711", has_journal=True, integrity="")},
        {"ledger": State.NOTE},
        ("process 4711",),
    ),
    (
        "an interrupted commit",
        {"ledger_facts": replace(LEDGER, has_journal=True, integrity="")},
        {"ledger": State.NOTE},
        ("was interrupted", "ppp show"),
    ),
    ("no ledger", {"ledger_facts": replace(LEDGER, exists=False)}, {"ledger": State.NOTE}, ("first run creates it",)),
    (
        "key readable by others",
        {"key_facts": KeyFacts(path=Path("k"), exists=True, problem="others can read it", remedy="run `chmod 600`")},
        {"key": State.BROKEN},
        ("chmod 600",),
    ),
    ("no key", {"key_facts": KeyFacts(path=Path("k"), exists=False)}, {"key": State.NOTE}, ("first run creates it",)),
]


@pytest.mark.parametrize(("facts", "states", "words"), [row[1:] for row in BROKEN], ids=[row[0] for row in BROKEN])
def test_each_problem_in_turn(facts: dict[str, Any], states: dict[str, State], words: tuple[str, ...]) -> None:
    found = examined(FakeMachine(**facts))
    assert unhealthy(found) == states, "this, what follows from it, and nothing else"
    text = "\n".join(f"{found[subject].found}\n{found[subject].remedy}" for subject in states)
    assert not [word for word in words if word not in text], text
    assert [s for s in states if states[s] is State.BROKEN and not found[s].remedy] == []


def test_uncounted_inodes_are_not_scarce() -> None:
    uncounted = replace(ROOMY_FILE_SYSTEM, free_inodes=0, total_inodes=0)
    places = (Path("data"), Path("data/cache"), TEMPORARY, Path("/var/lib/docker"))
    found = examined(FakeMachine(file_systems=dict.fromkeys(places, uncounted)))
    assert unhealthy(found) == {}
    assert "inodes" not in found["disk"].found


def test_needs_add_up_where_folders_share_a_file_system() -> None:
    # Each of data and cache would find a whole run's room alone; not both together.
    share = replace(ROOMY_FILE_SYSTEM, free_bytes=5 * GIB // 2)
    apart = {Path("data"): replace(share, device=2), Path("data/cache"): replace(share, device=3)}
    together = {Path("data"): share, Path("data/cache"): share, TEMPORARY: share, Path("/var/lib/docker"): share}
    assert unhealthy(examined(FakeMachine(file_systems=apart))) == {}
    assert unhealthy(examined(FakeMachine(file_systems=together))) == {"disk": State.WARN}


# ---------------------------------------------------------------- the host platform


NO_ENGINE = replace(ENGINE, reach=NOT_FOUND, version="", data_root=None)


def test_a_machine_without_docker_is_healthy() -> None:
    found = examined(FakeMachine(engine_facts=NO_ENGINE), node_setup("host"))
    assert unhealthy(found) == {"docker": State.NOTE}
    assert "host platform" in found["docker"].found


def test_a_configured_engine_must_exist() -> None:
    chosen = replace(NO_ENGINE, configured=True, address="unix:///nowhere")
    assert unhealthy(examined(FakeMachine(engine_facts=chosen), node_setup("host"))) == {"docker": State.BROKEN}


def test_cells_without_a_sandbox_need_disk_instead_of_memory() -> None:
    little = {TEMPORARY: replace(ROOMY_FILE_SYSTEM, device=2, free_bytes=4 * GIB)}
    machine = FakeMachine(file_systems=little, memory_facts=MemoryFacts(total_bytes=10 * GIB, available_bytes=9 * GIB))
    assert unhealthy(examined(machine, node_setup("host"))) == {"memory": State.WARN}
    found = examined(machine, open_network_setup("host"))
    assert unhealthy(found) == {"disk": State.WARN, "gateway": State.NOTE}


def open_network_setup(matrix: str) -> NodeSetup:
    return node_setup(matrix, config=load({**SETTINGS, "PPP_NETWORK": "open"}, data=Path("data")))


@pytest.mark.parametrize("matrix", ["default", "host"])
def test_the_open_network_needs_neither_nginx_nor_bubblewrap(matrix: str) -> None:
    machine = FakeMachine(
        gateway_facts=GatewayFacts(nginx=None, reach=NOT_FOUND), bubblewrap_facts=BubblewrapFacts(path=None)
    )
    found = examined(machine, open_network_setup(matrix))
    assert unhealthy(found) == {"gateway": State.NOTE, "bubblewrap": State.NOTE}
    assert "gateway" not in machine.questions
    assert "as configured" in found["gateway"].found


@pytest.mark.parametrize(
    ("sandbox", "words"),
    [
        (replace(BUBBLEWRAP, works=False, detail="No permissions"), ("(No permissions)", "allow this user")),
        (
            replace(BUBBLEWRAP, works=False, sysctl_fixes=("user.max_user_namespaces=15000",)),
            ("sudo sysctl -w user.max_user_namespaces=15000",),
        ),
        (replace(BUBBLEWRAP, works=False, supports_size=False), ("too old", "0.7")),
        (BubblewrapFacts(path=None), ("install bubblewrap", "a run refuses", "--network open")),
    ],
    ids=["forbidden", "by a setting", "too old", "missing"],
)
def test_no_usable_sandbox(sandbox: BubblewrapFacts, words: tuple[str, ...]) -> None:
    found = examined(FakeMachine(bubblewrap_facts=sandbox), node_setup("host"))
    assert unhealthy(found) == {"bubblewrap": State.BROKEN}
    text = f"{found['bubblewrap'].found} {found['bubblewrap'].remedy}"
    assert not [word for word in words if word not in text], text


def test_one_python_is_enough_unless_environments_are_named() -> None:
    machine = FakeMachine(missing_pythons=frozenset({"3.9", "3.12"}))
    assert unhealthy(examined(machine, node_setup("host"))) == {"py39-host": State.NOTE, "py312-host": State.NOTE}
    found = examined(machine, node_setup("host", "py39-host", "py311-host"))
    assert unhealthy(found) == {"py39-host": State.BROKEN}
    assert "pyenv install 3.9" in found["py39-host"].remedy
    none = FakeMachine(missing_pythons=frozenset({"3.9", "3.11", "3.12"}))
    assert broken_subjects(examined(none, node_setup("host")).values()) == ["py39-host", "py311-host", "py312-host"]


# ---------------------------------------------------------------- settings, canaries


def test_settings() -> None:
    found = examined(FakeMachine(), node_setup(setting_errors="PPP_JOBS='many' is not a number", model=None))
    assert unhealthy(found) == {"settings": State.BROKEN, "model": State.NOTE}
    assert "PPP_JOBS='many'" in found["settings"].found
    nobody = node_setup(config=load({**SETTINGS, "PPP_CONTACT": ""}, data=Path("data")))
    assert unhealthy(examined(FakeMachine(), nobody)) == {"settings": State.NOTE}


def test_without_a_configured_model_none_is_probed() -> None:
    machine = FakeMachine()
    examined(machine, node_setup(model=None))
    assert "model" not in machine.questions


def test_canaries_are_reported_last() -> None:
    fault = Diagnosis(subject="canary py39-slim", state=State.BROKEN, found="a fault", remedy="fix it")
    found = examine(node_setup(), machine := FakeMachine(), Once(machine.engine), canary=lambda: [fault])
    assert found[-1] == fault
    assert broken_subjects(found) == ["canary py39-slim"]


# ---------------------------------------------------------------- side by side


@pytest.fixture
def hanging() -> Iterator[FakeMachine]:
    machine = FakeMachine(blocked=frozenset({"engine"}), failing=frozenset({"ledger"}))
    yield machine
    machine.unblocked.set()


def test_a_check_that_hangs_or_fails_does_not_delay_others(hanging: FakeMachine) -> None:
    found = examine(node_setup("default", "py39-slim"), hanging, Once(hanging.engine), timeout_factor=0.02)
    assert broken_subjects(found) == ["docker", "py39-slim", "disk", "ledger"]
    texts = {d.subject: d.found for d in found}
    assert texts["docker"] == "no answer within 0.6 s"
    assert "RuntimeError: ledger cannot be answered" in texts["ledger"]


def test_each_probe_runs_once() -> None:
    machine = FakeMachine()
    examined(machine)
    assert {q: machine.questions.count(q) for q in ("engine", "page", "bubblewrap")} == {
        "engine": 1, "page": 1, "bubblewrap": 1,
    }  # fmt: skip


def test_checks_are_reported_in_order() -> None:
    def check(number: int) -> MachineCheck:
        diagnosis = Diagnosis(subject=f"{number}", state=State.OK, found="fine")
        return MachineCheck(subject=f"{number}", diagnose=lambda: [diagnosis, diagnosis])

    assert [d.subject for d in run_checks([check(n) for n in range(20)])] == [f"{n // 2}" for n in range(40)]
