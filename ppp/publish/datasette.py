"""Datasette on an immutable copy of the ledger, described and asked by the one definition in `site/datasette/`.

Stable Datasette (0.65) reads everything but its settings from metadata; 1.0a reads canned queries, settings and how
tables are shown from a configuration, and ignores them in metadata. Both are made here.
"""

import json
import subprocess
import sys
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Final

from sqlite_utils import Database

from ppp.config import resource
from ppp.ledger.schema import LEDGER_NAME, read_ledger, sqlite_errors
from ppp.model.errors import DatasetteError
from ppp.model.record import Json

DEFAULT_HOST: Final = "127.0.0.1"
DEFAULT_PORT: Final = 8001
#: What of a ledger is not shown to strangers.
PRIVATE_TABLES: Final = ("peers", "sources")
#: How a table is shown, as against what it says: 1.0a wants these in its configuration.
_SHOWN: Final = ("facets", "sort_desc", "label_column", "hidden")


@dataclass(frozen=True, slots=True, kw_only=True)
class ServeCommand:
    """A Datasette that is ready to start: its arguments, the copy it serves, and where it will answer."""

    argv: tuple[str, ...]
    database: Path
    url: str


@cache
def _definition() -> dict[str, Json]:
    return tomllib.loads(resource("site/datasette/datasette.toml").read_text("utf-8"))


def canned_queries() -> dict[str, dict[str, str]]:
    """Give each canned query's parameters, each with an example, by the query's name."""
    return {name: dict(query.get("params", {})) for name, query in _definition()["queries"].items()}


def metadata_065() -> dict[str, Json]:
    """Give the metadata that Datasette 0.65 reads with `-m`."""
    return _metadata(tables=_definition()["tables"], more={"queries": _queries()})


def metadata_10a() -> dict[str, Json]:
    """Give the metadata that Datasette 1.0a reads with `-m`: descriptions alone."""
    tables = {
        name: {key: value for key, value in table.items() if key not in _SHOWN}
        for name, table in _definition()["tables"].items()
    }
    return _metadata(tables={name: table for name, table in tables.items() if table}, more={})


def configuration_10a() -> dict[str, Json]:
    """Give the configuration that Datasette 1.0a reads with `-c`: settings, canned queries, how tables are shown."""
    definition = _definition()
    tables = {name: {key: table[key] for key in _SHOWN if key in table} for name, table in definition["tables"].items()}
    return {
        "settings": definition["settings"],
        "databases": {
            _database_name(): {
                "queries": _queries(),
                "tables": {name: table for name, table in tables.items() if table},
            }
        },
    }


def _metadata(*, tables: Mapping[str, Json], more: Mapping[str, Json]) -> dict[str, Json]:
    definition = _definition()
    said = {"title": definition["title"], "description": definition["description"]}
    return {**said, "databases": {_database_name(): {**said, "tables": dict(tables), **more}}}


def _queries() -> dict[str, Json]:
    return {
        name: {
            "title": query["title"],
            "description": _with_examples(query["description"], query.get("params", {})),
            "sql": query["sql"].strip(),
            **({"params": list(query["params"])} if "params" in query else {}),
        }
        for name, query in _definition()["queries"].items()
    }


def _with_examples(description: str, params: Mapping[str, str]) -> str:
    examples = ", ".join(f"{name} = {example}" for name, example in params.items())
    return f"{description} For example: {examples}." if examples else description


def _database_name() -> str:
    return Path(LEDGER_NAME).stem


def prepare(data: Path, out: Path, *, host: str = DEFAULT_HOST, port: int = DEFAULT_PORT) -> ServeCommand:
    """Copy a data folder's ledger into `out`, write both styles of configuration beside it, and give how to serve it.

    Raises what `read_ledger` raises, and `DiskFullError` or `DataReadOnlyError` where `out` cannot be written.
    """
    database = out / LEDGER_NAME
    ledger = read_ledger(data)
    try:
        with sqlite_errors(out):
            out.mkdir(parents=True, exist_ok=True)
            part = database.with_name(f".{LEDGER_NAME}.part")
            part.unlink(missing_ok=True)
            # A whole, compact file of one moment, whoever writes the ledger meanwhile.
            ledger.execute("VACUUM INTO ?", (str(part),))
            _drop_private(part)
            part.replace(database)
            metadata = _write(out / "metadata.json", metadata_065())
            _write(out / "1.0a" / "metadata.json", metadata_10a())
            _write(out / "1.0a" / "datasette.json", configuration_10a())
    finally:
        ledger.close()
    settings = [
        argument
        for name, value in _definition()["settings"].items()
        for argument in ("--setting", name, json.dumps(value))
    ]
    argv = (
        *(sys.executable, "-m", "datasette", "serve", "-i", str(database), "-m", str(metadata)),
        *("--plugins-dir", str(resource("site/datasette/plugins")), "-h", host, "-p", str(port), *settings),
    )
    return ServeCommand(argv=argv, database=database, url=f"http://{host}:{port}/{_database_name()}")


def _drop_private(database: Path) -> None:
    # Whom a node listens to is its own business, and no query's.
    db = Database(database)
    try:
        with db.atomic():
            for table in PRIVATE_TABLES:
                db.table(table).drop()
        db.vacuum()
    finally:
        db.close()


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
