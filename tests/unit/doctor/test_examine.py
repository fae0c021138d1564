"""A whole examination of a machine made of facts: well, then with each thing broken in turn."""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from fake_machine import BUBBLEWRAP, ENGINE, GIB, INDEX_PAGE, LEDGER, NOW, ROOMY_FILE_SYSTEM, TEMPORARY, FakeMachine

from ppp.config import load, load_matrix
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
    YggdrasilFacts,
)
from ppp.resources import resource

LOCAL, PULLABLE, UNAVAILABLE = ImageAvailability.LOCAL, ImageAvailability.PULLABLE, ImageAvailability.UNAVAILABLE
BAD_CERTIFICATE, NOT_FOUND, UNEXPECTED = (
    Reachability.BAD_CERTIFICATE, Reachability.NOT_FOUND, Reachability.UNEXPECTED,
)  # fmt: skip

SETTINGS = {"PPP_CONTACT": "operator@node.example", "PPP_JOBS": "2", "PPP_INDEX_URL": "https://index.example/simple/"}
MODEL = Path("/models/small.gguf")


def patient(matrix: str = "default", *ids: str, **changes: Any) -> NodeSetup:
    shipped = load_matrix(resource(f"matrices/{matrix}.toml"))
    made = NodeSetup(
        config=load(SETTINGS, data=Path("data")),
        matrix=shipped,
        environments=shipped.select(ids),
        model=MODEL,
        environments_named=bool(ids),
        mesh_port=8001,
    )
    return replace(made, **changes)


def examined(machine: FakeMachine, who: NodeSetup | None = None) -> Mapping[str, Diagnosis]:
    """Examine; give the worst diagnosis of each subject."""
    found = examine(who or patient(), machine, Once(machine.engine))
    order = list(State)
    return {d.subject: d for d in sorted(found, key=lambda d: order.index(d.state))}


def unwell(found: Mapping[str, Diagnosis]) -> dict[str, State]:
    return {subject: d.state for subject, d in found.items() if d.state is not State.OK}


@pytest.mark.parametrize("matrix", ["default", "host"])
def test_a_healthy_machine(matrix: str) -> None:
    who = patient(matrix)
    found = examine(who, FakeMachine(), Once(FakeMachine().engine))
    assert {d.state for d in found} == {State.OK}
    assert not [d.subject for d in found if d.remedy]
    subjects = [d.subject for d in found]
    assert len(subjects) == len(set(subjects))
    assert {e.id for e in who.environments} < set(subjects)
    rest = {"settings", "docker", "bubblewrap", "dns", "index", "clock", "gateway", "disk", "memory", "ledger", "key",
            "model", "yggdrasil"}  # fmt: skip
    assert rest < set(subjects)


DEAD = replace(ENGINE, reach=Reachability.REFUSED, version="", api_version="", data_root=None)
ALL_IMAGES = dict.fromkeys(
    ("py39-slim", "py311-slim", "py312-slim", "py39-alpine", "py311-alpine", "py312-alpine"), State.BROKEN
)
TEN_MIB = replace(ROOMY_FILE_SYSTEM, free_bytes=10 * 1024**2)

#: What is broken, the facts of it, what is told of it, and words that must be there.
BROKEN: list[tuple[str, dict[str, Any], dict[str, State], tuple[str, ...]]] = [
    ("engine not running", {"told_engine": DEAD}, {"docker": State.BROKEN} | ALL_IMAGES, ("systemctl start docker",)),
    (
        "no permission on the socket",
        {"told_engine": replace(DEAD, reach=Reachability.FORBIDDEN, detail="Permission denied")},
        {"docker": State.BROKEN} | ALL_IMAGES,
        ("may not be used by this user", "usermod -aG docker"),
    ),
    (
        "DOCKER_HOST is nonsense",
        {"told_engine": replace(DEAD, address="docker", configured=True, reach=UNEXPECTED)},
        {"docker": State.BROKEN} | ALL_IMAGES,
        ("mend DOCKER_HOST",),
    ),
    (
        "another engine is here",
        {"told_engine": replace(DEAD, reach=NOT_FOUND, other_socket="/run/user/1000/docker.sock")},
        {"docker": State.BROKEN} | ALL_IMAGES,
        ("DOCKER_HOST=unix:///run/user/1000/docker.sock",),
    ),
    (
        "engine elsewhere",
        {"told_engine": replace(ENGINE, address="tcp://engine.example:2375", configured=True)},
        {"docker": State.WARN},
        ("engine elsewhere",),
    ),
    (
        "limits that are not held",
        {"told_engine": replace(ENGINE, unenforced_limits=("memory",))},
        {"docker": State.WARN},
        ("its limit of memory",),
    ),
    (
        "image nowhere",
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
        "another Python inside",
        {"images": {"py39-slim": ImageFacts(availability=LOCAL, python="3.91.0", arch="x86_64")}},
        {"py39-slim": State.BROKEN},
        ("holds Python 3.91.0; the matrix says 3.9",),
    ),
    (
        "no Python inside",
        {"images": {"py39-slim": ImageFacts(availability=LOCAL, detail="exec: python: not found")}},
        {"py39-slim": State.BROKEN},
        ("has no Python that runs (exec: python: not found)",),
    ),
    (
        "full disk",
        {"systems": {Path("data"): replace(TEN_MIB, device=2)}},
        {"disk": State.BROKEN},
        ("10.0 MiB of", "the ledger and pages", "free some space"),
    ),
    (
        "nearly full disk",
        {"systems": {Path("data/cache"): replace(ROOMY_FILE_SYSTEM, device=2, free_bytes=3 * GIB // 2)}},
        {"disk": State.WARN},
        ("1.5 GiB of", "wants 2.0 GiB", "PPP_JOBS"),
    ),
    (
        "Docker's disk full",
        {"systems": {Path("/var/lib/docker"): replace(TEN_MIB, device=2)}},
        {"disk": State.BROKEN},
        ("for Docker",),
    ),
    (
        "inodes gone",
        {"systems": {Path("data"): replace(ROOMY_FILE_SYSTEM, free_inodes=3)}},
        {"disk": State.BROKEN},
        ("3 inodes",),
    ),
    (
        "read-only data",
        {"systems": {Path("data"): replace(ROOMY_FILE_SYSTEM, writable=False)}},
        {"disk": State.BROKEN},
        ("/srv cannot be written", "--data"),
    ),
    (
        "read-only temporary files",
        {"systems": {TEMPORARY: replace(ROOMY_FILE_SYSTEM, writable=False)}},
        {"disk": State.BROKEN},
        ("TMPDIR",),
    ),
    (
        "a file for a folder",
        {"systems": {Path("data"): replace(ROOMY_FILE_SYSTEM, is_folder=False)}},
        {"disk": State.BROKEN},
        ("a file stands at /srv", "move it away"),
    ),
    (
        "little memory",
        {"told_memory": MemoryFacts(total_bytes=8 * GIB, available_bytes=GIB)},
        {"memory": State.WARN},
        ("2 cells at a time may use 5.0 GiB each", "set PPP_JOBS=1"),
    ),
    (
        "hardly any memory",
        {"told_memory": MemoryFacts(total_bytes=GIB, available_bytes=GIB)},
        {"memory": State.BROKEN},
        ("lower memory_mb",),
    ),
    (
        "no names",
        {"resolved": DnsFacts(host="index.example", reason="Name or service not known")},
        {"dns": State.BROKEN},
        ("index.example cannot be resolved (Name or service not known)", "/etc/resolv.conf"),
    ),
    (
        "names behind a proxy",
        {"resolved": DnsFacts(host="index.example", reason="no", proxied=True)},
        {"dns": State.NOTE},
        ("the proxy's business",),
    ),
    (
        "index refuses",
        {"told_page": replace(INDEX_PAGE, reach=Reachability.REFUSED, server_time=None, lists_pip=False, origins=())},
        {"index": State.BROKEN, "clock": State.NOTE, "gateway": State.WARN},
        ("refuses the connection", "PPP_INDEX_URL"),
    ),
    (
        "nobody here knows who signed",
        {"told_page": replace(INDEX_PAGE, reach=BAD_CERTIFICATE, verify_code=20, server_time=None, origins=())},
        {"index": State.BROKEN, "clock": State.NOTE, "gateway": State.WARN},
        ("does not believe", "SSL_CERT_FILE"),
    ),
    (
        "a clock of long ago",
        {"told_page": replace(INDEX_PAGE, reach=BAD_CERTIFICATE, verify_code=9, requested_at=1000, origins=())},
        {"index": State.BROKEN, "clock": State.BROKEN, "gateway": State.WARN},
        ("which says 1970-01-01 00:16:40 UTC",),
    ),
    (
        "a portal in between",
        {"told_page": replace(INDEX_PAGE, reach=BAD_CERTIFICATE, verify_code=62, server_time=None, origins=())},
        {"index": State.BROKEN, "clock": State.NOTE, "gateway": State.WARN},
        ("log in to the network",),
    ),
    ("no pinned pip", {"told_page": replace(INDEX_PAGE, lists_pip=False)}, {"index": State.BROKEN}, ("mend [pip]",)),
    (
        "a clock that is ahead",
        {"told_page": replace(INDEX_PAGE, requested_at=NOW + 301)},
        {"clock": State.BROKEN},
        ("5 minutes ahead of the index's", "set-ntp"),
    ),
    (
        "a clock that drifts",
        {"told_page": replace(INDEX_PAGE, requested_at=NOW - 61)},
        {"clock": State.WARN},
        ("61 s behind",),
    ),
    ("no date", {"told_page": replace(INDEX_PAGE, server_time=None)}, {"clock": State.WARN}, ("gave no date",)),
    (
        "no nginx",
        {"tried": GatewayFacts(nginx=None, reach=NOT_FOUND, detail="no such host")},
        {"gateway": State.BROKEN},
        ("nor the image nginx:alpine (no such host): a run refuses", "install nginx", "--network open"),
    ),
    (
        "nginx to be pulled",
        {"tried": GatewayFacts(nginx=None, reach=NOT_FOUND, image_availability=PULLABLE)},
        {"gateway": State.NOTE},
        ("a run pulls the image nginx:alpine",),
    ),
    (
        "nginx does not start",
        {"tried": GatewayFacts(nginx="/usr/sbin/nginx", reach=UNEXPECTED, detail="unknown directive")},
        {"gateway": State.BROKEN},
        ("no gateway to the index (unknown directive)", "sub_filter"),
    ),
    ("no bwrap", {"told_bubblewrap": BubblewrapFacts(path=None)}, {"bubblewrap": State.NOTE}, ("install bubblewrap",)),
    (
        "Pythons missing",
        {"missing_pythons": frozenset({"3.9"})},
        {"pythons": State.NOTE},
        ("3.11.7 at /usr/bin/python3.11", "not 3.9"),
    ),
    ("model unreadable", {"model_file": ModelFacts(problem="Permission denied")}, {"model": State.BROKEN}, ("denied",)),
    (
        "model is none",
        {"model_file": ModelFacts(size=9, magic=b"<htm")},
        {"model": State.BROKEN},
        ("begins with b'<htm'", "whole GGUF"),
    ),
    (
        "model of another time",
        {"model_file": ModelFacts(size=9, magic=b"GGUF", version=1)},
        {"model": State.BROKEN},
        ("GGUF version 1",),
    ),
    (
        "no library for the model",
        {"model_file": ModelFacts(size=9, magic=b"GGUF", version=3, library_problem="No module named 'llama_cpp'")},
        {"model": State.BROKEN},
        ("the-pypi-place[voice]",),
    ),
    (
        "no mesh",
        {"mesh": YggdrasilFacts(program=None, running=False)},
        {"yggdrasil": State.NOTE},
        ("on the web alone",),
    ),
    (
        "mesh asleep",
        {"mesh": YggdrasilFacts(program="/usr/sbin/yggdrasil", running=False)},
        {"yggdrasil": State.NOTE},
        ("/usr/sbin/yggdrasil does not run", "systemctl start"),
    ),
    (
        "mesh without an address",
        {"mesh": YggdrasilFacts(program=None, running=True)},
        {"yggdrasil": State.WARN},
        ("200::/7",),
    ),
    (
        "nobody listens",
        {"mesh": YggdrasilFacts(program=None, running=True, addresses=("200:db8::1",))},
        {"yggdrasil": State.NOTE},
        ("200:db8::1", "8001", "ppp serve --mesh"),
    ),
    (
        "ledger damaged",
        {"told_ledger": replace(LEDGER, integrity="Tree 4 page 3: btreeInitPage() returns error code 11")},
        {"ledger": State.BROKEN},
        ("is damaged: Tree 4", "restore it"),
    ),
    (
        "ledger of another time",
        {"told_ledger": replace(LEDGER, problem="it is from a newer PPP", remedy="upgrade PPP")},
        {"ledger": State.BROKEN},
        ("upgrade PPP",),
    ),
    (
        "ledger in use",
        {"told_ledger": replace(LEDGER, lock_holder="4711", has_journal=True, integrity="")},
        {"ledger": State.NOTE},
        ("process 4711",),
    ),
    (
        "a commit cut off",
        {"told_ledger": replace(LEDGER, has_journal=True, integrity="")},
        {"ledger": State.NOTE},
        ("was cut off", "ppp show"),
    ),
    ("no ledger", {"told_ledger": replace(LEDGER, exists=False)}, {"ledger": State.NOTE}, ("first run makes it",)),
    (
        "key for all to read",
        {"told_key": KeyFacts(path=Path("k"), exists=True, problem="others can read it", remedy="run `chmod 600`")},
        {"key": State.BROKEN},
        ("chmod 600",),
    ),
    ("no key", {"told_key": KeyFacts(path=Path("k"), exists=False)}, {"key": State.NOTE}, ("first run makes it",)),
]


@pytest.mark.parametrize(("facts", "told", "words"), [row[1:] for row in BROKEN], ids=[row[0] for row in BROKEN])
def test_each_thing_in_turn(facts: dict[str, Any], told: dict[str, State], words: tuple[str, ...]) -> None:
    found = examined(FakeMachine(**facts))
    assert unwell(found) == told, "this, what follows from it, and nothing else"
    text = "\n".join(f"{found[subject].found}\n{found[subject].remedy}" for subject in told)
    assert not [word for word in words if word not in text], text
    assert [s for s in told if told[s] is State.BROKEN and not found[s].remedy] == []


def test_what_is_not_counted_is_not_scarce() -> None:
    uncounted = replace(ROOMY_FILE_SYSTEM, free_inodes=0, total_inodes=0)
    places = (Path("data"), Path("data/cache"), TEMPORARY, Path("/var/lib/docker"))
    found = examined(FakeMachine(systems=dict.fromkeys(places, uncounted)))
    assert unwell(found) == {}
    assert "inodes" not in found["disk"].found


def test_needs_add_up_where_folders_share_a_file_system() -> None:
    # Each of data and cache would find a whole run's room alone; not both together.
    share = replace(ROOMY_FILE_SYSTEM, free_bytes=5 * GIB // 2)
    apart = {Path("data"): replace(share, device=2), Path("data/cache"): replace(share, device=3)}
    together = {Path("data"): share, Path("data/cache"): share, TEMPORARY: share, Path("/var/lib/docker"): share}
    assert unwell(examined(FakeMachine(systems=apart))) == {}
    assert unwell(examined(FakeMachine(systems=together))) == {"disk": State.WARN}


# ---------------------------------------------------------------- the host platform


NO_ENGINE = replace(ENGINE, reach=NOT_FOUND, version="", data_root=None)


def test_a_machine_without_docker_is_well() -> None:
    found = examined(FakeMachine(told_engine=NO_ENGINE), patient("host"))
    assert unwell(found) == {"docker": State.NOTE}
    assert "host platform" in found["docker"].found


def test_an_engine_that_somebody_chose_must_be_there() -> None:
    chosen = replace(NO_ENGINE, configured=True, address="unix:///nowhere")
    assert unwell(examined(FakeMachine(told_engine=chosen), patient("host"))) == {"docker": State.BROKEN}


def test_cells_without_a_sandbox_need_disk_instead_of_memory() -> None:
    little = {TEMPORARY: replace(ROOMY_FILE_SYSTEM, device=2, free_bytes=4 * GIB)}
    machine = FakeMachine(systems=little, told_memory=MemoryFacts(total_bytes=10 * GIB, available_bytes=9 * GIB))
    assert unwell(examined(machine, patient("host"))) == {"memory": State.WARN}
    found = examined(machine, open_to_all("host"))
    assert unwell(found) == {"disk": State.WARN, "gateway": State.NOTE}


def open_to_all(matrix: str) -> NodeSetup:
    return patient(matrix, config=load({**SETTINGS, "PPP_NETWORK": "open"}, data=Path("data")))


@pytest.mark.parametrize("matrix", ["default", "host"])
def test_who_wants_the_open_network_needs_neither_nginx_nor_bubblewrap(matrix: str) -> None:
    machine = FakeMachine(tried=GatewayFacts(nginx=None, reach=NOT_FOUND), told_bubblewrap=BubblewrapFacts(path=None))
    found = examined(machine, open_to_all(matrix))
    assert unwell(found) == {"gateway": State.NOTE, "bubblewrap": State.NOTE}
    assert "gateway" not in machine.asked
    assert "as was asked for" in found["gateway"].found


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
def test_a_sandbox_that_cannot_be_had(sandbox: BubblewrapFacts, words: tuple[str, ...]) -> None:
    found = examined(FakeMachine(told_bubblewrap=sandbox), patient("host"))
    assert unwell(found) == {"bubblewrap": State.BROKEN}
    text = f"{found['bubblewrap'].found} {found['bubblewrap'].remedy}"
    assert not [word for word in words if word not in text], text


def test_one_python_is_enough_unless_another_was_named() -> None:
    machine = FakeMachine(missing_pythons=frozenset({"3.9", "3.12"}))
    assert unwell(examined(machine, patient("host"))) == {"py39-host": State.NOTE, "py312-host": State.NOTE}
    found = examined(machine, patient("host", "py39-host", "py311-host"))
    assert unwell(found) == {"py39-host": State.BROKEN}
    assert "pyenv install 3.9" in found["py39-host"].remedy
    none = FakeMachine(missing_pythons=frozenset({"3.9", "3.11", "3.12"}))
    assert broken_subjects(examined(none, patient("host")).values()) == ["py39-host", "py311-host", "py312-host"]


# ---------------------------------------------------------------- settings, canaries


def test_settings() -> None:
    found = examined(FakeMachine(), patient(mistakes="PPP_JOBS='many' is not a number", model=None))
    assert unwell(found) == {"settings": State.BROKEN, "model": State.NOTE}
    assert "PPP_JOBS='many'" in found["settings"].found
    nobody = patient(config=load({**SETTINGS, "PPP_CONTACT": ""}, data=Path("data")))
    assert unwell(examined(FakeMachine(), nobody)) == {"settings": State.NOTE}


def test_a_model_that_nobody_set_is_not_looked_for() -> None:
    machine = FakeMachine()
    examined(machine, patient(model=None))
    assert "model" not in machine.asked


def test_canaries_come_last() -> None:
    told = Diagnosis(subject="canary py39-slim", state=State.BROKEN, found="a fault", remedy="mend it")
    found = examine(patient(), machine := FakeMachine(), Once(machine.engine), canary=lambda: [told])
    assert found[-1] == told
    assert broken_subjects(found) == ["canary py39-slim"]


# ---------------------------------------------------------------- side by side


@pytest.fixture
def hanging() -> Iterator[FakeMachine]:
    machine = FakeMachine(hangs=frozenset({"engine"}), raises=frozenset({"ledger"}))
    yield machine
    machine.hung.set()


def test_what_hangs_or_fails_keeps_nobody_waiting(hanging: FakeMachine) -> None:
    found = examine(patient("default", "py39-slim"), hanging, Once(hanging.engine), timeout_factor=0.02)
    assert broken_subjects(found) == ["docker", "py39-slim", "disk", "ledger"]
    told = {d.subject: d.found for d in found}
    assert told["docker"] == "no answer within 0.6 s"
    assert "RuntimeError: ledger is beyond me" in told["ledger"]


def test_a_question_is_asked_once() -> None:
    machine = FakeMachine()
    examined(machine)
    assert {q: machine.asked.count(q) for q in ("engine", "page", "bubblewrap")} == {
        "engine": 1, "page": 1, "bubblewrap": 1,
    }  # fmt: skip


def test_checks_are_told_in_their_order() -> None:
    def check(number: int) -> MachineCheck:
        told = Diagnosis(subject=f"{number}", state=State.OK, found="well")
        return MachineCheck(subject=f"{number}", diagnose=lambda: [told, told])

    assert [d.subject for d in run_checks([check(n) for n in range(20)])] == [f"{n // 2}" for n in range(40)]
