"""Run Datasette on an immutable copy of the ledger, configured from the definition in `site/datasette/`.

Stable Datasette (0.65) reads everything but its settings from metadata. 1.0a reads canned queries, settings and display
settings from a configuration file, and ignores them in metadata. `prepare` writes a folder for both, which can be
served on this machine or in a container.
"""

import json
import logging
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from html import escape
from pathlib import Path
from types import FrameType
from typing import Any, Final, Self

from ppp.client_limits import ClientLimits
from ppp.ledger.schema import LEDGER_NAME, read_ledger
from ppp.model.canonical import Json
from ppp.model.errors import DatasetteError
from ppp.publish.datasette import copy, worker
from ppp.publish.datasette.definition import DISPLAY_KEYS, SavedQuery, definition, described_tables, saved_queries
from ppp.resources import resource
from ppp.storage_errors import translate_storage_errors

#: Files that Datasette 0.65 expects beside the database.
METADATA_FILE: Final = "metadata.json"
INSPECT_FILE: Final = "inspect-data.json"
#: Files of `site/datasette/` that are copied into the folder unchanged.
_COPIED_FILES: Final = (
    "Containerfile",
    "requirements.txt",
    "plugins/limits.py",
    "plugins/look.py",
    "plugins/requests.py",
    "look.css",
)
#: Statuses after which Datasette is started again: it ended because a query did not, or the kernel ended it.
_RESTARTED: Final = frozenset({75, -signal.SIGKILL})
#: A process that ended earlier than this would only do so again.
MIN_LIFE_S: Final = 5.0

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class ServeCommand:
    """A Datasette that is ready to start: its command line but for sockets and limits, and the database it serves."""

    argv: tuple[str, ...]
    database: Path


def metadata_065(site: str = "") -> dict[str, Json]:
    """Return the metadata for Datasette 0.65; `site` is the address of the site of the same ledger, if there is one."""
    return {
        **_metadata(tables=described_tables(), more={"queries": _queries()}, site=site),
        "plugins": _plugin_settings(site),
    }


def metadata_10a(site: str = "") -> dict[str, Json]:
    """Return the metadata for Datasette 1.0a, as `metadata_065`: descriptions only."""
    tables = {
        name: {key: value for key, value in table.items() if key not in DISPLAY_KEYS}
        for name, table in described_tables().items()
    }
    return _metadata(tables={name: table for name, table in tables.items() if table}, more={}, site=site)


def configuration_10a(site: str = "") -> dict[str, Json]:
    """Return the configuration for Datasette 1.0a (`-c`): settings, canned queries, and display and plugin settings."""
    tables = {
        name: {key: table[key] for key in DISPLAY_KEYS if key in table} for name, table in described_tables().items()
    }
    return {
        "settings": definition()["settings"],
        "plugins": _plugin_settings(site),
        "databases": {
            _database_name(): {
                "queries": _queries(),
                "tables": {name: table for name, table in tables.items() if table},
            }
        },
    }


def _plugin_settings(site: str) -> dict[str, Json]:
    return {"look": {"site": site}}


def _metadata(*, tables: Mapping[str, Json], more: Mapping[str, Json], site: str) -> dict[str, Json]:
    texts = {key: definition()[key] for key in ("title", "description", "license", "license_url", "source")}
    texts |= {"source_url": site} if site else {}
    return {**texts, "databases": {_database_name(): {**texts, "tables": dict(tables), **more}}}


def _queries() -> dict[str, Json]:
    return {
        query.name: {
            "title": query.title,
            **_description(query),
            "sql": query.sql,
            **({"params": list(query.params)} if query.params else {}),
        }
        for query in saved_queries()
    }


def _description(query: SavedQuery) -> dict[str, Json]:
    examples = ", ".join(f"{name} = {example}" for name, example in query.params.items())
    text = f"{query.description} For example: {examples}." if examples else query.description
    if query.rows is None:
        return {"description": text}
    table = query.rows.partition("?")[0]
    every = f'every row of <a href="{escape(query.rows)}">{escape(table)}</a>, page by page'
    return {"description_html": f"{escape(text)} The result is cut at {_max_rows()} rows; {every}."}


def _max_rows() -> int:
    return int(definition()["settings"]["max_returned_rows"])


def _database_name() -> str:
    return Path(LEDGER_NAME).stem


def prepare(data: Path, out: Path, *, site: str = "") -> ServeCommand:
    """Copy a data folder's ledger into `out` with the configuration of both Datasette versions; return how to serve it.

    `site` is the address of the site of the same ledger, to which packages and the menu then link. Raise what
    `read_ledger` raises, and `DiskFullError` or `DataReadOnlyError` if `out` cannot be written.
    """
    database = out / LEDGER_NAME
    ledger = read_ledger(data)
    try:
        with translate_storage_errors(out):
            out.mkdir(parents=True, exist_ok=True)
            # It describes the previous copy: after a crash it must not be left beside the new one.
            (out / INSPECT_FILE).unlink(missing_ok=True)
            copy.write_copy(ledger, database)
            _write(out / METADATA_FILE, metadata_065(site))
            _write(out / "settings.json", definition()["settings"])
            _write(out / INSPECT_FILE, copy.inspect_data(database))
            _write(out / "1.0a" / METADATA_FILE, metadata_10a(site))
            _write(out / "1.0a" / "datasette.json", configuration_10a(site))
            for name in _COPIED_FILES:
                (out / name).parent.mkdir(exist_ok=True)
                shutil.copyfile(resource(f"site/datasette/{name}"), out / name)
    finally:
        ledger.close()
    return ServeCommand(argv=(sys.executable, "-m", worker.__name__, str(out)), database=database)


def _write(path: Path, document: Mapping[str, Json]) -> Path:
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(document, indent=1) + "\n", "utf-8")
    return path


def run(
    command: ServeCommand,
    listening: socket.socket,
    *,
    limits: ClientLimits | None = None,
    min_life_s: float = MIN_LIFE_S,
) -> None:
    """Run Datasette on an open socket until SIGINT, SIGTERM or SIGHUP, which also end Datasette.

    It is started again where a query did not stop in any other way, unless it lived for less than `min_life_s` seconds;
    the socket stays open meanwhile. Raise `DatasetteError` if it cannot be started, or ends by itself with an error.
    """
    limits = limits or ClientLimits()
    with _StopSignals() as stop:
        while not stop.requested:
            started = time.monotonic()
            status = _run_once(command, listening, stop, limits)
            if stop.requested or not status:
                return
            if status not in _RESTARTED or time.monotonic() - started < min_life_s:
                raise DatasetteError(
                    f"Datasette ended with status {status}", hint="its last lines say why; --port names another port"
                )
            _log.warning("Datasette ended with status %s: a query did not stop, or took too much memory", status)


def _run_once(command: ServeCommand, listening: socket.socket, stop: "_StopSignals", limits: ClientLimits) -> int:
    # Nobody writes into this pipe: at its other end, the child notices that this process has ended, even by SIGKILL.
    parent, kept = os.pipe()
    try:
        process = subprocess.Popen(
            (*command.argv, str(listening.fileno()), str(parent), str(limits.per_address)),
            pass_fds=(listening.fileno(), parent),
            env=os.environ if limits.per_address else os.environ | {"PPP_QUERIES_PER_ADDRESS": "0"},
        )
        stop.watch(process)
        return process.wait()
    except OSError as error:
        raise DatasetteError(f"Datasette cannot be started: {error.strerror}", hint="install PPP again") from error
    finally:
        os.close(parent)
        os.close(kept)


class _StopSignals:
    """While entered, the signals that end this process end the watched child process instead, and are noted.

    A service manager signals only this process, a terminal the whole process group: without this, SIGTERM would leave
    the child running and its port taken. A second signal kills a child that does not end.
    """

    _SIGNALS: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

    def __init__(self) -> None:
        self.requested = False
        self._process: subprocess.Popen[bytes] | None = None
        self._previous: dict[signal.Signals, Any] = {}

    def __enter__(self) -> Self:
        self._previous = {number: signal.signal(number, self._stop) for number in self._SIGNALS}
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._previous.items():
            signal.signal(number, handler)

    def watch(self, process: subprocess.Popen[bytes]) -> None:
        """End this process on a signal, or now if one has already arrived."""
        self._process = process
        if self.requested:
            process.terminate()

    def _stop(self, _number: int, _frame: FrameType | None) -> None:
        again, self.requested = self.requested, True
        if self._process is not None:
            (self._process.kill if again else self._process.terminate)()
