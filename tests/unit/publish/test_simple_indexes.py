"""The simple indexes of a whole build: what they list, what leaves them, and what a build writes again."""

import json
import shutil
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from memory_store import open_store
from pypi_simple import IndexPage, ProjectPage

from ppp.index_files.file import IndexedFile
from ppp.index_files.store import open_index_files
from ppp.ledger.store import Store
from ppp.model.canonical import sha256_hex
from ppp.model.record import DistributionFile, Installed, Outcome, Record
from ppp.model.site_bound import SiteBound
from ppp.publish.build import BuildResult, build
from ppp.schemas import schema_errors

DAY = 1_714_003_200  # 2024-04-25
DAY_S = 86_400
RecordBuilder = Callable[..., Record]


def filename(package: str, version: str) -> str:
    return f"{package.replace('-', '_')}-{version}-py3-none-any.whl"


def passed(
    record: RecordBuilder, package: str, version: str, environment: str, *needs: tuple[str, str], **changes: object
) -> Record:
    name = filename(package, version)
    file = DistributionFile(filename=name, sha256=sha256_hex(name.encode()), size=1_000)
    installed = tuple(Installed(name=n, version=v, sha256=None) for n, v in [(package, version), *needs])
    return record(
        package, version, environment, **{"file": file, "installed": installed, "observed_at": DAY, **changes}
    )


def indexed(package: str, version: str, **changes: object) -> IndexedFile:
    name = filename(package, version)
    values = {
        "sha256": sha256_hex(name.encode()),
        "project": package,
        "version": version,
        "filename": name,
        "url": f"https://files.example/{name}",
        "seen_at": DAY,
        "size": 1_000,
        "upload_time": datetime(2024, 1, 1, tzinfo=UTC),
    }
    file = IndexedFile.checked(**{**values, **changes})  # type: ignore[arg-type]
    assert file is not None
    return file


def know(data: Path, *files: IndexedFile) -> None:
    """Store what the index says of files in a data folder."""
    with open_index_files(data) as index_files:
        index_files.add(files)


def fill(store: Store, record: RecordBuilder) -> None:
    """`app` needs `lib`, which passed on slim alone; app 2.0 failed on Alpine."""
    for environment in ("py312-slim", "py312-alpine"):
        store.add_record(passed(record, "app", "1.0", environment, ("lib", "1.0")))
    store.add_record(passed(record, "app", "2.0", "py312-slim", ("lib", "1.0")))
    store.add_record(passed(record, "app", "2.0", "py312-alpine", result="FAIL", cause="no-compiler"))
    store.add_record(passed(record, "lib", "1.0", "py312-slim"))


@pytest.fixture
def filled(store: Store, record: RecordBuilder) -> Store:
    fill(store, record)
    return store


def tree(root: Path) -> dict[str, bytes]:
    return {str(p.relative_to(root)): p.read_bytes() for p in sorted(root.rglob("*")) if p.is_file()}


def simple(root: Path) -> dict[str, bytes]:
    return {path: content for path, content in tree(root).items() if path.startswith("simple/")}


def listed(root: Path, index: str, project: str) -> list[str]:
    """Return the names of the files that an index lists, after both forms of the page were compared."""
    folder = root / "simple" / index / project
    if not folder.exists():
        return []
    html = ProjectPage.from_html(project, (folder / "index.html").read_bytes())
    document = json.loads((folder / "index.v1_json").read_text())
    assert schema_errors("site/schemas/simple.schema.json", document) == []
    in_json = ProjectPage.from_json_data(document)
    assert [p.filename for p in html.packages] == [p.filename for p in in_json.packages]
    return [p.filename for p in html.packages]


def projects(root: Path, index: str) -> list[str]:
    folder = root / "simple" / index
    if not folder.exists():
        return []
    found = IndexPage.from_html((folder / "index.html").read_bytes()).projects
    assert found == IndexPage.from_json_data(json.loads((folder / "index.v1_json").read_text())).projects
    return found


def is_open(root: Path, index: str, project: str) -> bool:
    return bool(json.loads((root / "simple" / index / project / "index.v1_json").read_text())["_ppp"]["open"])


def names(*releases: tuple[str, str]) -> list[str]:
    return [filename(*release) for release in releases]


class RebuiltSite:
    """A site that is built again and again, with a cache."""

    def __init__(self, store: Store, folder: Path) -> None:
        self.store, self.folder = store, folder
        self.root, self.data = folder / "public", folder / "index"

    def build(self, root: Path | None = None, **options: Any) -> BuildResult:
        cache = None if root else self.folder / "cache.db"
        return build(self.store.db, root or self.root, cache_path=cache, index_files=self.data, **options)

    def know(self, *files: IndexedFile) -> None:
        know(self.data, *files)

    def equals_one_from_scratch(self) -> bool:
        scratch = self.folder / "scratch"
        if (self.root / "mirror").exists():
            shutil.copytree(self.root / "mirror", scratch / "mirror")
        self.build(scratch)
        return simple(self.root) == simple(scratch)

    def rewritten(self) -> set[str]:
        return {path for path in self.build().written if path.startswith("simple/") and path.count("/") == 3}


@pytest.fixture(scope="module")
def built(record: RecordBuilder, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a site that was built once."""
    folder = tmp_path_factory.mktemp("built")
    know(folder / "index", *(indexed(*release) for release in (("app", "1.0"), ("app", "2.0"), ("lib", "1.0"))))
    know(folder / "index", indexed("lib", "1.1"))
    with open_store(folder / "data") as store:
        fill(store, record)
        RebuiltSite(store, folder).build()
    return folder


@pytest.fixture
def site(filled: Store, built: Path, tmp_path: Path) -> RebuiltSite:
    folder = tmp_path / "site"
    shutil.copytree(built, folder)
    return RebuiltSite(filled, folder)


def folders(paths: Iterable[str]) -> set[str]:
    return {path.rpartition("/")[0].removeprefix("simple/") for path in paths}


def test_an_index_lists_exactly_what_passed_there(site: RebuiltSite) -> None:
    site.build()
    assert listed(site.root, "py312-slim", "app") == names(("app", "1.0"), ("app", "2.0"))
    assert listed(site.root, "py312-alpine", "app") == names(("app", "1.0"))
    assert projects(site.root, "py312-slim") == ["app", "lib"]
    assert projects(site.root, "py312-alpine") == ["app"]
    assert not is_open(site.root, "py312-slim", "app")
    assert is_open(site.root, "py312-alpine", "app")
    assert site.build().written == ()


def test_a_failure_takes_exactly_that_file_out_of_that_index(site: RebuiltSite, record: RecordBuilder) -> None:
    site.build()
    before = simple(site.root)
    site.store.add_record(
        passed(record, "app", "2.0", "py312-slim", result="FAIL", cause="no-compiler", observed_at=DAY + 60)
    )
    assert folders(site.rewritten()) == {"py312-slim/app", "py312-slim-cooldown/app"}
    assert listed(site.root, "py312-slim", "app") == names(("app", "1.0"))
    assert listed(site.root, "py312-slim-cooldown", "app") == names(("app", "1.0"))
    after = simple(site.root)
    other = {path for path in before | after if "slim/app/" not in path and "slim-cooldown/app/" not in path}
    # The page about all indexes counts files.
    assert {path for path in other if before.get(path) != after.get(path)} == {"simple/index.html"}
    assert site.equals_one_from_scratch()


def test_the_last_file_to_leave_takes_its_project_along(site: RebuiltSite, record: RecordBuilder) -> None:
    site.build()
    site.store.add_record(
        passed(record, "app", "1.0", "py312-alpine", result="FAIL", cause="no-compiler", observed_at=DAY + 60)
    )
    result = site.build()
    assert {"simple/py312-alpine/app/index.html", "simple/py312-alpine/app/index.v1_json"} <= {*result.removed}
    assert projects(site.root, "py312-alpine") == []
    assert site.equals_one_from_scratch()


def test_an_error_of_ours_takes_nothing_out(site: RebuiltSite, record: RecordBuilder) -> None:
    site.build()
    site.store.add_record(
        passed(record, "app", "2.0", "py312-slim", result="ERROR", cause="network", observed_at=DAY + 60)
    )
    assert site.rewritten() == set()


def test_a_dependency_that_passes_closes_its_dependents(site: RebuiltSite, record: RecordBuilder) -> None:
    site.build()
    site.store.add_record(passed(record, "lib", "1.0", "py312-alpine", observed_at=DAY + 60))
    assert folders(site.rewritten()) == {
        "py312-alpine/app",
        "py312-alpine/lib",
        "py312-alpine-cooldown/app",
        "py312-alpine-cooldown/lib",
    }
    assert site.equals_one_from_scratch()
    assert not is_open(site.root, "py312-alpine", "app")


def test_a_file_of_unknown_address_is_left_out_and_counted(site: RebuiltSite, record: RecordBuilder) -> None:
    site.store.add_record(passed(record, "app", "3.0", "py312-slim", observed_at=DAY + 60))
    site.build()
    assert filename("app", "3.0") not in listed(site.root, "py312-slim", "app")
    page = (site.root / "simple/index.html").read_text()
    assert "1 file that passed is not listed, because nobody here knows their address" in page
    site.know(indexed("app", "3.0", seen_at=DAY + 90))
    assert folders(site.rewritten()) == {"py312-slim/app", "py312-slim-cooldown/app"}
    assert filename("app", "3.0") in listed(site.root, "py312-slim", "app")
    assert "is not listed" not in (site.root / "simple/index.html").read_text()


@pytest.mark.parametrize("other", ["lib-9-py3-none-any.whl", "app-9-py3-none-any.whl"])
def test_a_file_that_the_index_lists_by_another_name_is_left_out(filled: Store, tmp_path: Path, other: str) -> None:
    named = indexed("app", "1.0", filename=other, url=f"https://files.example/{other}")
    know(tmp_path, named, indexed("app", "2.0"))
    build(filled.db, tmp_path / "public", index_files=tmp_path)
    assert listed(tmp_path / "public", "py312-slim", "app") == names(("app", "2.0"))


def test_a_yank_is_propagated_and_takes_the_file_out_of_the_cooldown(site: RebuiltSite) -> None:
    site.build()
    site.know(indexed("app", "2.0", yanked="broken <b>", seen_at=DAY + 60))
    assert folders(site.rewritten()) == {"py312-slim/app", "py312-slim-cooldown/app"}
    page = ProjectPage.from_html("app", (site.root / "simple/py312-slim/app/index.html").read_bytes())
    assert [(p.is_yanked, p.yanked_reason) for p in page.packages] == [(False, None), (True, "broken <b>")]
    assert listed(site.root, "py312-slim-cooldown", "app") == names(("app", "1.0"))


def test_a_yank_that_a_record_saw_is_propagated(site: RebuiltSite, record: RecordBuilder) -> None:
    seen = passed(record, "app", "2.0", "py312-slim", ("lib", "1.0"), yanked="broken", observed_at=DAY + 60)
    site.store.add_record(seen)
    site.build()
    (_, row) = json.loads((site.root / "simple/py312-slim/app/index.v1_json").read_text())["files"]
    assert row["yanked"] == "broken"
    assert site.equals_one_from_scratch()


def test_a_yank_of_a_dependency_opens_nothing_that_pins_it(site: RebuiltSite) -> None:
    site.build()
    site.know(indexed("lib", "1.0", yanked="", seen_at=DAY + 60))
    site.build()
    assert not is_open(site.root, "py312-slim", "app")
    # With a cooldown, it is withdrawn.
    assert is_open(site.root, "py312-slim-cooldown", "app")
    assert site.equals_one_from_scratch()


def test_a_quarantined_project_is_in_no_index(site: RebuiltSite, record: RecordBuilder) -> None:
    site.build()
    withdrawn = {"result": "NA", "cause": "withdrawn", "file": None, "project_status": "quarantined"}
    site.store.add_record(passed(record, "app", "2.0", "py312-slim", observed_at=DAY + 60, **withdrawn))
    site.build()
    assert [projects(site.root, index) for index in ("py312-slim", "py312-alpine")] == [["lib"], []]
    assert (
        "2 files that passed are not listed, because the index has quarantined"
        in (site.root / "simple/index.html").read_text()
    )


def test_a_cooldown_ends_with_the_newest_observation_not_with_a_clock(site: RebuiltSite, record: RecordBuilder) -> None:
    site.know(indexed("app", "2.0", upload_time=datetime(2024, 4, 24, tzinfo=UTC)))
    site.build()
    assert listed(site.root, "py312-slim-cooldown", "app") == names(("app", "1.0"))
    # Any observation will do; what did not change otherwise is not written again.
    site.store.add_record(passed(record, "other", "1.0", "py312-slim", observed_at=DAY + 6 * DAY_S - 1))
    assert site.rewritten() == set()
    site.store.add_record(passed(record, "other", "1.0", "py312-slim", observed_at=DAY + 6 * DAY_S))
    assert folders(site.rewritten()) == {"py312-slim-cooldown/app"}
    assert listed(site.root, "py312-slim-cooldown", "app") == names(("app", "1.0"), ("app", "2.0"))
    assert site.equals_one_from_scratch()


def test_a_file_becomes_old_enough_also_where_its_package_has_other_news(
    site: RebuiltSite, record: RecordBuilder
) -> None:
    site.know(indexed("app", "2.0", upload_time=datetime(2024, 4, 24, tzinfo=UTC)))
    site.build()
    error = {"result": "ERROR", "cause": "network", "observed_at": DAY + 6 * DAY_S}
    site.store.add_record(passed(record, "app", "2.0", "py312-slim", **error))
    assert folders(site.rewritten()) == {"py312-slim-cooldown/app"}
    assert listed(site.root, "py312-slim-cooldown", "app") == names(("app", "1.0"), ("app", "2.0"))
    assert site.equals_one_from_scratch()


def test_other_days_change_the_cooldown_alone(site: RebuiltSite) -> None:
    site.build()
    site.build(cooldown_days=200)
    assert listed(site.root, "py312-slim-cooldown", "app") == []
    assert listed(site.root, "py312-slim", "app") == names(("app", "1.0"), ("app", "2.0"))


def test_what_only_installed_is_listed_and_says_so(site: RebuiltSite, record: RecordBuilder) -> None:
    nothing = (Outcome.PASS, Outcome.PASS, Outcome.PASS, Outcome.SKIP)
    site.store.add_record(passed(record, "lib", "1.1", "py312-slim", outcomes=nothing, observed_at=DAY + 60))
    site.build()
    document = json.loads((site.root / "simple/py312-slim/lib/index.v1_json").read_text())
    assert [row["_ppp"]["imported"] for row in document["files"]] == [True, False]
    assert "installed, nothing to import" in (site.root / "simple/py312-slim/lib/index.html").read_text()


def copy_into_mirror(root: Path, package: str, version: str, metadata: str) -> str:
    """Put a copy of a file into a mirror, and return the sha256 of its METADATA."""
    name = filename(package, version)
    digest = sha256_hex(name.encode())
    folder = root / "mirror" / digest[:2] / digest
    folder.mkdir(parents=True)
    (folder / name).write_bytes(b"a wheel")
    (folder / f"{name}.metadata").write_text(metadata)
    return sha256_hex(metadata.encode())


def test_a_copy_is_linked_and_its_metadata_says_what_it_needs(site: RebuiltSite) -> None:
    site.build()
    metadata = copy_into_mirror(
        site.root,
        "app",
        "1.0",
        "Metadata-Version: 2.1\nName: app\nVersion: 1.0\nRequires-Dist: x; python_version<'3'\n",
    )
    site.know(indexed("app", "1.0", metadata_sha256=metadata, seen_at=DAY + 60))
    site.build()
    (row,) = json.loads((site.root / "simple/py312-alpine/app/index.v1_json").read_text())["files"]
    assert row["url"].startswith("../../../mirror/")
    # What it asks for does not apply here, whatever was installed with it.
    assert not is_open(site.root, "py312-alpine", "app")
    (copy,) = (site.root / "mirror").rglob("*.whl")
    copy.unlink()
    assert "py312-alpine/app" in folders(site.rewritten())
    (row,) = json.loads((site.root / "simple/py312-alpine/app/index.v1_json").read_text())["files"]
    assert row["url"] == f"https://files.example/{filename('app', '1.0')}"
    assert site.equals_one_from_scratch()


def test_a_copy_of_metadata_with_another_hash_is_not_believed(site: RebuiltSite) -> None:
    copy_into_mirror(site.root, "app", "1.0", "Metadata-Version: 2.1\nName: app\nVersion: 1.0\n")
    site.know(indexed("app", "1.0", metadata_sha256="a" * 64, seen_at=DAY + 60))
    site.build()
    assert is_open(site.root, "py312-alpine", "app")


def test_every_index_page_is_in_the_lists_of_files(site: RebuiltSite) -> None:
    site.build()
    top = json.loads((site.root / "files.json").read_text())["files"]
    paths = {path for name, *_ in top for path, *_ in json.loads((site.root / name).read_text())["files"]}
    assert simple(site.root).keys() <= paths


def test_a_bounded_site_lists_as_many_packages_as_its_share_has_room_for(
    store: Store, record: RecordBuilder, tmp_path: Path
) -> None:
    named = [f"package-{number:02}" for number in range(40)]
    know(tmp_path, *(indexed(name, "1.0") for name in named))
    for number, name in enumerate(named):
        store.add_record(passed(record, name, "1.0", "py312-slim", observed_at=DAY + number))
    bound = SiteBound(max_bytes=10**9, max_files=750)
    root, cache = tmp_path / "public", tmp_path / "cache.db"
    built = build(store.db, root, cache_path=cache, bound=bound, index_files=tmp_path)
    # A fifth of the files, four for each package; what changed last comes first.
    assert projects(root, "py312-slim") == [f"package-{number:02}" for number in range(3, 40)]
    assert "3 packages are in no index here" in (root / "simple/index.html").read_text()
    pages = {path: content for path, content in simple(root).items() if path != "simple/index.html"}
    assert (built.without_index, built.index_files) == (3, len(pages))
    assert built.index_bytes >= sum(map(len, pages.values()))
    store.add_record(
        passed(record, "package-00", "1.0", "py312-slim", result="FAIL", cause="oom", observed_at=DAY + 90)
    )
    build(store.db, root, cache_path=cache, bound=bound, index_files=tmp_path)
    build(store.db, tmp_path / "scratch", bound=bound, index_files=tmp_path)
    assert simple(root) == simple(tmp_path / "scratch")


@pytest.mark.parametrize("data", [None, "nothing here"])
def test_without_what_the_index_said_nothing_is_listed(filled: Store, tmp_path: Path, data: str | None) -> None:
    build(filled.db, tmp_path / "public", index_files=None if data is None else tmp_path / data)
    assert simple(tmp_path / "public").keys() == {"simple/index.html"}
    assert projects(tmp_path / "public", "py312-slim") == []
    assert "4 files that passed are not listed" in (tmp_path / "public/simple/index.html").read_text()
