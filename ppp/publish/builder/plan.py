"""What a build has to do: the packages and batches to write, and what else the site shows."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from sqlite_utils import Database

from ppp.episode_audio import EpisodeAudio
from ppp.ledger import published
from ppp.ledger.batches import PackedBatch
from ppp.ledger.downloads import PeriodSource, newest_source
from ppp.model.canonical import sha256_hex
from ppp.model.matrix import Environment
from ppp.model.site_address import SiteAddresses
from ppp.model.site_bound import SiteBound
from ppp.publish.api.older_batches import OLDER_BATCHES
from ppp.publish.batch_budget import BatchChoice
from ppp.publish.builder.changes import EVERYTHING, ChangedPackages, find_changes, index_position
from ppp.publish.builder.verified_inputs import VerifiedInputs
from ppp.publish.cache.build_cache import BuildCache, Owner, OwnerKind
from ppp.publish.episodes.listing import EpisodeListing, read_listing_of_episodes
from ppp.publish.folder import OutputFolder
from ppp.publish.journal.changes import JournalChanges, find_journal_changes
from ppp.publish.snapshots.description import Snapshot, complete_snapshots


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanInputs:
    """What a site depends on beside the ledger, and what its bound means.

    `batches` says which of them are published, `older_url` where people find the others, and `partial` whether the
    bound may leave no room for a page of each package. `verified` are the inputs of the simple indexes; `locks` says
    whether there is room for locks. `audio` is that of the episodes which are published with it.
    """

    addresses: SiteAddresses
    bound: SiteBound | None
    partial: bool
    batches: BatchChoice
    older_url: str | None
    verified: VerifiedInputs
    locks: bool = False
    audio: tuple[EpisodeAudio, ...] = ()

    @property
    def choices(self) -> dict[str, object]:
        """Return what decides about every page."""
        return {"partial": self.partial, "locks": self.locks, "cooldown days": self.verified.days}

    @property
    def choice(self) -> str | None:
        """Return a text of what decides about pages and batches; None: all of them are published."""
        if self.batches.older:
            return f"{self.bound} {self.older_url}"
        return str(self.bound) if self.partial else None


@dataclass(frozen=True, slots=True, kw_only=True)
class BuildPlan:
    """What to build; `packages` and `batches` are those whose files are written, by name and by id.

    `removed_batches` are those whose files have no room any more, `older_batches` all that have none. `queued` are
    environments without results for which cells are queued. These, `episodes`, `snapshots`, `journal` and `downloads`
    are what the site shows apart from records, `journal` None where none is followed, `downloads` None where none are
    known; `unchanged` is True where nothing has changed.
    """

    inputs: PlanInputs
    environments: Sequence[Environment]
    queued: Sequence[Environment]
    changes: ChangedPackages
    packages: Sequence[str]
    batches: Sequence[str]
    removed_batches: Sequence[str]
    older_batches: Sequence[PackedBatch]
    episodes: EpisodeListing
    snapshots: Sequence[Snapshot]
    journal: JournalChanges | None
    downloads: PeriodSource | None
    unchanged: bool
    #: Up to where what the index said of files is read, see `IndexFiles.position`.
    index_read: list[int] | None = None

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
    def has_locks(self) -> bool:
        """Return whether locks may be published: something is known of what the index said of files."""
        return self.inputs.locks and self.index_read is not None and self.index_read[1] > 0

    @property
    def other_inputs(self) -> str:
        """Return a digest (hex) of what the site shows apart from records."""
        journal = self.journal and self.journal.digest
        choice, copies = self.inputs.choice, sorted(self.inputs.verified.mirrored)
        episodes = self.episodes.digest
        inputs = (self.queued, episodes, self.snapshots, journal, self.downloads, choice, self.has_locks, copies)
        return sha256_hex(repr(inputs).encode())


def read_plan(
    db: Database,
    cache: BuildCache,
    folder: OutputFolder,
    out: Path,
    inputs: PlanInputs,
    *,
    rebuild: bool,
) -> BuildPlan:
    """Read what has changed since the build that the cache describes; `rebuild` takes everything as changed."""
    index_files = inputs.verified.index_files
    index_read = index_position(index_files)  # first: what is added meanwhile is read by the next build
    environments = published.observed_environments(db)
    changes = EVERYTHING
    if not rebuild:
        addresses, choices = inputs.addresses, inputs.choices
        changes = find_changes(
            db, cache, folder, environments, addresses=addresses, choices=choices, index_files=index_files
        )
    batches = inputs.batches
    # A batch never changes: files that the cache lists are not looked at again.
    written = set() if changes.packages is None else set(cache.owners(OwnerKind.BATCHES))
    kept = {batch.id for batch in batches.kept}
    new_batches, old_batches = sorted(kept - written), sorted(written - kept - {OLDER_BATCHES})
    journal, downloads = find_journal_changes(db, cache, changes.packages), newest_source(db)
    plan = BuildPlan(
        inputs=inputs,
        environments=environments,
        queued=published.queued_environments(db),
        changes=changes,
        packages=published.list_packages(db) if changes.packages is None else changes.packages,
        batches=new_batches,
        removed_batches=old_batches,
        older_batches=batches.older,
        episodes=read_listing_of_episodes(db, cache, inputs.audio),
        snapshots=complete_snapshots(out),
        journal=journal,
        downloads=downloads,
        unchanged=False,
        index_read=index_read,
    )
    nothing_new = changes.packages is not None and not (changes.packages or new_batches or old_batches)
    return replace(plan, unchanged=nothing_new and cache.fact("other inputs") == plan.other_inputs)
