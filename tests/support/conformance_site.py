"""A site whose index has everything that a client may do wrong: hand-made wheels, the same bytes each time.

`WANTED` is what a client is asked to install from it, and `INSTALLED` what must then be there. The site is made by the
program: records in a ledger, what an upstream index says of the files, `ppp publish --mirror`.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from local_index import LocalIndex
from program import Program, new_program
from projects import Project, module_project

from ppp.index_files.file import IndexedFile
from ppp.index_files.store import open_index_files
from ppp.ledger.store import Store
from ppp.model.canonical import sha256_hex
from ppp.model.record import DistributionFile, Installed, Record

ENVIRONMENT: Final = "py311-slim"
DAY: Final = 1_714_003_200  # 2024-04-25
UPLOADED: Final = datetime(2024, 1, 1, tzinfo=UTC)
HOSTILE: Final = "</a><a href=https://evil.example/x-9-py3-none-any.whl>x</a>\"'&<script>alert(1)</script>"
RecordBuilder = Callable[..., Record]


@dataclass(frozen=True, slots=True, kw_only=True)
class SiteRelease:
    """A release of the site: its wheel, what the index says of it, its result, and what it was installed with."""

    project: Project
    result: str = "PASS"
    yanked: str | None = None
    installed_with: Sequence[str] = ()

    @property
    def sha256(self) -> str:
        """The hash of its wheel."""
        return sha256_hex(self.project.build())


def _release(name: str, version: str = "1.0", *, result: str = "PASS", **spec: object) -> SiteRelease:
    known = {key: spec.pop(key) for key in ("yanked", "installed_with") if key in spec}
    module = f"{name.replace('-', '_').replace('.', '_')}"
    project = replace(module_project(module, f"NAME = {name!r}\n", version=version, **spec), name=name)
    return SiteRelease(project=project, result=result, **known)  # type: ignore[arg-type]


RELEASES: Final = (
    _release(
        "app",
        requires=(
            "lib>=1",
            'new-only; python_version >= "3"',
            'old-only; python_version < "3"',
            'extra-only; extra == "fancy"',
        ),
        metadata=("Provides-Extra: fancy",),
        installed_with=("lib", "new-only"),
    ),
    _release("lib"),
    _release("new-only"),
    _release("old-only"),
    _release("extra-only"),
    _release("python-bound", requires_python=">=3.8"),
    _release("python-bound", "2.0", requires_python=">=3.99"),
    _release("withdrawn"),
    _release("withdrawn", "2.0", yanked=HOSTILE),
    _release("dotted.name"),
    _release("local-version", "1.0+local.1"),
    _release("other-platform"),
    _release("other-platform", "2.0", tag="py3-none-win_amd64"),
    _release("failing"),
    _release("failing", "2.0", result="FAIL"),
)
#: In the index there is a newer version of it, whose wheel is for another platform.
OTHER_PLATFORM: Final = "other-platform"
WANTED: Final = ("app[fancy]", "python-bound", "withdrawn", "dotted.name", "local-version", "failing", OTHER_PLATFORM)
#: The wheels that are installed then, by the names that their METADATA has.
INSTALLED: Final = {
    "app": "app-1.0-py3-none-any.whl",
    "lib": "lib-1.0-py3-none-any.whl",
    "new-only": "new_only-1.0-py3-none-any.whl",
    "extra-only": "extra_only-1.0-py3-none-any.whl",
    "python-bound": "python_bound-1.0-py3-none-any.whl",
    "withdrawn": "withdrawn-1.0-py3-none-any.whl",
    "dotted.name": "dotted.name-1.0-py3-none-any.whl",
    "local-version": "local_version-1.0+local.1-py3-none-any.whl",
    "failing": "failing-1.0-py3-none-any.whl",
    OTHER_PLATFORM: "other_platform-1.0-py3-none-any.whl",
}


def fill_ledger(store: Store, record: RecordBuilder, releases: Sequence[SiteRelease] = RELEASES) -> None:
    """Add a record of each release."""
    for number, release in enumerate(releases):
        store.add_record(record_of(release, record, observed_at=DAY + number))


def record_of(release: SiteRelease, record: RecordBuilder, **changes: object) -> Record:
    """Return the record of a release."""
    project = release.project
    content = project.build()
    file = DistributionFile(filename=project.filename, sha256=sha256_hex(content), size=len(content))
    names = (project.name, *release.installed_with)
    installed = tuple(Installed(name=name, version="1.0", sha256=None) for name in names)
    failed = {"cause": "import-error"} if release.result == "FAIL" else {}
    values = {"file": file, "installed": installed, "result": release.result, **failed}
    name = project.name.replace(".", "-")
    return record(name, project.version, ENVIRONMENT, **{**values, **changes})


def upload(index: LocalIndex, data: Path, releases: Sequence[SiteRelease] = RELEASES) -> None:
    """Add the wheels to an index, and store in a data folder what it says of them."""
    for release in releases:
        index.add_file(release.project.name, release.project.filename, release.project.build())
    with open_index_files(data) as index_files:
        index_files.add(indexed(release, index) for release in releases)


def indexed(release: SiteRelease, index: LocalIndex) -> IndexedFile:
    """Return what the index says of a release's wheel."""
    project, content = release.project, release.project.build()
    file = IndexedFile.checked(
        sha256=sha256_hex(content),
        project=project.name,
        version=project.version,
        filename=project.filename,
        url=index.url_of(f"/files/{project.name}/{project.filename}"),
        seen_at=DAY,
        size=len(content),
        upload_time=UPLOADED,
        requires_python=project.requires_python,
        yanked=release.yanked,
        metadata_sha256=sha256_hex(project._headers()),
    )
    assert file is not None
    return file


@contextmanager
def mirrored_site(folder: Path, record: RecordBuilder) -> Iterator[Program]:
    """Yield a program whose public folder has the site and copies of all files; the upstream is gone by then."""
    with LocalIndex() as index, new_program(folder, index) as program:
        with Store.open(program.data) as store:
            fill_ledger(store, record)
        upload(index, program.data)
        program.run_ok("publish", "--mirror")
    yield program
