"""An upgrade and the way back, by the commands of docs/operations.md as they stand in it."""

import os
import re
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Final

from older_ledger import MIGRATIONS, make_older_ledger
from sqlite_utils import Database

from ppp.ledger.backup import back_up
from ppp.ledger.schema import LEDGER_NAME
from ppp.mesh.node import load_or_create_key
from ppp.model.errors import LedgerTooNewError
from ppp.model.record import Record

PAGE: Final = Path(__file__).parents[2] / "docs" / "operations.md"
BEFORE, AFTER, BACK = re.findall(r"^```sh\n(.*?)^```", PAGE.read_text("utf-8"), re.DOTALL | re.MULTILINE)


class Shell:
    """A shell in the folder of a node, whose `ppp` is this one."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        program = folder / "bin" / "ppp"
        program.parent.mkdir(parents=True)
        program.write_text(f'#!/bin/sh\nexec {sys.executable} -m ppp "$@"\n', "utf-8")
        program.chmod(0o755)

    def run(self, script: str, **variables: str) -> tuple[int, str]:
        """Run a script until its first error; return its exit status, and all that it says."""
        settings = {name: value for name, value in os.environ.items() if not name.startswith("PPP_")}
        path = f"{self.folder / 'bin'}:{os.environ['PATH']}"
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", script],
            cwd=self.folder,
            env={**settings, "PATH": path, **variables},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=60,
            check=False,
        )
        return done.returncode, done.stdout

    def records(self) -> int:
        with closing(sqlite3.connect(self.folder / "data" / LEDGER_NAME)) as db:
            (count,) = db.execute("SELECT count(*) FROM records").fetchone()
        return int(count)


def test_the_commands_of_an_upgrade_and_of_the_way_back(tmp_path: Path, record: Callable[..., Record]) -> None:
    data = tmp_path / "node" / "data"
    data.mkdir(parents=True)
    shell = Shell(tmp_path / "node")
    load_or_create_key(data, None)
    older = len(MIGRATIONS) - 1
    make_older_ledger(data / LEDGER_NAME, [record()], schema=older, folder=tmp_path / "now")

    assert shell.run(BEFORE)[0] == 0
    status, said = shell.run(AFTER)
    assert status == 0, said
    (named,) = re.findall(r"as it was before: (.*)", said)
    assert re.fullmatch(rf"data/ppp-m00{older}-\d{{8}}T\d{{6}}Z\.db", named)
    kept = [tmp_path / "node" / named, tmp_path / "node" / "elsewhere" / "ppp.db"]
    assert all(path.exists() for path in kept)

    # The next version comes, and this one is the older one of the two.
    newer = len(MIGRATIONS) + 1
    back_up(data / LEDGER_NAME, data / f"ppp-m00{newer - 1}-20990101T000000Z.db")
    with closing(sqlite3.connect(data / LEDGER_NAME)) as db:
        row = {"migration_set": "ppp", "name": f"m{newer:03}_later", "applied_at": "2099"}
        Database(db).table("_sqlite_migrations").insert(row)
        db.execute("PRAGMA foreign_keys = OFF")
        db.execute("DELETE FROM results")
        db.commit()
    status, said = shell.run("ppp health")
    assert status == LedgerTooNewError.exit_code
    (backup,) = re.findall(r"go back to (\S+), which", said)
    status, said = shell.run(BACK, BACKUP=backup)
    assert status == 0, said
    assert shell.records() == 1
    assert (data / "newer" / LEDGER_NAME).exists()
