"""Which failures of a run are examined for drift; what they show is a matter of `ppp.check.drift`."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from cell_environments import SLIM, tiny_matrix
from fake_runtime import prepared_environment
from local_index import LocalIndex
from projects import module_project

from ppp.check.cell import Observation
from ppp.check.index.client import SimpleIndex
from ppp.model.canonical import sha256_hex
from ppp.model.drift import DriftLimits
from ppp.model.record import DistributionFile, Network, Record
from ppp.runner.drift import DriftExaminer
from ppp.runner.environments import ReadyEnvironments

APP = module_project("app", "", version="1.0")


class WasRunError(Exception):
    """A cell was about to be run again."""


@pytest.fixture
def ready(tmp_path: Path) -> Iterator[ReadyEnvironments]:
    """An environment behind a gateway, and an index that says when the release came."""
    with LocalIndex(json_pages=True) as local:
        local.add_file(APP.name, APP.filename, APP.build(), uploaded="2020-01-01T00:00:00Z")
        matrix = tiny_matrix(SLIM)
        yield ReadyEnvironments(
            index=SimpleIndex(local.url, cache=tmp_path, user_agent="the-pypi-place/tests"),
            matrix=matrix,
            runtimes={},
            prepared={SLIM.id: replace(prepared_environment(SLIM), network=Network.GATEWAY)},
            unavailable={},
            drift_limits=DriftLimits(),
        )


def refuse() -> float:
    raise WasRunError


@pytest.fixture
def failed(record: Callable[..., Record]) -> Observation:
    built = APP.build()
    file = DistributionFile(filename=APP.filename, sha256=sha256_hex(built), size=len(built))
    return Observation(record=record("app", "1.0", SLIM.id, result="FAIL", file=file), log=None)


def test_a_failure_of_an_old_release_is_examined(ready: ReadyEnvironments, failed: Observation) -> None:
    with pytest.raises(WasRunError):
        DriftExaminer(ready=ready, clock=refuse).examine(failed)


@pytest.mark.parametrize("limits", [None, DriftLimits(cells=0)])
def test_nothing_is_examined_beyond_the_limit(
    ready: ReadyEnvironments, failed: Observation, limits: DriftLimits | None
) -> None:
    examiner = DriftExaminer(ready=replace(ready, drift_limits=limits), clock=refuse)
    assert examiner.examine(failed) is failed


def test_what_has_the_open_network_or_an_unknown_file_is_not_examined(
    ready: ReadyEnvironments, failed: Observation
) -> None:
    prepared = {id_: replace(one, network=Network.OPEN) for id_, one in ready.prepared.items()}
    assert DriftExaminer(ready=replace(ready, prepared=prepared), clock=refuse).examine(failed) is failed
    assert failed.record.file
    unlisted = replace(failed.record, file=replace(failed.record.file, sha256="0" * 64))
    other = Observation(record=unlisted, log=None)
    assert DriftExaminer(ready=ready, clock=refuse).examine(other) is other
