"""Datasette on an immutable copy of the ledger, described and asked by the one definition in `site/datasette/`.

Stable Datasette (0.65) reads everything but its settings from metadata; 1.0a reads canned queries, settings and how
tables are shown from a configuration, and ignores them in metadata. Both are made here: `prepare` writes one folder
that 0.65 serves as it is, on this machine or in a container, and beside it what 1.0a wants.
"""

import json
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from ppp.ledger.schema import LEDGER_NAME, read_ledger
from ppp.model.errors import DatasetteError
from ppp.model.record import Json
from ppp.publish.datasette import copy
from ppp.publish.datasette.definition import DISPLAY_KEYS, SavedQuery, definition, described_tables, saved_queries
from ppp.resources import resource
from ppp.storage_errors import translate_storage_errors

DEFAULT_HOST: Final = "127.0.0.1"
DEFAULT_PORT: Final = 8001
#: What stands in the folder beside the database, as 0.65 looks for it there.
METADATA_FILE: Final = "metadata.json"
INSPECT_FILE: Final = "inspect-data.json"
#: What of ours goes into the folder unchanged.
_COPIED_FILES: Final = ("Containerfile", "plugins/limits.py")


@dataclass(frozen=True, slots=True, kw_only=True)
class ServeCommand:
    """A Datasette that is ready to start: its arguments, the copy it serves, and where it will answer."""

    argv: tuple[str, ...]
    database: Path
    url: str


def metadata_065() -> dict[str, Json]:
    """Give the metadata that Datasette 0.65 reads."""
    return _metadata(tables=described_tables(), more={"queries": _queries()})


def metadata_10a() -> dict[str, Json]:
    """Give the metadata that Datasette 1.0a reads: descriptions alone."""
    tables = {
        name: {key: value for key, value in table.items() if key not in DISPLAY_KEYS}
        for name, table in described_tables().items()
    }
    return _metadata(tables={name: table for name, table in tables.items() if table}, more={})


def configuration_10a() -> dict[str, Json]:
    """Give the configuration that Datasette 1.0a reads with `-c`: settings, canned queries, how tables are shown."""
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
    said = {key: definition()[key] for key in ("title", "description")}
    return {**said, "databases": {_database_name(): {**said, "tables": dict(tables), **more}}}


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
    """Copy a data folder's ledger into `out`, write both styles of configuration beside it, and give how to serve it.

    Raises what `read_ledger` raises, and `DiskFullError` or `DataReadOnlyError` where `out` cannot be written.
    """
    database = out / LEDGER_NAME
    ledger = read_ledger(data)
    try:
        with translate_storage_errors(out):
            out.mkdir(parents=True, exist_ok=True)
            # It speaks of the copy before: a kill in between must not leave it beside another.
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
    """Serve a data folder's ledger in the foreground until interrupted; see `prepare` and `run` for what they raise."""
    run(prepare(data, data / "cache" / "serve", host=host, port=port))


def run(command: ServeCommand) -> None:
    """Run Datasette in the foreground until it is interrupted; raise `DatasetteError` if it ends by itself, badly."""
    try:
        process = subprocess.Popen(command.argv)
    except OSError as error:
        raise DatasetteError(f"Datasette cannot be started: {error.strerror}", hint="install PPP again") from error
    try:
        status = process.wait()
    except KeyboardInterrupt:
        # The terminal has interrupted it, too; it closes by itself.
        status = 0
        process.wait()
    if status:
        raise DatasetteError(
            f"Datasette ended with status {status}", hint="its last lines say why; --port names another port"
        )
