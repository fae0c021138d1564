"""Answer what is known about requirements: from the local ledger, or from what another node publishes."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from ppp.config import Config
from ppp.ledger.knowledge import known_environments, read_knowledge
from ppp.ledger.schema import read_ledger
from ppp.matrix_files import shipped_matrices
from ppp.model.answers import Answer, Knowledge, answer
from ppp.model.errors import RequirementsError, UnknownEnvironmentError
from ppp.model.matrix import Environment, environment_sort_key
from ppp.model.printable import first_of
from ppp.model.release import RequestedPackage
from ppp.runner.published_knowledge import PublishedKnowledge
from ppp.watch.markers import applies_in
from ppp.watch.pylock import read_requirements
from ppp.watch.watchlist import WatchlistEntry

#: More packages than any real environment has; of another node, each is a request.
MAX_PACKAGES: Final = 2_000


@dataclass(frozen=True, slots=True, kw_only=True)
class _Source:
    """Where knowledge comes from: its environments, and what it knows of a package."""

    environments: Sequence[str]
    read: Callable[[str], Knowledge]


def read_wanted(named: Iterable[RequestedPackage], files: Iterable[Path]) -> tuple[list[WatchlistEntry], list[str]]:
    """Return what is asked about, in order without duplicates, and notes on what the files' lines were dropped.

    Raise `RequirementsError` for a file that is invalid, for nothing at all, and for more than `MAX_PACKAGES`.
    """
    entries = [WatchlistEntry(wanted=wanted, line=0) for wanted in named]
    notes: list[str] = []
    for file in files:
        read = read_requirements(file)
        entries += read.entries
        notes += [f"{file}: {note}" for note in read.notes]
    entries = list({(entry.wanted, str(entry.marker)): entry for entry in entries}.values())
    if not entries:
        raise RequirementsError("nothing is asked about", hint="name a package, or a file with -r")
    if len(entries) > MAX_PACKAGES:
        raise RequirementsError(
            f"{len(entries):,} packages are asked about, and {MAX_PACKAGES:,} is the limit", hint="ask in parts"
        )
    return entries, notes


def ask(
    config: Config, entries: Sequence[WatchlistEntry], environments: Sequence[str], *, url: str = ""
) -> list[Answer]:
    """Return the answer for each entry, from the local ledger or from the node that publishes at `url`.

    Without `environments`, all that the source knows are answered. Raise `UnknownEnvironmentError` for one that it does
    not know, and the errors of reading the ledger or the node.
    """
    with _open_source(config, url) as source:
        chosen = _choose(source.environments, environments)
        known_rows = {row.id: row for matrix in shipped_matrices().values() for row in matrix.environments}
        return [
            answer(
                entry.wanted,
                source.read(entry.wanted.package),
                {id_: _is_needed(entry, known_rows.get(id_)) for id_ in chosen},
            )
            for entry in entries
        ]


@contextmanager
def _open_source(config: Config, url: str) -> Iterator[_Source]:
    if url:
        with PublishedKnowledge.connect(url, user_agent=config.user_agent) as published:
            yield _Source(environments=published.environments(), read=published.read)
    else:
        with closing(read_ledger(config.data)) as db:
            yield _Source(environments=known_environments(db), read=lambda package: read_knowledge(db, package))


def _choose(known: Sequence[str], wanted: Sequence[str]) -> list[str]:
    ordered = sorted(known, key=environment_sort_key)
    if missing := [id_ for id_ in wanted if id_ not in known]:
        raise UnknownEnvironmentError(
            f"nothing is known of {first_of(missing, 3)}",
            hint=f"known are {', '.join(ordered)}" if ordered else "nothing was checked yet: `ppp run` does",
        )
    return [*dict.fromkeys(wanted)] or ordered


def _is_needed(entry: WatchlistEntry, environment: Environment | None) -> bool:
    # Where it is not known whether the marker is true, the answer is about the package all the same.
    return environment is None or applies_in(entry.marker, environment, {}) is not False
