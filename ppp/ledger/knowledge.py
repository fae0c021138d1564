"""What the ledger knows of a package: every checked release, with its current result in each environment."""

from itertools import groupby

from sqlite_utils import Database

from ppp.model.answers import CheckedCell, CheckedRelease, Knowledge
from ppp.model.record import Result


def read_knowledge(db: Database, package: str) -> Knowledge:
    """Return all checked releases of a package, newest first; none if it was never checked."""
    rows = db.execute(
        "SELECT version, environment, result, cause, detail, blame, standin FROM judged WHERE package = ?"
        " ORDER BY version_key DESC, environment",
        (package,),
    ).fetchall()
    releases = [
        CheckedRelease(
            version=version,
            cells={
                environment: CheckedCell(
                    result=Result(result), cause=cause, detail=detail, blame=blame, standin=bool(standin)
                )
                for _, environment, result, cause, detail, blame, standin in cells
            },
        )
        for version, cells in groupby(rows, lambda row: row[0])
    ]
    return Knowledge(releases=releases)


def known_environments(db: Database) -> list[str]:
    """Return the environments in which anything was checked, by id."""
    rows = db.execute("SELECT environment FROM environments ORDER BY environment").fetchall()
    return [environment for (environment,) in rows]
