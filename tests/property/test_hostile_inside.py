"""Whatever runs inside a cell and whatever it writes: the cell becomes a record that every peer accepts."""

import json
from pathlib import Path
from typing import Final

import pytest
from fake_runtime import MARKERS, ScriptedCommand
from hostile_inside import (
    CELL,
    FOLDER,
    HostileScript,
    assert_peers_accept,
    check_hostile,
    hostile_scripts,
    inside_files,
)
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ppp.check.sandbox.inside.inspection import inspect
from ppp.model.record import Blame, Phase, Result

HOSTS: Final = st.sampled_from(
    [frozenset[str](), frozenset({"a.b"}), frozenset({"a", "1"}), frozenset({"index.internal"})]
)
TMP_PATH: Final = settings(
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow, HealthCheck.data_too_large]
)

pytestmark = [pytest.mark.attack("valid-records"), pytest.mark.fuzz]


@pytest.mark.fuzz
@TMP_PATH
@given(script=hostile_scripts, is_wheel=st.booleans(), hosts=HOSTS)
def test_any_output_of_a_cell_gives_a_valid_record(
    tmp_path: Path, script: HostileScript, hosts: frozenset[str], *, is_wheel: bool
) -> None:
    record = assert_peers_accept(check_hostile(tmp_path, script, is_wheel=is_wheel, hosts=hosts))
    assert (record.release, record.environment) == (CELL.release, CELL.environment)
    assert (record.cause is None) == (record.blame is None) == (record.result is Result.PASS)
    assert (record.blame is Blame.INFRASTRUCTURE) == (record.result is Result.ERROR) or record.result is Result.FAIL


@pytest.mark.fuzz
@TMP_PATH
@given(files=inside_files, is_wheel=st.booleans())
def test_any_files_of_an_installation_give_a_valid_record(
    tmp_path: Path, files: dict[str, bytes], *, is_wheel: bool
) -> None:
    scratch, info = tmp_path / "scratch", tmp_path / "site" / FOLDER
    scratch.mkdir(exist_ok=True)
    info.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        (scratch / name if name == "report.json" else info / name).write_bytes(content)
    try:
        found = inspect(str(scratch), str(info.parent), CELL.release.package, None, MARKERS)
        output = json.dumps(found).encode()
    # In the sandbox this ends the process, and its output is a traceback.
    except Exception as error:  # noqa: BLE001 - whatever it is
        output = f"Traceback (most recent call last):\n{error!r}\n".encode("utf-8", "replace")
    proved = ScriptedCommand(import_proved=True)
    script = HostileScript(by_step={"prove": proved}, inspections=[output])
    record = assert_peers_accept(check_hostile(tmp_path, script, is_wheel=is_wheel, hosts=frozenset()))
    # Nothing that is installed under another name or version passes.
    if record.result is Result.PASS:
        ((name, version, _),) = json.loads(output)["requested"]
        assert (name.lower(), version.strip()) == ("example.lib", "2.1.0")
    assert record.outcome(Phase.DOWNLOAD) == "PASS"
