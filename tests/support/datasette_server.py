"""`ppp serve` as a process, with real Datasette below it, and a ledger for which every saved query has rows."""

import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path

import requests
from journal_rows import DAY_S, add_event, name_release, skip_release
from known_downloads import know_downloads
from optional_fields import OPTIONAL

from ppp.ledger.store import Store
from ppp.model.record import Blame, Installed, Outcome, Phase, Record, Submodules
from ppp.model.trigger import Trigger, TriggerKind

DAY = 1_714_003_200
START_S = 30.0


@dataclass(frozen=True, slots=True, kw_only=True)
class RunningDatasette:
    """A `ppp serve` that answers: its process, and the URL of its front page, which ends with a slash."""

    process: subprocess.Popen[str]
    url: str

    @property
    def database(self) -> str:
        """The URL of the database."""
        return f"{self.url}ppp"

    @property
    def port(self) -> int:
        """The port on which it listens."""
        return int(self.url.rpartition(":")[2].strip("/"))


def fill_ledger(store: Store, record: Callable[..., Record]) -> None:
    """Add records for which every saved query has rows."""
    for environment in ("py39-slim", "py312-slim", "py39-alpine", "py312-alpine"):
        store.add_record(record("lxml", "5.0", environment, observed_at=DAY - 90_000))
    at_nodeps = (Outcome.PASS, Outcome.FAIL, Outcome.SKIP, Outcome.SKIP)
    compiler = {"outcomes": at_nodeps, "cause": "no-compiler", "blame": Blame.ENVIRONMENT}
    store.add_record(record("lxml", "6.0", "py312-slim", observed_at=DAY))
    store.add_record(record("lxml", "6.0", "py312-alpine", result="FAIL", observed_at=DAY, **compiler))
    store.add_record(record("rusty", "1.0", "py312-slim"))
    store.add_record(record("rusty", "1.0", "py312-alpine", result="FAIL", **compiler))
    store.add_record(record("old", "1.0", "py39-slim"))
    store.add_record(record("old", "1.0", "py312-slim", result="FAIL", cause="distutils-removed"))
    store.add_record(record("old", "1.0", "py312-slim", node="cd" * 32, observed_at=DAY - 1))
    store.add_record(record("needy", "1.0", result="FAIL", cause="no-compiler", blame=Blame.DEPENDENCY))
    # What a result leaves unsaid: one record with all of it, and one of a part that loads elsewhere.
    store.add_record(record("telling", "1.0", "py312-slim", **OPTIONAL))
    partly = Submodules(tried=3, left_out=0, failed=OPTIONAL["submodules"].failed)
    store.add_record(record("partly", "1.0", "py312-slim", submodules=partly))
    store.add_record(record("partly", "1.0", "py312-alpine", submodules=replace(partly, failed=())))
    store.add_record(
        record("bare", "1.0", outcomes=(*[Outcome.PASS] * 3, Outcome.SKIP), imports=(), grounds={Phase.IMPORT: "stubs"})
    )
    _fill_journal(store)
    _fill_flips(store, record)
    know_downloads(store, "2024-04", {"lxml": 900, "rusty": 800, "elsewhere": 700})
    know_downloads(store, "2024-04", {"lxml": 300}, python_version="3.12")


def _fill_journal(store: Store) -> None:
    name_release(store, "lxml", "6.0", serial=9, at=DAY)
    skip_release(store, "late", "1.0", at=DAY)
    name_release(store, "late", "1.0", serial=8, at=DAY - DAY_S)
    add_event(store, 10, "rusty", "1.0", "yank", at=DAY)


def _fill_flips(store: Store, record: Callable[..., Record]) -> None:
    trigger = Trigger(kind=TriggerKind.DEPENDENCY, name="base", version="2.0")
    store.add_record(record("leans", "1.0", observed_at=DAY))
    installed = (Installed(name="base", version="2.0", sha256="0" * 64),)
    store.add_record(
        record("leans", "1.0", result="FAIL", observed_at=DAY + 1, triggered_by=trigger, installed=installed)
    )


def wait_until_answered(url: str, process: "subprocess.Popen[str] | subprocess.Popen[bytes]") -> None:
    """Return once something answers at a URL; fail if the process ends or `START_S` have passed."""
    until = time.monotonic() + START_S
    while True:
        assert process.poll() is None, "it ended"
        assert time.monotonic() < until, "Datasette does not answer"
        try:
            requests.get(url, timeout=5)
        except (requests.ConnectionError, requests.Timeout):
            time.sleep(0.1)
        else:
            return


@contextmanager
def running_datasette(data: Path, *options: str, log: Path | None = None) -> Iterator[RunningDatasette]:
    """Run `ppp serve` on a data folder and a free port until the end of the block; its errors go to `log`."""
    with (log or Path("/dev/null")).open("ab") as errors:
        process = subprocess.Popen(
            [sys.executable, "-m", "ppp", "serve", "--data", data, "--port", "0", *options],
            stdout=subprocess.PIPE, stderr=errors, text=True,
        )  # fmt: skip
    assert process.stdout is not None
    try:
        line = process.stdout.readline()
        assert " at http" in line, line
        url = line.rpartition(" at ")[2].strip().removesuffix("ppp")
        wait_until_answered(f"{url}ppp.json", process)
        yield RunningDatasette(process=process, url=url)
    finally:
        process.terminate()
        with suppress(subprocess.TimeoutExpired):
            process.wait(15)
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
            process.wait(15)
        process.stdout.close()
