"""What a build has to do: the packages and batches to write, and what else the site shows."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from sqlite_utils import Database

from ppp.ledger import published
from ppp.ledger.batches import list_batches
from ppp.ledger.downloads import PeriodSource, newest_source
from ppp.ledger.episodes import StoredEpisode, newest_episode
from ppp.model.canonical import sha256_hex
from ppp.model.matrix import Environment
from ppp.model.site_bound import SiteBound
from ppp.publish.builder.changes import EVERYTHING, ChangedPackages, find_changes
from ppp.publish.cache.build_cache import BuildCache, Owner, OwnerKind
from ppp.publish.folder import OutputFolder
from ppp.publish.journal.changes import JournalChanges, find_journal_changes
from ppp.publish.snapshots.description import Snapshot, complete_snapshots


@dataclass(frozen=True, slots=True, kw_only=True)
class BuildPlan:
    """What to build; `packages` and `batches` are those whose files are written, by name and by id.

    `episode`, `snapshots`, `journal` and `downloads` are what the site shows apart from records, `journal` None where
    none is followed, `downloads` None where none are known; `unchanged` is True where nothing has changed. `partial` is
    True where not every package gets a page, and `choice` is then a text of the bound, which decides, with records and
    downloads, which ones do.
    """

    environments: Sequence[Environment]
    changes: ChangedPackages
    packages: Sequence[str]
    batches: Sequence[str]
    episode: StoredEpisode | None
    snapshots: Sequence[Snapshot]
    journal: JournalChanges | None
    downloads: PeriodSource | None
    unchanged: bool
    partial: bool = False
    choice: str | None = None

    @property
    def from_scratch(self) -> bool:
        """Return whether everything is written again."""
        return self.changes.packages is None

    @property
    def package_owners(self) -> Iterator[Owner]:
        """Return the packages whose files are written."""
        return (Owner(OwnerKind.PACKAGES, package) for package in self.packages)

    @property
    def batch_owners(self) -> Iterator[Owner]:
        """Return the batches whose files are written."""
        return (Owner(OwnerKind.BATCHES, batch) for batch in self.batches)

    @property
    def other_inputs(self) -> str:
        """Return a digest (hex) of what the site shows apart from records."""
        return _digest(self.episode, self.snapshots, self.journal, self.downloads, self.choice)


def read_plan(
    db: Database,
    cache: BuildCache,
    folder: OutputFolder,
    out: Path,
    *,
    base_url: str,
    rebuild: bool,
    bound: SiteBound | None = None,
    partial: bool = False,
) -> BuildPlan:
    """Read what has changed since the build that the cache describes; `rebuild` takes everything as changed.

    `partial` says whether the site's `bound` may leave no room for a page of each package.
    """
    environments = published.observed_environments(db)
    changes = (
        EVERYTHING if rebuild else find_changes(db, cache, folder, environments, base_url=base_url, partial=partial)
    )
    choice = str(bound) if partial else None
    # A batch never changes: files that the cache lists are not looked at again.
    written = set() if changes.packages is None else set(cache.owners(OwnerKind.BATCHES))
    new_batches = [batch.id for batch in list_batches(db) if batch.id not in written]
    episode, snapshots = newest_episode(db), complete_snapshots(out)
    journal, downloads = find_journal_changes(db, cache, changes.packages), newest_source(db)
    return BuildPlan(
        environments=environments,
        changes=changes,
        packages=published.list_packages(db) if changes.packages is None else changes.packages,
        batches=new_batches,
        episode=episode,
        snapshots=snapshots,
        journal=journal,
        downloads=downloads,
        unchanged=changes.packages is not None
        and not (changes.packages or new_batches)
        and cache.fact("other inputs") == _digest(episode, snapshots, journal, downloads, choice),
        partial=partial,
        choice=choice,
    )


def _digest(
    episode: StoredEpisode | None,
    snapshots: Sequence[Snapshot],
    journal: JournalChanges | None,
    downloads: PeriodSource | None,
    choice: str | None,
) -> str:
    return sha256_hex(repr((episode, snapshots, journal and journal.digest, downloads, choice)).encode())
