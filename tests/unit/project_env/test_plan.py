"""What is kept, installed and removed: for any environment, whatever is in it."""

from hypothesis import given
from hypothesis import strategies as st

from ppp.project_env.locked import LockedWheel
from ppp.project_env.plan import InstalledDistribution, Origin, describe_plan, make_plan

NAMES = st.sampled_from(["a", "b", "c", "d"])
VERSIONS = st.sampled_from(["1", "2"])
HASHES = st.sampled_from(["11", "22"])


def wheel(name: str, version: str, sha256: str) -> LockedWheel:
    filename = f"{name}-{version}-py3-none-any.whl"
    return LockedWheel(
        name=name, version=version, filename=filename, url=f"https://files.example/{filename}", sha256=sha256, size=1
    )


LOCKS = st.dictionaries(NAMES, st.tuples(VERSIONS, HASHES)).map(
    lambda rows: [wheel(name, *row) for name, row in sorted(rows.items())]
)
INSTALLED = st.lists(st.builds(InstalledDistribution, name=NAMES, version=VERSIONS, record_sha256=HASHES))
ORIGINS = st.dictionaries(NAMES, st.builds(Origin, file_sha256=HASHES, record_sha256=HASHES))


@given(wheels=LOCKS, installed=INSTALLED, origins=ORIGINS)
def test_what_was_planned_results_in_the_lock(
    wheels: list[LockedWheel], installed: list[InstalledDistribution], origins: dict[str, Origin]
) -> None:
    plan = make_plan(wheels, installed, origins)
    left = [(one.name, one.version) for one in installed if one.name not in plan.remove]
    after = sorted([*left, *((each.name, each.version) for each in plan.install)])
    assert after == [(each.name, each.version) for each in wheels]


@given(wheels=LOCKS, installed=INSTALLED, origins=ORIGINS)
def test_nothing_is_kept_whose_file_is_not_the_locked_one(
    wheels: list[LockedWheel], installed: list[InstalledDistribution], origins: dict[str, Origin]
) -> None:
    plan = make_plan(wheels, installed, origins)
    replaced = {each.name for each in plan.install}
    for each in wheels:
        if each.name not in replaced:
            assert origins[each.name].file_sha256 == each.sha256


@given(wheels=LOCKS)
def test_what_is_as_locked_needs_nothing(wheels: list[LockedWheel]) -> None:
    installed = [InstalledDistribution(name=w.name, version=w.version, record_sha256="33") for w in wheels]
    origins = {w.name: Origin(file_sha256=w.sha256, record_sha256="33") for w in wheels}
    assert make_plan(wheels, installed, origins).is_empty


def test_a_distribution_without_a_list_of_files_makes_the_environment_anew() -> None:
    installed = [InstalledDistribution(name="b", version="1", record_sha256=None)]
    plan = make_plan([wheel("a", "1", "11")], installed, {})
    assert describe_plan(plan) == "b cannot be removed, as its list of files is missing; install a 1"
