"""Attacks on the promise that a package decides only its own verdict: a real pip installs each, behind a real gateway.

What a dependency does to its dependent's dist-info, and what a build does to pip's report, while both lie in folders
that they can write to.
"""

import os
import tempfile
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import pytest
from cell_environments import SLIM, FetchedPip, host_environment, tiny_matrix
from hostile_inside import KEY, assert_peers_accept
from local_index import LocalIndex
from projects import BACKEND, Project, module_project
from runtimes import open_runtime

from ppp.check.cell import Checker, Observation
from ppp.check.gateway.gateway import run_gateway
from ppp.check.index.client import SimpleIndex
from ppp.model.matrix import Cell, Environment
from ppp.model.release import Release

FINE: Final = b"value = 1\n"
BROKEN: Final = b"raise ValueError('its own fault')\n"
#: A backend that gives its metadata without a build: so pip builds after it has written its report.
PATIENT_BACKEND: Final = (
    BACKEND
    + b"""

def prepare_metadata_for_build_wheel(metadata_directory, config_settings=None):
    headers = dict(line.split(": ", 1) for line in _headers().splitlines() if ": " in line)
    folder = "{}-{}.dist-info".format(headers["Name"].replace("-", "_"), headers["Version"])
    os.mkdir(os.path.join(metadata_directory, folder))
    with open(os.path.join(metadata_directory, folder, "METADATA"), "w", encoding="utf-8") as file:
        file.write(_headers())
    return folder
"""
)
#: Begins every program that is run when an sdist is built.
AT_BUILD: Final = b"""\
import json, os
report = os.path.join(os.environ["HOME"], "report.json")
if os.path.exists(report):
    with open(report, encoding="utf-8") as file:
        data = json.load(file)
    items = data["install"]
    target = [item for item in items if item["requested"]][0]
    def write(text):
        with open(report, "w", encoding="utf-8") as file:
            file.write(text)
"""
ITEM: Final = (
    b'{"requested": False, "metadata": {"name": "straw-man", "version": "1.0"},'
    b' "download_info": {"archive_info": {"hashes": {"sha256": "5a" * 32}}}}'
)
#: What a build does to pip's report.
FORGERIES: Final[Mapping[str, bytes]] = {
    "a-name-that-lengthens": (
        b'items.append({"metadata": {"name": "\\u0130" * 214, "version": "1"}}); write(json.dumps(data))'
    ),
    "a-long-version": b'items.append({"metadata": {"name": "x", "version": "1" * 5000}}); write(json.dumps(data))',
    "half-a-surrogate": b'items.append({"metadata": {"name": "\\ud800", "version": "1"}}); write(json.dumps(data))',
    "five-thousand": b"write(json.dumps({**data, 'install': items * 5000}))",
    "no-json": b"write('[' * 500_000)",
    "nothing": b"write('')",
    "another-hash": b'target["download_info"]["archive_info"]["hashes"]["sha256"] = "5a" * 32; write(json.dumps(data))',
    "another-version": b'target["metadata"]["version"] = "9.0"; write(json.dumps(data))',
    "another-name": b'target["metadata"]["name"] = "something-else"; write(json.dumps(data))',
    "nobody-asked": b'target["requested"] = False; write(json.dumps(data))',
    "a-distribution-that-is-not": b"items.append(" + ITEM + b"); write(json.dumps(data))",
}
#: Forgeries that leave a report that is well-formed.
CONTRADICTIONS: Final = (
    "another-hash",
    "another-version",
    "another-name",
    "nobody-asked",
    "a-distribution-that-is-not",
)


class RenamedProject(Project):
    """A project whose file is listed as version 1.0, whatever its metadata says."""

    @property
    def filename(self) -> str:
        """Its filename."""
        return super().filename.replace(self.version, "1.0")


def forging(name: str, program: bytes, **spec: object) -> Project:
    """Return an sdist that runs a program when it is built."""
    files = {"before_build.py": AT_BUILD + b"    " + program + b"\n", f"src/{name.replace('-', '_')}.py": FINE}
    return Project(name=name, kind="sdist", files=files, backend=PATIENT_BACKEND, **spec)  # type: ignore[arg-type]


def adding(name: str, files: Mapping[str, bytes]) -> Project:
    """Return a wheel that installs files of any name into site-packages."""
    stem = f"{name.replace('-', '_')}-1.0"
    added = {f"{stem}.data/purelib/{path}": content for path, content in files.items()}
    return Project(name=name, files={f"{name.replace('-', '_')}.py": FINE, **added})


def metadata(name: str) -> bytes:
    return f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\nImport-Name: json\n".encode()


@dataclass(frozen=True, slots=True, kw_only=True)
class Attack:
    """A victim with all that is installed with it, and the verdict that it has by itself."""

    projects: tuple[Project, ...]
    result: str
    cause: str | None = None
    blame: str | None = None
    detail: str = ""
    imports: tuple[str, ...] | None = None

    @property
    def victim(self) -> Project:
        return self.projects[0]


def tampered(name: str, source: bytes, files: Mapping[str, bytes], **verdict: object) -> Attack:
    """Return a victim with a dependency that adds files to site-packages."""
    module, dependency = name.replace("-", "_"), f"{name}-dependency"
    victim = Project(name=name, files={f"{module}.py": source}, requires=(dependency,))
    return Attack(projects=(victim, adding(dependency, files)), imports=(module,), **verdict)  # type: ignore[arg-type]


def _attacks() -> Iterator[tuple[str, Attack]]:
    own = {"result": "FAIL", "cause": "import-error", "detail": "its own fault"}
    two = "a dependency added another dist-info of it"
    yield (
        "a dependency's dist-info hides a failure",
        tampered("hidden", BROKEN, {"hidden-0.dist-info/RECORD": b"json/__init__.py,,\n"}, **own),
    )
    yield (
        "a dependency's dist-info causes a failure",
        tampered(
            "framed",
            FINE,
            {"framed-0.dist-info/RECORD": b"broken.py,,\n", "broken.py": BROKEN},
            result="PASS",
            detail=two,
        ),
    )
    yield (
        "a dependency's dist-info with the right metadata hides a failure",
        tampered(
            "hidden-well",
            BROKEN,
            {
                "Hidden_Well-0.dist-info/METADATA": metadata("hidden-well"),
                "Hidden_Well-0.dist-info/RECORD": b"json.py,,\n",
            },
            **own,
        ),
    )
    yield (
        "a dependency's dist-info of another name has the right metadata",
        tampered(
            "impersonated",
            BROKEN,
            {"aaa-0.dist-info/METADATA": metadata("impersonated"), "aaa-0.dist-info/RECORD": b"json/__init__.py,,\n"},
            **own,
        ),
    )
    yield (
        "a dependency adds a file to the dist-info itself",
        tampered(
            "hinted",
            FINE,
            {"hinted-1.0.dist-info/top_level.txt": b"broken\n", "broken.py": BROKEN},
            result="PASS",
            detail="a dependency changed its dist-info: top_level.txt",
        ),
    )
    for kind in ("wheel", "sdist"):
        files = {"mislabelled.py" if kind == "wheel" else "src/mislabelled.py": FINE}
        liar = RenamedProject(name=f"mislabelled-{kind}", version="2.0", kind=kind, files=files)
        yield (
            f"a {kind} of 1.0 with the metadata of 2.0",
            Attack(
                projects=(liar,), result="FAIL", cause="bad-metadata", blame="package", detail="2.0 by its metadata"
            ),
        )
    other = Project(name="misnamed", metadata_name="another-project", kind="sdist", files={"src/misnamed.py": FINE})
    yield (
        "an sdist with the metadata of another project",
        Attack(projects=(other,), result="FAIL", cause="bad-metadata", blame="package", detail="another-project 1.0"),
    )
    own_twice = {"doubled.py": FINE, "doubled-1.0.data/purelib/Doubled-1.0.dist-info/METADATA": metadata("doubled")}
    own_twice["doubled-1.0.data/purelib/Doubled-1.0.dist-info/METADATA"] = b"Name: doubled\nVersion: 1.0\n\n"
    yield (
        "two dist-infos of the same release",
        Attack(
            projects=(Project(name="doubled", files=own_twice),), result="FAIL", cause="bad-metadata", blame="package"
        ),
    )
    for name, program in FORGERIES.items():
        forged = name in CONTRADICTIONS
        by_metadata = name in {"another-version", "another-name"}
        yield (
            f"its build forges the report: {name}",
            Attack(
                projects=(forging(f"forges-{name}", program),),
                result="FAIL" if forged else "ERROR",
                cause="bad-metadata" if by_metadata else "forged-report" if forged else "sandbox",
                blame="package" if forged else "infrastructure",
            ),
        )
        dependency = forging(f"dep-{name}", program)
        yield (
            f"a dependency's build forges the report: {name}",
            Attack(
                projects=(module_project(f"dependent-{name}", "value = 1\n", requires=(dependency.name,)), dependency),
                result="FAIL" if forged else "ERROR",
                cause="forged-report" if forged else "sandbox",
                blame="dependency" if forged else "infrastructure",
            ),
        )


ATTACKS: Final = dict(_attacks())
MARKS: Final = [pytest.mark.online, pytest.mark.nginx]
ENVIRONMENTS: Final = [
    pytest.param(host_environment(), id="host", marks=[*MARKS, pytest.mark.sandbox]),
    pytest.param(SLIM, id=SLIM.id, marks=[*MARKS, pytest.mark.docker]),
]


@pytest.fixture(scope="module")
def observations(request: pytest.FixtureRequest, pinned_pip: FetchedPip) -> Iterator[Mapping[str, Observation]]:
    """What is observed of each victim in an environment."""
    environment: Environment = request.param
    with ExitStack() as stack:
        # Paths of sockets are limited, and containers read the files as another user.
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="ppp-v-")))
        folder.chmod(0o755)
        index = stack.enter_context(LocalIndex())
        index.add(*(project for attack in ATTACKS.values() for project in attack.projects))
        simple = SimpleIndex(index.url, cache=folder / "files", user_agent="the-pypi-place/tests")
        gateway = stack.enter_context(run_gateway(simple, cache=folder / "gateway", environ=os.environ))
        matrix = tiny_matrix(environment)
        runtime = stack.enter_context(
            open_runtime(
                environment,
                pip=pinned_pip.folder,
                folder=folder,
                index_url=index.url,
                gateway=gateway,
                matrix=matrix,
            )
        )
        checker = Checker(
            index=simple,
            runtime=runtime,
            matrix=matrix,
            node=KEY.id,
            clock=lambda: 1_714_003_200,
            gateway_lists=gateway.lists,
        )
        prepared = runtime.prepare(environment)

        def check(attack: Attack) -> Observation:
            release = Release.parse(attack.victim.name, "1.0")
            return checker.check(Cell(release=release, environment=environment.id), prepared)

        with ThreadPoolExecutor(2) as pool:
            yield dict(zip(ATTACKS, pool.map(check, ATTACKS.values()), strict=True))


@pytest.mark.attack("own-verdict")
@pytest.mark.parametrize("observations", ENVIRONMENTS, indirect=True)
@pytest.mark.parametrize("name", ATTACKS)
def test_the_verdict_is_the_packages_own(observations: Mapping[str, Observation], name: str) -> None:
    attack, observation = ATTACKS[name], observations[name]
    record = assert_peers_accept(observation)
    output = f"{record}\n{observation.log}"
    assert (record.result, record.cause) == (attack.result, attack.cause), output
    assert attack.blame in {None, record.blame}, output
    assert attack.detail in (record.detail or ""), output
    if attack.imports is not None:
        assert record.imports == attack.imports, output
