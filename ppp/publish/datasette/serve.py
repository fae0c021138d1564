"""Run Datasette on an immutable copy of the ledger, configured from the definition in `site/datasette/`.

Stable Datasette (0.65) reads everything but its settings from metadata. 1.0a reads canned queries, settings and display
settings from a configuration file, and ignores them in metadata. `prepare` writes a folder for both, which can be
served on this machine or in a container.
"""

import json
import shutil
import signal
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any, Final, Self

from ppp.ledger.schema import LEDGER_NAME, read_ledger
from ppp.model.errors import DatasetteError
from ppp.model.record import Json
from ppp.publish.datasette import copy
from ppp.publish.datasette.definition import DISPLAY_KEYS, SavedQuery, definition, described_tables, saved_queries
from ppp.resources import resource
from ppp.storage_errors import translate_storage_errors

DEFAULT_HOST: Final = "127.0.0.1"
DEFAULT_PORT: Final = 8001
#: Files that Datasette 0.65 expects beside the database.
METADATA_FILE: Final = "metadata.json"
INSPECT_FILE: Final = "inspect-data.json"
#: Files of `site/datasette/` that are copied into the folder unchanged.
_COPIED_FILES: Final = ("Containerfile", "plugins/limits.py")


@dataclass(frozen=True, slots=True, kw_only=True)
class ServeCommand:
    """A Datasette that is ready to start: its command line, the database that it serves, and its URL."""

    argv: tuple[str, ...]
    database: Path
    url: str


def metadata_065() -> dict[str, Json]:
    """Return the metadata for Datasette 0.65."""
    return _metadata(tables=described_tables(), more={"queries": _queries()})


def metadata_10a() -> dict[str, Json]:
    """Return the metadata for Datasette 1.0a: descriptions only."""
    tables = {
        name: {key: value for key, value in table.items() if key not in DISPLAY_KEYS}
        for name, table in described_tables().items()
    }
    return _metadata(tables={name: table for name, table in tables.items() if table}, more={})


def configuration_10a() -> dict[str, Json]:
    """Return the configuration for Datasette 1.0a (`-c`): settings, canned queries and display settings."""
    tables = {
        name: {key: table[key] for key in DISPLAY_KEYS if key in table} for name, table in described_tables().items()
    }
    return {
        "settings": definition()["settings"],
        "databases": {
            _database_name(): {
                "queries": _queries(),
                "tables": {name: table for name, table in tables.items() if table},
            }
        },
    }


def _metadata(*, tables: Mapping[str, Json], more: Mapping[str, Json]) -> dict[str, Json]:
    texts = {key: definition()[key] for key in ("title", "description")}
    return {**texts, "databases": {_database_name(): {**texts, "tables": dict(tables), **more}}}


def _queries() -> dict[str, Json]:
    return {
        query.name: {
            "title": query.title,
            "description": _with_examples(query),
            "sql": query.sql,
            **({"params": list(query.params)} if query.params else {}),
        }
        for query in saved_queries()
    }


def _with_examples(query: SavedQuery) -> str:
    examples = ", ".join(f"{name} = {example}" for name, example in query.params.items())
    return f"{query.description} For example: {examples}." if examples else query.description


def _database_name() -> str:
    return Path(LEDGER_NAME).stem


def prepare(data: Path, out: Path, *, host: str = DEFAULT_HOST, port: int = DEFAULT_PORT) -> ServeCommand:
    """Copy a data folder's ledger into `out` with the configuration of both Datasette versions; return how to serve it.

    Raise what `read_ledger` raises, and `DiskFullError` or `DataReadOnlyError` if `out` cannot be written.
    """
    database = out / LEDGER_NAME
    ledger = read_ledger(data)
    try:
        with translate_storage_errors(out):
            out.mkdir(parents=True, exist_ok=True)
            # It describes the previous copy: after a crash it must not be left beside the new one.
            (out / INSPECT_FILE).unlink(missing_ok=True)
            copy.write_copy(ledger, database)
            _write(out / METADATA_FILE, metadata_065())
            _write(out / "settings.json", definition()["settings"])
            _write(out / INSPECT_FILE, copy.inspect_data(database))
            _write(out / "1.0a" / METADATA_FILE, metadata_10a())
            _write(out / "1.0a" / "datasette.json", configuration_10a())
            for name in _COPIED_FILES:
                (out / name).parent.mkdir(exist_ok=True)
                shutil.copyfile(resource(f"site/datasette/{name}"), out / name)
    finally:
        ledger.close()
    argv = (sys.executable, "-m", "datasette", "serve", str(out), "-h", host, "-p", str(port))
    return ServeCommand(argv=argv, database=database, url=f"http://{host}:{port}/{_database_name()}")


def _write(path: Path, document: Mapping[str, Json]) -> Path:
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(document, indent=1) + "\n", "utf-8")
    return path


def serve(data: Path, *, host: str = DEFAULT_HOST, port: int = DEFAULT_PORT) -> None:
    """Serve a data folder's ledger in the foreground until a signal ends it; raise what `prepare` and `run` raise."""
    run(prepare(data, data / "cache" / "serve", host=host, port=port))


def run(command: ServeCommand) -> None:
    """Run Datasette in the foreground until SIGINT, SIGTERM or SIGHUP, which also end Datasette.

    Raise `DatasetteError` if it cannot be started, or ends by itself with an error.
    """
    with _StopSignals() as stop:
        try:
            process = subprocess.Popen(command.argv)
        except OSError as error:
            raise DatasetteError(f"Datasette cannot be started: {error.strerror}", hint="install PPP again") from error
        stop.watch(process)
        status = process.wait()
    if status and not stop.requested:
        raise DatasetteError(
            f"Datasette ended with status {status}", hint="its last lines say why; --port names another port"
        )


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
