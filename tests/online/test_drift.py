"""Real releases that dependencies broke, and the bounds that fix them, found by running them.

By default the quicker ones are examined, on one Python; `PPP_ONLINE=all` examines all.
"""

import os
from pathlib import Path
from typing import Final

import pytest
from online_set import check_cells, ready_environments

from ppp.check.cell import Observation
from ppp.model.matrix import Cell
from ppp.model.release import Release
from ppp.runner.drift import DriftExaminer

ENVIRONMENT: Final = "py39-slim"
#: The bounds that are to be found: later versions change nothing about them.
BOUNDS: Final = {
    Release(package="jinja2", version="2.11.3"): {"markupsafe<2.1.0"},
    Release(package="flask-uploads", version="0.2.1"): {"werkzeug<1.0.0", "markupsafe<2.1.0"},
    Release(package="flask-script", version="2.0.6"): {"flask<2.0.0", "markupsafe<2.1.0"},
    Release(package="pyepr", version="1.1.5"): {"numpy<2.0.0"},
}


@pytest.mark.online
@pytest.mark.docker
@pytest.mark.nginx
@pytest.mark.slow
def test_the_bound_that_fixes_a_release_is_found(tmp_path: Path) -> None:
    releases = [*BOUNDS] if os.environ.get("PPP_ONLINE") == "all" else [*BOUNDS][:1]
    cells = [Cell(release=release, environment=ENVIRONMENT) for release in releases]
    with ready_environments([ENVIRONMENT], tmp_path) as place:
        assert place.drift_limits
        examiner = DriftExaminer(ready=place)
        for cell, record in check_cells(place, cells).items():
            shown = examiner.examine(Observation(record=record, log=None)).record
            assert shown.drift, cell
            assert shown.drift.result_then == "PASS"
            assert {culprit.bound for culprit in shown.drift.culprits} == BOUNDS[cell.release]
            assert (shown.cause, str(shown.blame)) == ("dependency-drift", "dependency")
