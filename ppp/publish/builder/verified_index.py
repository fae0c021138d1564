"""Update the simple indexes of what passed: pages of changed packages, of those that need them, and of those that aged.

A project's page follows from its own files, from which of its needs the index lists, and with a cooldown from the time
of the newest observation. So after new records few pages are rendered again: those of the packages that changed, of
their dependents, and of packages with a file that has become old enough since.
"""

from collections import OrderedDict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Final

from packaging.version import Version
from sqlite_utils import Database

from ppp.ledger import published
from ppp.model.matrix import Environment
from ppp.model.site_bound import SiteBound
from ppp.publish.builder.mirrored import projects_of
from ppp.publish.builder.page_choice import ranked_packages
from ppp.publish.builder.plan import BuildPlan
from ppp.publish.builder.verified_inputs import VerifiedInputs
from ppp.publish.builder.workers import BuildWorkers, IndexedPackage
from ppp.publish.builder.writer import OutputWriter
from ppp.publish.cache.build_cache import BuildCache, Owner, OwnerKind
from ppp.publish.page_budget import Room
from ppp.publish.verified_index.closure import marker_values, open_needs
from ppp.publish.verified_index.listing import IndexName, VerifiedPackage, VerifiedProject, matured, next_maturity
from ppp.publish.verified_index.pages import ProjectPage, estimated_room, index_folder, root_files
from ppp.publish.verified_index.read import CopiesOfFiles, read_verified
from ppp.publish.verified_index.store import IndexPageCount, IndexSummary, VerifiedStore

#: How many packages are read together, and how many dependencies' listings stay in memory.
_CHUNK: Final = 1_000
_KEPT: Final = 20_000


def index_share(bound: SiteBound) -> Room:
    """Return how much of a bounded site the indexes may take: a tenth of its bytes and a fifth of its files."""
    return Room(bound.max_bytes // 10, bound.max_files // 5)


class IndexUpdate:
    """One update of the indexes: see the module."""

    def __init__(
        self,
        store: VerifiedStore,
        inputs: VerifiedInputs,
        environments: Sequence[Environment],
        *,
        as_of: int | None,
    ) -> None:
        """Keep what pages depend on; `as_of` is in epoch seconds, None without any record."""
        self._store = store
        self._inputs = inputs
        self._environments = {environment.id: marker_values(environment.python) for environment in environments}
        self._as_of = as_of or 0
        self._listed: OrderedDict[str, VerifiedPackage] = OrderedDict()

    @property
    def indexes(self) -> list[IndexName]:
        """Return all indexes: two for each environment."""
        days = (None, self._inputs.days)
        return [IndexName(environment=each, days=some) for each in self._environments for some in days]

    def read(self, db: Database, packages: Iterable[str]) -> dict[str, frozenset[str] | None]:
        """Read packages from the ledger; return those whose listing may be another one now, each with its versions.

        These are the ones that changed, and those with a file that became old enough.
        """
        # First: what is stored below is due at another time.
        due = self._store.due(self._as_of)
        remaining = iter(sorted(packages))
        copies = CopiesOfFiles(files=self._inputs.mirrored, requirements=self._inputs.metadata.requirements)
        changed: dict[str, frozenset[str] | None] = {}
        while some := [*islice(remaining, _CHUNK)]:
            for package in read_verified(db, self._inputs.index_files, some, copies):
                if (versions := self._replace(package)) is not None:
                    changed[package.package] = versions
        for name, since in due.items():
            package = self._store.get(name)
            self._replace(package)
            matured = package.matured_versions(days=self._inputs.days, first=since, last=self._as_of)
            changed[name] = (changed.get(name) or frozenset()) | matured
        return changed

    def _replace(self, package: VerifiedPackage) -> frozenset[str] | None:
        matures_at = next_maturity(package, as_of=self._as_of, days=self._inputs.days)
        return self._store.replace(package, room=estimated_room(package), matures_at=matures_at)

    def pages(self, packages: Iterable[str], renamed: set[str]) -> Iterator[IndexedPackage]:
        """Yield packages with their pages; add to `renamed` the folders of indexes whose list of names changed."""
        for name in sorted(packages):
            package = self._store.get_listed(name)
            pages = [page for index in self.indexes if (page := self._page(package, index)) is not None]
            counts = {
                index_folder(page.index): IndexPageCount(len(page.files), bool(page.open_needs)) for page in pages
            }
            renamed |= self._store.set_pages(name, counts)
            yield IndexedPackage(name, pages)

    def _page(self, package: VerifiedPackage, index: IndexName) -> ProjectPage | None:
        project = self._part(package, index)
        if not project.files:
            return None
        needs = open_needs(project, lambda name: self._versions(name, index), self._environments[index.environment])
        return ProjectPage(index=index, project=package.package, files=project.files, open_needs=needs)

    def _part(self, package: VerifiedPackage, index: IndexName) -> VerifiedProject:
        project = package.projects.get(index.environment, VerifiedProject(files=()))
        return project if index.days is None else matured(project, as_of=self._as_of, days=index.days)

    def _versions(self, name: str, index: IndexName) -> Mapping[Version, bool]:
        package = self._listed.pop(name, None) or self._store.get_listed(name)
        self._listed[name] = package
        if len(self._listed) > _KEPT:
            self._listed.popitem(last=False)
        return self._part(package, index).versions

    def choose(self, ranked: Iterable[str], bound: SiteBound | None) -> set[str]:
        """Decide which packages there is room for, by rank; return those for which that changed."""
        return self._store.set_listed(None if bound is None else self._fitting(ranked, index_share(bound)))

    def _fitting(self, ranked: Iterable[str], room: Room) -> frozenset[str] | None:
        if room.has(Room.of(*self._store.whole_room())):
            return None
        chosen: set[str] = set()
        for package in ranked:
            taken = self._store.room(package)
            if taken is None:
                continue
            if not room.has(Room.of(*taken)):
                break
            room = room.minus(Room.of(*taken))
            chosen.add(package)
        return frozenset(chosen)


def update_indexes(
    db: Database,
    cache: BuildCache,
    writer: OutputWriter,
    workers: BuildWorkers,
    plan: BuildPlan,
    *,
    bound: SiteBound | None,
) -> list[IndexSummary]:
    """Write the indexes' pages that changed, and return what each index lists now.

    Where a bound leaves no room for all packages, those are listed that get pages first.
    """
    store = cache.verified
    update = IndexUpdate(store, plan.inputs.verified, plan.environments, as_of=published.as_of(db))
    changed = update.read(db, {*plan.packages, *projects_of(store.replace_mirrored(plan.inputs.verified.mirrored))})
    # All of a package is listed, or nothing.
    changed |= dict.fromkeys(update.choose(ranked_packages(db, cache.listings), bound))
    renamed: set[str] = set()
    for result in workers.write_indexed(update.pages({*changed, *store.dependents(changed)}, renamed)):
        writer.add(result.owned, result.written)
    for index in update.indexes:
        folder = index_folder(index)
        if folder in renamed:
            names = store.names(folder)
            for path, content in root_files(index, names):
                # An index that lists nothing would be two files that say so.
                writer.put(path, content if names else None, Owner(OwnerKind.SIMPLE, path))
    return [_summary(store, environment.id, plan.inputs.verified.days) for environment in plan.environments]


def _summary(store: VerifiedStore, environment: str, days: int) -> IndexSummary:
    folders = [index_folder(IndexName(environment=environment, days=some)) for some in (None, days)]
    return IndexSummary(
        environment=environment,
        listed=store.totals(folders[0]),
        old_enough=store.totals(folders[1]),
        days=days,
        left_out=store.left_out(environment),
        without_room=store.without_room(),
    )
