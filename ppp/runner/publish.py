"""Publish: seal this node's records into batches, build the public folder, sign what it holds. Take snapshots."""

from pathlib import Path
from typing import Final

from ppp.ledger import batches, queries
from ppp.ledger.peers import list_peers
from ppp.ledger.schema import LEDGER_NAME
from ppp.ledger.statements import statement_files
from ppp.mesh import statement
from ppp.mesh.batch import verify_own_batch
from ppp.mesh.history import peers_file
from ppp.mesh.peers_file import PEERS_NAME
from ppp.model.errors import MirrorIncompleteError, SnapshotRoomError
from ppp.model.printable import first_of
from ppp.model.site_bound import SiteBound, snapshot_share
from ppp.publish import build, text
from ppp.publish.builder.verified_index import index_share
from ppp.publish.folder import write_statements
from ppp.publish.page_budget import Room
from ppp.publish.snapshots.database import utc_day
from ppp.publish.snapshots.description import SNAPSHOTS_FOLDER, SnapshotKind, complete_snapshots
from ppp.publish.snapshots.retention import RetentionPolicy
from ppp.publish.snapshots.take import TakenSnapshots, take
from ppp.runner.context import Context, LocalNode
from ppp.runner.mirror import MirrorReport, evict, fill_mirror
from ppp.runner.mirror import describe as describe_mirror

#: What a site lacks whose address nobody has said.
UNKNOWN_ADDRESS: Final = (
    "PPP_BASE_URL is not set: links in feeds are relative or missing, and there is neither a sitemap nor Markdown for"
    " badges; set it to the address at which the public folder is published"
)


def seal(node: LocalNode) -> tuple[str, ...]:
    """Put this node's records that no batch holds yet into signed batches, and return the ids of these.

    Each batch passes the verifier that peers use before it is signed. A record that peers would reject stays out, and
    is named in a warning each time until they would accept it: all other records are published.
    """

    def verify(data: bytes) -> None:
        verify_own_batch(data, node=node.key.id, now=node.context.now)

    report = batches.seal(node.store, node=node.key.id, sign=node.key.sign, verify=verify)
    for record, refused in report.refused.items():
        node.context.reporter.warn(
            f"the record {record} of {refused.cell} is in no batch, because peers would reject it: {refused.mistake}"
        )
    return report.batches


def publish(node: LocalNode, *, with_snapshot: bool = False, with_mirror: bool = False) -> Path:
    """Seal, build the public folder from the ledger, and sign a statement of what it holds; return the front page.

    The three steps are one, so that a published record is always in a signed batch: peers fetch batches. With a
    snapshot, snapshots are taken first, unless there is one of the newest day on which something was observed. With a
    mirror, files are copied first, and copies that have no room any more are removed at the end; raise
    `MirrorIncompleteError` once all is published if some could not be copied.
    """
    seal(node)
    if with_snapshot and _lacks_snapshot(node):
        try:
            _take_snapshots(node)
        except SnapshotRoomError as error:
            # The site is what counts; a snapshot is an extra of it.
            node.context.reporter.warn(f"published without a snapshot: {error}")
    config = node.context.config
    mirrored = fill_mirror(node) if with_mirror else None
    built = build.build(
        node.store.db,
        config.public,
        base_url=config.base_url,
        repository_url=config.repository_url,
        datasette_url=config.datasette_url,
        cache_path=config.cache / "publish.db",
        bound=config.site_bound,
        older_url=config.older_batches_url,
        index_files=config.data,
        audio=config.data,
        cooldown_days=config.cooldown_days,
        copies=mirrored.copies if mirrored else None,
    )
    statement.issue(
        node.store,
        node.key,
        current_sha256=built.current_sha256,
        files_sha256=built.files_sha256,
        root=built.root,
        records=built.records,
        images=queries.image_digests(node.store.db, node.key.id),
        pip_version=queries.newest_pip_version(node.store.db, node.key.id) or "",
        now=node.context.now,
    )
    write_seen_statements(node)
    write_statements(config.public, statement_files(node.store.db, node.key.id))
    _tell(node.context, built)
    if mirrored:
        _finish_mirror(node.context, mirrored)
    return config.public / "index.html"


def _tell(context: Context, built: build.BuildResult) -> None:
    """Note what a build wrote, what it lacks, and how much of its bound it takes."""
    config = context.config
    context.reporter.note(f"wrote {len(built.written)} of {built.files} published files")
    if built.without_lock:
        context.reporter.note(describe_missing_locks(built.without_lock))
    if config.site_bound:
        context.reporter.note(describe_room(built, config.site_bound))
        context.reporter.note(describe_snapshots(config.public, config.site_bound))
        if built.index_files:
            context.reporter.note(describe_indexes(built, config.site_bound))


def _finish_mirror(context: Context, mirrored: MirrorReport) -> None:
    """Remove copies that no page names any more, and tell what is mirrored; raise if something could not be copied."""
    evict(context.config.public, mirrored.copies)
    for line in describe_mirror(mirrored):
        context.reporter.note(line)
    if mirrored.failures:
        raise MirrorIncompleteError(
            f"published, but {len(mirrored.failures)} files could not be copied: {first_of(mirrored.failures, 3)}",
            hint="what the mirror lacks stays at its upstream address; run it again: what has arrived is kept",
        )


def warn_of_unknown_address(context: Context) -> None:
    """Warn of what a site lacks whose address is not known; commands that do more than publish leave it out."""
    if not context.config.base_url:
        context.reporter.warn(UNKNOWN_ADDRESS)


def describe_room(built: build.BuildResult, bound: SiteBound) -> str:
    """Return how many packages have pages, and how much of the bound all files of a build take."""
    others = built.all_packages - built.pages
    pages = f"{text.grouped(built.pages)} of {text.grouped(built.all_packages)} packages have pages"
    looked_up = f", {text.grouped(others)} are looked up in lookup/index.html" if others else ""
    taken = Room.of(built.bytes, built.files)
    older = f"; {text.grouped(built.older_batches)} older batches have no room" if built.older_batches else ""
    return (
        f"{pages}{looked_up}{older}; the site takes {text.size(taken.bytes)} of {text.size(bound.max_bytes)}"
        f" and {text.grouped(taken.files)} of {text.grouped(bound.max_files)} files"
    )


def describe_missing_locks(count: int) -> str:
    """Return how many passes have no lock, and what to do about it."""
    passes = "1 pass has no lock" if count == 1 else f"{text.grouped(count)} passes have no lock"
    return f"{passes}: addresses of files are not known here; `ppp lock --complete` reads them from the index"


def describe_indexes(built: build.BuildResult, bound: SiteBound) -> str:
    """Return how much of their share of the bound the simple indexes take, and what they have no room for."""
    share = index_share(bound)
    others = f"; {text.grouped(built.without_index)} packages of lower rank are in none" if built.without_index else ""
    return (
        f"simple indexes take {text.size(built.index_bytes)} of their {text.size(share.bytes)}"
        f" and {text.grouped(built.index_files)} of their {text.grouped(share.files)} files{others}"
    )


def describe_snapshots(public: Path, bound: SiteBound) -> str:
    """Return how much of their share of the bound the snapshots of a public folder take, `latest` among them."""
    taken = sum(path.lstat().st_size for path in (public / SNAPSHOTS_FOLDER).glob("*"))
    return f"snapshots take {text.size(taken)} of their {text.size(snapshot_share(bound) or 0)}; the oldest make room"


def write_seen_statements(node: LocalNode) -> None:
    """Write which statements this node has seen of its peers into the public folder, if there is one.

    No statement of this node covers that file: nodes that follow each other would otherwise issue statements for ever.
    """
    public = node.context.config.public
    if public.is_dir() and (list_peers(node.store.db) or (public / PEERS_NAME).exists()):
        write_statements(public, [(PEERS_NAME, peers_file(node.store.db))])


def snapshot(node: LocalNode) -> TakenSnapshots:
    """Seal, write snapshots of the ledger into the public folder, and publish it with them.

    Older snapshots that the settings do not keep are removed.
    """
    # A snapshot holds the batches too.
    seal(node)
    taken = _take_snapshots(node)
    publish(node)
    return taken


def _lacks_snapshot(node: LocalNode) -> bool:
    (newest,) = node.store.db.execute("SELECT max(observed_at) FROM records").fetchone()
    if newest is None:
        return False
    days = {one.last_day for one in complete_snapshots(node.context.config.public) if one.kind is SnapshotKind.DAY}
    return utc_day(newest) not in days


def _take_snapshots(node: LocalNode) -> TakenSnapshots:
    config = node.context.config
    policy = RetentionPolicy(
        days=config.snapshot_days,
        weeks=config.snapshot_weeks,
        window_bytes=config.window_mib * 1024 * 1024,
        max_bytes=snapshot_share(config.site_bound),
    )
    return take(config.data / LEDGER_NAME, config.public, policy)
