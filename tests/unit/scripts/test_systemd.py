"""The units in scripts/systemd: they follow the schedule of the code, are valid, and as hardened as their page says."""

import re
import shutil
import subprocess
from pathlib import Path
from typing import Final

import pytest

from ppp.model.schedule import SCHEDULE, Step

ROOT: Final = Path(__file__).parents[3]
UNITS: Final = ROOT / "scripts" / "systemd"
SERVICES: Final = sorted(path.name for path in UNITS.glob("*.service"))
#: The version that measured what the page says, and what others must stay below ("medium" begins at 5).
MEASURED_WITH: Final = 252
MAX_EXPOSURE: Final = 3.0
#: The units that come with systemd, which ours depend on.
SYSTEM_UNITS: Final = Path("/lib/systemd/system")


def value(unit: str, name: str) -> str:
    (found,) = re.findall(rf"^{name}=(.*)$", (UNITS / unit).read_text("utf-8"), re.MULTILINE)
    return str(found)


@pytest.mark.parametrize("step", Step)
def test_a_timer_has_the_times_of_the_schedule(step: Step) -> None:
    times = [time for time in SCHEDULE if time.step is step]
    hours, minutes = {f"{time.hour:02}" for time in times}, {f"{time.minute:02}" for time in times}
    found = re.fullmatch(r"\*-\*-\* ([\d,]+):(\d\d):00 UTC", value(f"ppp-{step}.timer", "OnCalendar"))
    assert found
    assert {*found[1].split(",")} == hours
    assert {found[2]} == minutes
    assert value(f"ppp-{step}.timer", "Unit") == f"ppp-step@{step}.service"
    assert value(f"ppp-{step}.timer", "Persistent") == "true"


def test_there_is_a_timer_for_each_step_and_no_other() -> None:
    assert {path.name for path in UNITS.glob("*.timer")} == {f"ppp-{step}.timer" for step in Step}


@pytest.fixture(name="machine")
def _machine(tmp_path: Path) -> Path:
    """A root folder with systemd's units and ours, and the programs that ours begin."""
    shutil.copytree(SYSTEM_UNITS, tmp_path / "lib/systemd/system", symlinks=True)
    shutil.copytree(UNITS, tmp_path / "etc/systemd/system")
    for program in ("opt/ppp/bin/ppp", "usr/bin/flock"):
        (tmp_path / program).parent.mkdir(parents=True)
        shutil.copy("/bin/true", tmp_path / program)
    return tmp_path


def analyze(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(("systemd-analyze", *arguments), capture_output=True, text=True, timeout=60, check=False)


@pytest.mark.systemd
def test_the_units_are_valid(machine: Path) -> None:
    units = [*(f"ppp-{step}.timer" for step in Step), *(f"ppp-step@{step}.service" for step in Step)]
    units += [name for name in SERVICES if "@" not in name]
    done = analyze("verify", f"--root={machine}", *units)
    assert (done.returncode, done.stdout + done.stderr) == (0, "")


@pytest.mark.systemd
def test_a_mistake_in_a_unit_is_found(machine: Path) -> None:
    unit = machine / "etc/systemd/system" / "ppp-mesh.service"
    unit.write_text(unit.read_text("utf-8").replace("ExecStart=/opt/ppp/bin/ppp", "ExecStart=/opt/ppp/bin/absent"))
    assert "is not executable" in analyze("verify", f"--root={machine}", unit.name).stderr


@pytest.mark.systemd
@pytest.mark.parametrize("unit", SERVICES)
def test_the_exposure_of_a_unit_is_what_its_page_says(unit: str) -> None:
    found = re.search(
        r"exposure level for \S+: ([\d.]+)", analyze("security", "--offline=yes", str(UNITS / unit)).stdout
    )
    said = re.search(rf"^\| {re.escape(unit)} \| ([\d.]+) \|$", (ROOT / "docs/operations.md").read_text(), re.MULTILINE)
    assert found
    assert said
    if analyze("--version").stdout.startswith(f"systemd {MEASURED_WITH} "):
        assert found[1] == said[1]
    else:
        # Other versions weigh other settings.
        assert float(found[1]) < MAX_EXPOSURE
