"""A synthetic ledger that shows every kind of page: every result, finding and remark, long lists, names and logs."""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import product
from pathlib import Path

from episode_sounds import store_made_up_audio
from journal_rows import showcase_journal
from known_downloads import know_downloads
from told_nights import told_night

from ppp.index_files.file import IndexedFile
from ppp.index_files.store import open_index_files
from ppp.ledger.downloads import MAX_DOWNLOADS, MAX_SOURCE, DownloadsSource
from ppp.ledger.episodes import store_episode
from ppp.ledger.schema import LEDGER_NAME
from ppp.ledger.store import Store
from ppp.model.canonical import sha256_hex
from ppp.model.installed_files import RecordMismatch, SharedFile, SharedFiles
from ppp.model.record import (
    Blame,
    BrokenEntryPoint,
    DistributionFile,
    EntryPoints,
    Installed,
    ModuleFailure,
    Network,
    Outcome,
    Phase,
    Preinstalled,
    Record,
    Submodules,
)
from ppp.model.trigger import Trigger, TriggerKind
from ppp.publish.build import build
from ppp.publish.snapshots.retention import RetentionPolicy
from ppp.publish.snapshots.take import take

RecordWithLog = tuple[Record, str | None]
RecordBuilder = Callable[..., Record]

DAY_S = 86_400
#: The newest observation: 2024-04-25 12:00 UTC.
AS_OF = 1_714_046_400
OTHER_NODE = "cd" * 32
BASE_URL = "https://place.example/"
ENVIRONMENTS = tuple(f"py{python}-{platform}" for platform, python in product(("slim", "alpine"), ("39", "311", "312")))
PASS, FAIL, SKIP = Outcome.PASS, Outcome.FAIL, Outcome.SKIP
AT_NODEPS = (PASS, FAIL, SKIP, SKIP)
AT_FULL = (PASS, PASS, FAIL, SKIP)
AT_DOWNLOAD = (FAIL, SKIP, SKIP, SKIP)
LONG_NAME = "a-name-that-" + "goes-on-and-on-" * 11 + "and-ends"
LONG_WORD = "x" * 120
LOG = "".join(
    f"  copying build/lib.linux-x86_64-cpython-312/needs_gcc/{'_'.join(['part'] * 14)}_{number}.py -> wheel\n"
    for number in range(30)
)
#: One page of each kind, by the name that tests use for it.
PAGES = {
    "front": "index.html",
    "packages": "packages/index.html",
    "packages-prefixes": "packages/n/index.html",
    "packages-prefix": "packages/n0/index.html",
    "package-passes": "p/six/index.html",
    "package-fails": "p/needs-gcc/index.html",
    "package-standins": "p/stand-in/index.html",
    "package-na": "p/wheels-only/index.html",
    "package-timeout-error": "p/slow/index.html",
    "package-many-releases": "p/old-hand/index.html",
    "package-nothing-to-import": "p/types-only/index.html",
    "package-in-part": "p/half-a-picture/index.html",
    "package-remarks": "p/leans-on-the-image/index.html",
    "package-breaks-others": "p/breaker/index.html",
    "breaks": "p/breaker/breaks/2.0/index.html",
    "finding-breaks-others": "findings/breaks-others/index.html",
    "package-withdrawn": "p/taken-back/index.html",
    "package-long-name": f"p/{LONG_NAME}/index.html",
    "causes": "causes/index.html",
    "cause": "causes/no-compiler/index.html",
    "cause-without": "causes/oom/index.html",
    "findings": "findings/index.html",
    "finding-long": "findings/alpine-only/index.html",
    "finding-prefix": "findings/alpine-only/n0/index.html",
    "finding-in-part": "findings/imports-in-part/index.html",
    "finding-nothing-to-import": "findings/nothing-to-import/index.html",
    "finding-yanked": "findings/yanked/index.html",
    "finding-file-conflict": "findings/file-conflict/index.html",
    "finding-chains": "findings/broken-dependency/index.html",
    "environments": "env/index.html",
    "environment": "env/py312-alpine/index.html",
    "environment-prefix": "env/py312-alpine/n1/index.html",
    "data": "data/index.html",
    "simple": "simple/index.html",
    "sql": "sql/index.html",
    "about": "about/index.html",
    "ask": "ask/index.html",
    "compare": "compare/index.html",
    "changed": "changed/index.html",
    "check": "docs/check-your-package/index.html",
    "missing": "404.html",
    "coverage": "coverage/index.html",
    "journal": "journal/index.html",
    "journal-day": "journal/2024-04-25/index.html",
    "journal-day-short": "journal/2024-04-22/index.html",
    "episodes": "episodes/index.html",
    "episodes-month": "episodes/2024-04/index.html",
    "episode": "episodes/2024-04-25/index.html",
    "episode-long": "episodes/2024-04-24/index.html",
}
#: The pages of a site without records.
EMPTY_PAGES = {
    "empty-front": "index.html",
    "empty-packages": "packages/index.html",
    "empty-causes": "causes/index.html",
    "empty-findings": "findings/index.html",
    "empty-finding": "findings/alpine-only/index.html",
    "empty-environments": "env/index.html",
    "empty-data": "data/index.html",
    "empty-ask": "ask/index.html",
    "empty-changed": "changed/index.html",
    "empty-episodes": "episodes/index.html",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class ServedSites:
    """Two sites, built and served: one of the synthetic ledger, and one of an empty ledger."""

    full: Path
    full_address: str
    empty: Path
    empty_address: str

    @property
    def pages(self) -> dict[str, str]:
        """Return the address of one page of each kind, by the names in `PAGES` and `EMPTY_PAGES`."""
        return {
            **{kind: f"{self.full_address}/{path}" for kind, path in PAGES.items()},
            **{kind: f"{self.empty_address}/{path}" for kind, path in EMPTY_PAGES.items()},
        }


def showcase_records(record: RecordBuilder) -> Iterator[RecordWithLog]:
    """Yield the records of the synthetic ledger, each with its log."""
    yield from _passing(record)
    yield from _failing(record)
    yield from _unsaid(record)
    yield from _breaking(record)
    yield from _long_texts(record)
    yield from _many_releases(record)
    yield from _many_packages(record)


def _passing(record: RecordBuilder) -> Iterator[RecordWithLog]:
    installed = tuple(Installed(name=f"part-{n}", version=f"{n}.0", sha256=None) for n in range(60))
    six = (Installed(name="six", version="1.17.0", sha256=sha256_hex(b"six")),)
    for place, environment in enumerate(ENVIRONMENTS):
        at = AS_OF - 60 * place
        yield record("six", "1.17.0", environment, observed_at=at, bytes={Phase.DOWNLOAD: 11_050}, installed=six), None
        yield record("six", "1.17.0", environment, observed_at=at - 900, node=OTHER_NODE), None
        yield record("big", "2.0", environment, observed_at=at, installed=installed), None
        standin = environment.endswith("alpine")
        changes = {"standin": standin, "image_digest": "sha256:" + "7" * 64, "network": Network.GATEWAY}
        yield record("stand-in", "3.1", environment, observed_at=at, **changes), None


def _failing(record: RecordBuilder) -> Iterator[RecordWithLog]:
    log = f"{LOG}{LONG_WORD * 3}\nerror: command 'gcc' failed: No such file or directory\n"
    compiler = {
        "outcomes": AT_NODEPS,
        "cause": "no-compiler",
        "blame": Blame.ENVIRONMENT,
        "log_sha256": sha256_hex(log.encode()),
    }
    cffi = {
        "outcomes": AT_FULL,
        "cause": "no-compiler",
        "blame": Blame.DEPENDENCY,
        "detail": "cffi: command 'gcc' failed",
    }
    na = {"cause": "no-distribution", "blame": None, "detail": "no wheel for musl, no sdist", "file": None}
    gone = {"cause": "distutils-removed", "blame": Blame.PACKAGE, "detail": "No module named 'distutils'"}
    for place, environment in enumerate(ENVIRONMENTS):
        at = AS_OF - 60 * place
        yield record("needs-gcc", "1.0", environment, observed_at=at - DAY_S), None
        yield record("needs-gcc", "1.1", environment, result="FAIL", observed_at=at, **compiler), log
        for name in ("wraps-cffi", "wraps-wrapped-cffi"):
            yield record(name, "0.9", environment, result="FAIL", observed_at=at, **cffi), None
        alpine, newest = environment.endswith("alpine"), "312" in environment
        yield (
            record("wheels-only", "2.0", environment, observed_at=at, **({"result": "NA", **na} if alpine else {})),
            None,
        )
        yield record("old", "3.0", environment, observed_at=at, **({"result": "FAIL", **gone} if newest else {})), None
        yield record("mended", "1.0", environment, result="FAIL", observed_at=at - DAY_S, **gone), None
        yield record("mended", "1.1", environment, observed_at=at), None
        word = ("TIMEOUT", "ERROR")[place % 2]
        cause = {"TIMEOUT": "timeout", "ERROR": "network"}[word]
        detail = {"TIMEOUT": "no end within 60 s", "ERROR": "the gateway did not answer"}[word]
        blame = {"TIMEOUT": Blame.UNKNOWN, "ERROR": Blame.INFRASTRUCTURE}[word]
        yield (
            record("slow", "0.1", environment, result=word, observed_at=at, cause=cause, detail=detail, blame=blame),
            None,
        )


def _unsaid(record: RecordBuilder) -> Iterator[RecordWithLog]:
    # What a result leaves unsaid: every remark, in one environment or in all.
    gone = {"cause": "withdrawn", "blame": None, "detail": "the index lists no file of 0.3 any more", "file": None}
    for place, environment in enumerate(ENVIRONMENTS):
        old = "312" not in environment
        setuptools = (Preinstalled(name="setuptools", version="65.5.1"),) if old else ()
        here = {
            "observed_at": AS_OF - 60 * place,
            "preinstalled": (Preinstalled(name="pip", version="24.0"), *setuptools),
            "image_digest": f"sha256:{sha256_hex(environment.encode())}",
        }
        yield record("types-only", "2.4", environment, **_without_import("stubs"), **here), None
        for ground in ("requirements-only", "data", "pth", "scripts", "declares-none", "no-module"):
            if environment == "py312-slim":
                yield record(f"only-{ground}", "1.0", environment, **_without_import(ground), **here), None
        partly = _without_import("data") if environment == "py312-alpine" else {}
        yield record("sometimes-data", "1.0", environment, **partly, **here), None
        yield record("half-a-picture", "11.3", environment, **_in_part(environment), **here), None
        leaning = {"relies_on": ("setuptools",)} if old else {"result": "FAIL", **_NO_PKG_RESOURCES}
        yield record("leans-on-the-image", "0.8", environment, **leaning, **_marks(), **here), None
        yield record("taken-back", "0.2", environment, observed_at=AS_OF - DAY_S), None
        yield record("taken-back", "0.3", environment, result="NA", **gone, **here), None


_NO_PKG_RESOURCES = {
    "cause": "pkg-resources",
    "blame": Blame.PACKAGE,
    "detail": "ModuleNotFoundError: No module named 'pkg_resources'",
}


def _without_import(ground: str) -> dict[str, object]:
    outcomes = (PASS, PASS, PASS, SKIP)
    return {"outcomes": outcomes, "grounds": {Phase.IMPORT: ground}, "imports": ()}


def _in_part(environment: str) -> dict[str, object]:
    lacks = "libz.so.1: cannot open shared object file: No such file or directory"
    names = ("half.Image", "half._imaging") if environment.endswith("alpine") else ()
    failed = tuple(ModuleFailure(module=n, outcome=FAIL, cause="shared-library", detail=lacks) for n in names)
    extra = ModuleFailure(module="half_qt", outcome=FAIL, cause="module-missing", detail="No module named 'PyQt6'")
    return {
        "imports": ("half", "half_qt"),
        "primary_module": "half",
        "import_failures": (extra,),
        "submodules": Submodules(tried=21, left_out=3, failed=failed) if failed else DEEP,
    }


DEEP = Submodules(tried=21, left_out=0, failed=())


def _conflict(path: str) -> SharedFile:
    return SharedFile(
        path=path, owners=("leans-on-the-image", "leans-on-tests"), equal=False, kept="leans-on-the-image"
    )


def _marks() -> dict[str, object]:
    point = BrokenEntryPoint(group="console_scripts", name="lean", value="leans.cli:main", detail="no module leans.cli")
    examples = ("leans/data/one.txt", "leans/data/two.txt", f"leans/{LONG_WORD}.py")
    conflicts = tuple(map(_conflict, ("tests/conftest.py", f"{LONG_WORD}.py")))
    return {
        "entry_points": EntryPoints(tried=2, broken=(point,)),
        "record_mismatch": RecordMismatch(missing=2, unlisted=1, different=0, examples=examples),
        "shared_files": SharedFiles(conflicts=2, equal=7, files=conflicts),
        "yanked": "Broken on Python 3.12: use <0.8> instead",
        "project_status": "deprecated",
    }


def _breaking(record: RecordBuilder) -> Iterator[RecordWithLog]:
    # A release after which three packages failed, and the one that let two of them pass again.
    environment = "py312-slim"
    for place, version in enumerate(("1.9", "2.0", "2.1")):
        at = AS_OF - DAY_S + 3600 * place
        yield record("breaker", version, environment, observed_at=at), None
        trigger = Trigger(kind=TriggerKind.DEPENDENCY, name="breaker", version=version) if place else None
        for name in ("leans-one", "leans-three", "leans-two"):
            installed = (Installed(name="breaker", version=version, sha256=None),)
            fails = version == "2.0" or (version == "2.1" and name == "leans-two")
            failure = {"result": "FAIL", "cause": "dependency-drift", "detail": "breaker 2.0 has no 'old_name'"}
            fields = {"observed_at": at + 60, "installed": installed, "triggered_by": trigger}
            yield record(name, "1.0", environment, **fields, **(failure if fails else {})), None


def _long_texts(record: RecordBuilder) -> Iterator[RecordWithLog]:
    version = "2024.12.31.post20241231.dev20240425+local.build.20240425"
    file = DistributionFile(filename=f"{LONG_NAME}-{version}.tar.gz", sha256="e" * 64, size=123_456_789)
    for place, environment in enumerate(ENVIRONMENTS):
        changes = {
            "cause": "import-error",
            "blame": Blame.PACKAGE,
            "file": file,
            "imports": (LONG_WORD, LONG_WORD[:60]),
        }
        detail = f"{environment}: {LONG_WORD} {'and so on ' * 12}"
        passed = record(LONG_NAME, version, environment, observed_at=AS_OF - place, file=file, imports=(LONG_WORD,))
        failed = record(LONG_NAME, version, environment, result="FAIL", observed_at=AS_OF, detail=detail, **changes)
        yield (passed if place % 3 else failed), None


def _many_releases(record: RecordBuilder) -> Iterator[RecordWithLog]:
    # More releases than a page lists or counts; every third fails in some environments.
    shared = {
        "cause": "shared-library",
        "blame": Blame.ENVIRONMENT,
        "detail": "libGL.so.1: cannot open shared object file",
    }
    for number in range(60):
        for place, environment in enumerate(ENVIRONMENTS):
            fails = number % 3 == 2 and place > number % 5
            at = AS_OF - DAY_S * (60 - number)
            yield (
                record(
                    "old-hand",
                    f"1.{number}.0",
                    environment,
                    observed_at=at,
                    **({"result": "FAIL", **shared} if fails else {}),
                ),
                None,
            )


def _many_packages(record: RecordBuilder) -> Iterator[RecordWithLog]:
    # So many that lists are divided by prefix; every third needs a compiler and fails on Alpine.
    compiler = {
        "outcomes": AT_NODEPS,
        "cause": "no-compiler",
        "blame": Blame.ENVIRONMENT,
        "detail": "command 'gcc' failed",
    }
    for number in range(420):
        name = _made_up(number)
        for environment in ("py312-slim", "py312-alpine"):
            fails = number % 3 == 0 and environment.endswith("alpine")
            at = AS_OF - 3_600 - number
            yield (
                record(name, "1.0", environment, observed_at=at, **({"result": "FAIL", **compiler} if fails else {})),
                None,
            )


def _made_up(number: int) -> str:
    return f"{'nab'[number % 3]}{number:03}-made-up-package"


def _know_downloads(store: Store) -> None:
    # Of every second package, and of those with long names, as large as numbers may be.
    known = {_made_up(number): 10 * (number + 1) ** 3 for number in range(0, 420, 2)}
    words = "whose numbers these are, told in as many words as are kept, with their licence: " * 3
    source = DownloadsSource(source=words[:MAX_SOURCE], file_sha256="d" * 64)
    numbers = known | {LONG_NAME: MAX_DOWNLOADS, "six": 404_306_024, "needs-gcc": 999}
    know_downloads(store, "2024-03-25/2024-04-24", numbers, source=source)


def _know_files(data: Path) -> None:
    # One that passed alone, of which there are locks, and one that was installed with much that no index lists.
    for package, version, yanked in (("six", "1.17.0", None), ("big", "2.0", 'too <big> & "late"')):
        name = f"{package}-{version}-py3-none-any.whl"
        file = IndexedFile(
            sha256=sha256_hex(package.encode()),
            project=package,
            version=version,
            filename=name,
            url=f"https://files.example/{name}",
            seen_at=AS_OF,
            size=1234,
            upload_time=datetime(2024, 1, 31, tzinfo=UTC),
            requires_python=">=3.9",
            yanked=yanked,
        )
        with open_index_files(data) as index_files:
            index_files.add([file])


def _store_episodes(store: Store, folder: Path) -> None:
    # Nights and a week, one of them with audio, and one of which everything is as long as it may be.
    for period in ("2024-04-23", "2024-W17", "2024-04-25"):
        store_episode(store, told_night(period))
    store_made_up_audio(folder, told_night("2024-04-25"))
    said = f"{LONG_NAME} is what this sentence is about, and one word follows that cannot break: {LONG_WORD}"
    line = {"speaker": LONG_WORD[:40], "text": said, "facts": [f"named/{LONG_NAME}"]}
    plain = {"speaker": "relay", "text": "There is nothing else to be said about it on this channel tonight."}
    script = json.dumps([{**line, "chapter": LONG_WORD}, *[plain, line] * 20, *[plain] * 30])
    words = {"title": LONG_WORD, "fallback": LONG_WORD}
    store_episode(store, told_night("2024-04-24", package=LONG_NAME, script=script, writer=LONG_WORD, **words))


def showcase_site(folder: Path, record: RecordBuilder) -> Path:
    """Build the site of the synthetic ledger, with its snapshots, below a folder; return its root."""
    public = folder / "public"
    with Store.open(folder) as store:
        with store.db.atomic():
            for made, log in showcase_records(record):
                store.insert_record(made, log)
            showcase_journal(store, AS_OF, [LONG_NAME])
        _know_downloads(store)
        _store_episodes(store, folder)
        take(folder / LEDGER_NAME, public, RetentionPolicy(days=7, weeks=4, window_bytes=10_000_000))
        _know_files(folder)
        build(store.db, public, base_url=BASE_URL, index_files=folder, audio=folder)
    return public


def empty_site(folder: Path) -> Path:
    """Build the site of an empty ledger; return its root."""
    with Store.open(folder) as store:
        build(store.db, folder / "public", base_url=BASE_URL)
    return folder / "public"
