"""A small ledger made by hand: every result, a finding of each kind, two nodes that disagree, a release before."""

import hashlib
from collections.abc import Callable, Iterator
from html.parser import HTMLParser
from pathlib import Path

import pytest
from memory_store import open_store

from ppp.ledger.store import Store
from ppp.model.record import Blame, DistributionFile, Installed, Outcome, Record
from ppp.publish.build import build

DAY = 1_714_003_200  # 2024-04-25T00:00:00Z
OTHER_NODE = "cd" * 32
LOG = "Collecting needs-gcc\n  \x1b[31mbuilding\x1b[0m\nerror: command 'gcc' failed: No such file or directory\n"
AT_NODEPS = (Outcome.PASS, Outcome.FAIL, Outcome.SKIP, Outcome.SKIP)
#: Text that acts if a page, a feed or a terminal does not escape it.
HOSTILE = "<script>alert(1)</script><img src=//evil.example/x>\u202egnp.exe\x1b]0;owned\x07\x1b[2J\x00\x9b31m\"'&]]>"


def small_records(record: Callable[..., Record]) -> list[tuple[Record, str | None]]:
    """Return the records with their logs."""
    log_sha256 = hashlib.sha256(LOG.encode()).hexdigest()
    compiler = {"outcomes": AT_NODEPS, "cause": "no-compiler", "blame": Blame.ENVIRONMENT, "log_sha256": log_sha256}
    records: list[tuple[Record, str | None]] = []
    for number, environment in enumerate(("py39-slim", "py312-slim", "py39-alpine", "py312-alpine")):
        at = DAY + 60 * number
        installed = (Installed(name="six", version="1.17.0", sha256="0" * 64),)
        records.append((record("six", "1.17.0", environment, observed_at=at, installed=installed), None))
        records.append((record("needs-gcc", "1.0", environment, observed_at=at - 86_400), None))
        if environment.endswith("alpine"):
            failed = record("needs-gcc", "1.1", environment, result="FAIL", observed_at=at, **compiler)
            records.append((failed, LOG))
        else:
            records.append((record("needs-gcc", "1.1", environment, observed_at=at), None))
    old = {"cause": "distutils-removed", "blame": Blame.PACKAGE, "detail": "No module named 'distutils'"}
    na = {"cause": "no-distribution", "blame": None, "detail": "no wheel for musl, no sdist", "file": None}
    records += [
        (record("old", "3.0", "py39-slim", observed_at=DAY + 400), None),
        (record("old", "3.0", "py312-slim", result="FAIL", observed_at=DAY + 401, **old), None),
        (record("old", "3.0", "py312-slim", node=OTHER_NODE, observed_at=DAY + 390), None),
        (record("wheels-only", "2.0", "py312-slim", observed_at=DAY + 500), None),
        (record("wheels-only", "2.0", "py312-alpine", result="NA", observed_at=DAY + 501, standin=True, **na), None),
        (record("slow", "0.1", "py39-slim", result="TIMEOUT", observed_at=DAY + 600, cause="timeout"), None),
        (record("slow", "0.1", "py312-slim", result="ERROR", observed_at=DAY + 601, cause="network"), None),
    ]
    return records


def hostile_records(record: Callable[..., Record]) -> list[tuple[Record, str | None]]:
    """Return records whose every free text is hostile."""
    log = HOSTILE * 3
    return [
        (
            record(
                "hostile",
                "1!2.0+local.1",
                environment,
                result="FAIL",
                detail=f"{environment} {HOSTILE}"[:500],
                imports=(HOSTILE,),
                installed=(Installed(name=HOSTILE[:214], version="../../etc", sha256=None),),
                file=DistributionFile(filename=f"..{HOSTILE[:80]}", sha256="1" * 64, size=10**12),
                log_sha256=hashlib.sha256(log.encode()).hexdigest(),
                observed_at=DAY,
            ),
            log,
        )
        for environment in ("py39-slim", "py312-alpine")
    ]


@pytest.fixture(scope="session")
def fill_small(record: Callable[..., Record]) -> Callable[[Store], None]:
    """Add the records of the small ledger to a ledger."""

    def fill(store: Store) -> None:
        for made, log in small_records(record):
            store.add_record(made, log)

    return fill


@pytest.fixture
def small(store: Store, fill_small: Callable[[Store], None]) -> Store:
    """The small ledger."""
    fill_small(store)
    return store


@pytest.fixture(scope="session")
def small_public(fill_small: Callable[[Store], None], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The public folder of the small ledger, built once: for tests that only read it."""
    folder = tmp_path_factory.mktemp("small")
    with Store.open(folder / "data") as store:
        fill_small(store)
        build(store.db, folder / "public")
    return folder / "public"


@pytest.fixture
def hostile(store: Store, record: Callable[..., Record]) -> Store:
    """A ledger of hostile records. Most would be refused: here they stand for what a fault elsewhere lets in."""
    with store.db.atomic():
        for made, log in hostile_records(record):
            store.insert_record(made, log)
    return store


@pytest.fixture
def small_shuffled(tmp_path: Path, record: Callable[..., Record]) -> Iterator[Store]:
    """The small ledger, filled in reverse order."""
    with open_store(tmp_path / "shuffled") as store:
        for made, log in reversed(small_records(record)):
            store.add_record(made, log)
        yield store


#: Elements whose text starts apart from the text before.
SEPARATE = {"caption", "dd", "dt", "li", "p", "pre", "td", "th"}
VOID = {"meta", "link", "br", "hr", "img", "input", "rect", "path"}


class Page(HTMLParser):
    """A page, parsed strictly: every element is closed; links, ids and text are collected."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.open: list[str] = []
        self.tags: set[str] = set()
        self.links: list[str] = []
        self.ids: list[str] = []
        self.attributes: set[str] = set()
        self.text = ""
        self.feed(text)
        self.close()
        assert self.open == [], f"never closed: {self.open}"

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.text += " " if tag in SEPARATE else ""
        named = dict(attrs)
        assert len(named) == len(attrs), f"an attribute occurs twice: {attrs}"
        self.attributes |= named.keys()
        self.links += [value or "" for name in ("href", "src") if (value := named.get(name)) is not None]
        self.ids += [named["id"] or ""] if "id" in named else []
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        if tag not in VOID:
            self.open.pop()

    def handle_endtag(self, tag: str) -> None:
        assert self.open, f"</{tag}> closes nothing"
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data


@pytest.fixture
def page() -> Callable[[Path], Page]:
    """Parse a page strictly."""
    return lambda path: Page(path.read_text("utf-8"))
