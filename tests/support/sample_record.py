"""A minimal valid record for tests to vary where fixtures are not available, as in strategies of hypothesis."""

from ppp.model.record import Network, Record, Result, outcomes_in_order
from ppp.model.release import Release

SAMPLE_RECORD = Record(
    release=Release(package="six", version="1.0"),
    environment="py312-slim",
    result=Result.PASS,
    outcomes=outcomes_in_order({}),
    observed_at=0,
    node="ab" * 32,
    arch="x86_64",
    python="3.12.1",
    image_digest=None,
    standin=False,
    network=Network.GATEWAY,
    pip_version="26.0.1",
    file=None,
    imports=(),
    installed=(),
    duration_ms={},
    cause=None,
    blame=None,
    detail=None,
    log_sha256=None,
)
