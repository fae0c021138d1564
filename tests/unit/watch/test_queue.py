"""Which cells are queued, settled or skipped."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ppp.matrix_files import load_matrix
from ppp.model.matrix import Cell, Environment, Platform
from ppp.model.release import Release
from ppp.resources import resource
from ppp.watch.queue import UNSANDBOXED, QueuePlan, ReleaseSource, SkippedRelease, SkipReason, plan_cells

SIX = Release(package="six", version="1.17.0")
IDNA = Release(package="idna", version="3.7")
SLIM = Environment(id="py312-slim", python="3.12", platform=Platform.SLIM, image="python:3.12-slim")
ALPINE = Environment(id="py312-alpine", python="3.12", platform=Platform.ALPINE, image="python:3.12-alpine")
HOST = Environment(id="py312-host", python="3.12", platform=Platform.HOST)
HOST_OLD = Environment(id="py39-host", python="3.9", platform=Platform.HOST)


def cell(release: Release, environment: Environment) -> Cell:
    return Cell(release=release, environment=environment.id)


def test_the_cells_of_a_release_stay_together_in_order() -> None:
    made = plan_cells(
        [SIX, IDNA, SIX], [SLIM, ALPINE], settled=set(), recheck=False, source=ReleaseSource.FEED, sandboxed=False
    )
    cells = (cell(SIX, SLIM), cell(SIX, ALPINE), cell(IDNA, SLIM), cell(IDNA, ALPINE))
    assert made == QueuePlan(cells=cells, settled=(), skipped=())


def test_a_settled_cell_is_skipped_unless_rechecked() -> None:
    settled = {cell(SIX, SLIM), cell(Release(package="six", version="1.16.0"), ALPINE)}
    made = plan_cells(
        [SIX], [SLIM, ALPINE], settled=settled, recheck=False, source=ReleaseSource.NAMED, sandboxed=False
    )
    assert made == QueuePlan(cells=(cell(SIX, ALPINE),), settled=(cell(SIX, SLIM),), skipped=())
    made = plan_cells([SIX], [SLIM, ALPINE], settled=settled, recheck=True, source=ReleaseSource.NAMED, sandboxed=False)
    assert made == QueuePlan(cells=(cell(SIX, SLIM), cell(SIX, ALPINE)), settled=(), skipped=())


@pytest.mark.attack("only-gateway")
def test_the_open_feed_is_not_run_on_a_host_without_sandbox() -> None:
    made = plan_cells([SIX], [HOST_OLD, HOST], settled=set(), recheck=True, source=ReleaseSource.FEED, sandboxed=False)
    assert made == QueuePlan(
        cells=(),
        settled=(),
        skipped=(SkippedRelease(release=SIX, environment="", reason=SkipReason.UNSANDBOXED, detail=UNSANDBOXED),),
    )


@pytest.mark.attack("only-gateway")
def test_only_the_host_platform_is_refused() -> None:
    made = plan_cells(
        [SIX], [SLIM, HOST], settled={cell(SIX, HOST)}, recheck=False, source=ReleaseSource.FEED, sandboxed=False
    )
    refused = (
        SkippedRelease(release=SIX, environment="py312-host", reason=SkipReason.UNSANDBOXED, detail=UNSANDBOXED),
    )
    assert made == QueuePlan(cells=(cell(SIX, SLIM),), settled=(), skipped=refused)


def test_a_sandbox_or_a_named_package_is_allowed() -> None:
    made = plan_cells([SIX], [HOST], settled=set(), recheck=False, source=ReleaseSource.FEED, sandboxed=True)
    assert made.cells == (cell(SIX, HOST),)
    for source in (source for source in ReleaseSource if source.is_trusted):
        assert plan_cells([SIX], [HOST], settled=set(), recheck=False, source=source, sandboxed=False) == made


def test_an_empty_request_gives_an_empty_plan() -> None:
    nothing = QueuePlan(cells=(), settled=(), skipped=())
    assert plan_cells([], [SLIM], settled=set(), recheck=False, source=ReleaseSource.FEED, sandboxed=False) == nothing
    assert plan_cells([SIX], [], settled=set(), recheck=False, source=ReleaseSource.FEED, sandboxed=False) == nothing


ENVIRONMENTS = [*load_matrix(resource("matrices/default.toml")).environments, HOST_OLD, HOST]
RELEASES = [Release(package=p, version=v) for p in ("six", "idna") for v in ("1.0", "2.0")]


@given(
    releases=st.lists(st.sampled_from(RELEASES)),
    environments=st.lists(st.sampled_from(ENVIRONMENTS), unique=True),
    settled=st.sets(st.builds(cell, st.sampled_from(RELEASES), st.sampled_from(ENVIRONMENTS))),
    again=st.booleans(),
    source=st.sampled_from(ReleaseSource),
    sandboxed=st.booleans(),
)
def test_the_three_parts_add_up_to_all_requested_cells(
    *,
    releases: list[Release],
    environments: list[Environment],
    settled: set[Cell],
    again: bool,
    source: ReleaseSource,
    sandboxed: bool,
) -> None:
    made = plan_cells(releases, environments, settled=settled, recheck=again, source=source, sandboxed=sandboxed)
    refused = [
        Cell(release=skip.release, environment=id_)
        for skip in made.skipped
        for id_ in ([skip.environment] if skip.environment else [e.id for e in environments])
    ]
    parts = [*made.cells, *made.settled, *refused]
    assert len(parts) == len(set(parts))
    assert set(parts) == {cell(r, e) for r in releases for e in environments}
    assert set(made.settled) <= settled
    assert again or not set(made.cells) & settled
