"""What a joint cell is made of: the requirements that apply, one for each package, and the view of what is proven."""

import pytest
from cell_environments import ALPINE, SLIM
from hypothesis import given
from hypothesis import strategies as st
from packaging.requirements import Requirement

from ppp.ledger.passes import PassedFile
from ppp.runner.declared import parse_metadata
from ppp.runner.joint_cells import JointRequest, ProvenFiles, by_package
from ppp.watch.joint_requirements import parse_joint_requirement, parse_joint_requirements

FILES = [
    PassedFile("lib", "1" * 64, "1.0", "a" * 64, ("lib",)),
    PassedFile("lib", "2" * 64, "2.0", "b" * 64, ("lib.new",)),
    PassedFile("other", "3" * 64, "1.0", "c" * 64, ()),
]
PROVEN = ProvenFiles(files={(file.package, file.sha256): file for file in FILES})


def test_the_view_has_what_is_proven_and_nothing_else() -> None:
    view = PROVEN.view
    assert view.admits("lib", sha256="2" * 64, uploaded_at=None)
    assert not view.admits("lib", sha256="3" * 64, uploaded_at=None), "it is another project's"
    assert not view.admits("lib", sha256=None, uploaded_at=None)
    assert not view.admits("never-checked", sha256="1" * 64, uploaded_at=None)
    assert PROVEN.modules("lib", "2" * 64) == ("lib.new",)


@pytest.mark.parametrize(
    ("marker", "facts", "applies"),
    [
        ("python_version < '3.12'", {}, {"py311-alpine"}),
        ("sys_platform == 'win32'", {}, set()),
        ("platform_machine == 'x86_64'", {}, set()),
        ("platform_machine == 'x86_64'", {"platform_machine": "x86_64"}, {"py311-alpine", "py312-slim"}),
    ],
)
def test_a_requirement_applies_by_its_marker_once_that_is_known(
    marker: str, facts: dict[str, str], applies: set[str]
) -> None:
    wanted = parse_joint_requirements([f"lib; {marker}"])
    requests = [JointRequest(environment=each, requirements=wanted, proven=PROVEN) for each in (SLIM, ALPINE)]
    assert {request.environment.id for request in requests if request.applying(facts)} == applies


def test_what_is_said_twice_of_a_package_is_one_requirement() -> None:
    wanted = parse_joint_requirements(["Lib[b]>=1", "lib[a]<2", "other", "lib>=1"])
    assert by_package(wanted) == {"lib": "lib[a,b]<2,>=1", "other": "other"}


@given(texts=st.lists(st.sampled_from(["lib", "lib>=1", "lib[x]", "lib[y]<2", "lib!=1.5", "other==1"]), min_size=1))
def test_one_requirement_admits_what_all_admit(texts: list[str]) -> None:
    found = by_package([parse_joint_requirement(text) for text in texts])
    for package, text in found.items():
        said = [Requirement(each) for each in texts if Requirement(each).name == package]
        requirement = Requirement(text)
        assert requirement.extras == {extra for each in said for extra in each.extras}
        for version in ("0.9", "1", "1.5", "1.7", "2"):
            assert (version in requirement.specifier) == all(version in each.specifier for each in said)


def test_metadata_is_read_by_its_headers() -> None:
    content = (
        b"Metadata-Version: 2.1\nName: Lib\nVersion: 1.0\nRequires-Python: >=3.9\nProvides-Extra: fast\n"
        b"Requires-Dist: other;\n  extra == 'fast'\nRequires-Dist: more\n\nRequires-Dist: not a header\n"
    )
    found = parse_metadata(content)
    assert (found.name, found.version, found.requires_python, found.extras) == ("Lib", "1.0", ">=3.9", ("fast",))
    assert found.requires_dist == ("other; extra == 'fast'", "more")
    assert parse_metadata(b"\xff\x00").requires_dist == ()
