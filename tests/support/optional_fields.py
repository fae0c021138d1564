"""A value for each optional field of a record."""

from typing import Any, Final

from ppp.model.drift import Culprit, Drift
from ppp.model.installed_files import RecordMismatch, SharedFile, SharedFiles
from ppp.model.on_index import OnIndex
from ppp.model.record import (
    BrokenEntryPoint,
    EntryPoints,
    ModuleFailure,
    Outcome,
    Preinstalled,
    Submodules,
)
from ppp.model.trigger import Trigger, TriggerKind

#: Every optional field with something to say.
OPTIONAL: Final[dict[str, Any]] = {
    "preinstalled": (Preinstalled(name="pip", version="24.0"),),
    "relies_on": ("setuptools",),
    "primary_module": "example_lib",
    "import_failures": (ModuleFailure(module="extra", outcome=Outcome.FAIL, cause="module-missing", detail="no yaml"),),
    "submodules": Submodules(
        tried=2,
        left_out=1,
        failed=(ModuleFailure(module="example_lib.c", outcome=Outcome.TIMEOUT, cause="timeout", detail=None),),
    ),
    "entry_points": EntryPoints(
        tried=1, broken=(BrokenEntryPoint(group="console_scripts", name="x", value="a:b", detail="no a"),)
    ),
    "record_mismatch": RecordMismatch(missing=1, unlisted=0, different=0, examples=("a.py",)),
    "yanked": "broken",
    "project_status": "archived",
    "triggered_by": Trigger(kind=TriggerKind.DEPENDENCY, name="numpy", version="2.0.0"),
    "on_index": OnIndex(newest="2.1.0", versions=12),
    "drift": Drift(
        as_of=1_612_137_600,
        result_then="PASS",
        runs=7,
        culprits=(Culprit(name="markupsafe", works_with="2.0.1", fails_with="2.1.0"),),
    ),
    "shared_files": SharedFiles(
        conflicts=1,
        equal=1,
        files=(
            SharedFile(path="conftest.py", owners=("left", "right"), equal=False, kept="right"),
            SharedFile(path="tests/__init__.py", owners=("left", "right"), equal=True, kept=None),
        ),
    ),
}
