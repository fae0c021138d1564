"""Seal records, build and sign the public folder, take snapshots."""

from pathlib import Path

from ppp.ledger import batches, queries
from ppp.ledger.schema import LEDGER_NAME
from ppp.ledger.statements import statement_files
from ppp.mesh import statement
from ppp.publish import build
from ppp.publish import folder as publish_files
from ppp.publish.snapshots.take import RetentionPolicy, TakenSnapshots, take
from ppp.runner.context import LocalNode


def seal(node: LocalNode) -> tuple[str, ...]:
    """Put this node's records that no batch holds yet into signed batches; give their ids."""
    return batches.seal(node.store, node=node.key.id, sign=node.key.sign)


def publish(node: LocalNode) -> Path:
    """Build the public folder from the ledger, then say in a signed statement what it holds; give the front page."""
    out = node.context.config.public
    config = node.context.config
    published = build.build(node.store.db, out, base_url=config.base_url, cache_path=config.cache / "publish.db")
    statement.issue(
        node.store,
        node.key,
        current_sha256=published.current_sha256,
        files_sha256=published.files_sha256,
        root=published.root,
        records=published.records,
        images=queries.image_digests(node.store.db, node.key.id),
        pip_version=queries.newest_pip_version(node.store.db, node.key.id) or "",
        now=node.context.now,
    )
    publish_files.write_statements(out, statement_files(node.store.db))
    node.context.reporter.note(f"published {len(published.written)} files of {published.files}")
    return out / "index.html"


def snapshot(node: LocalNode) -> TakenSnapshots:
    """Write the snapshots of the ledger into the public folder, and remove those that the settings keep no longer."""
    config = node.context.config
    policy = RetentionPolicy(
        days=config.snapshot_days, weeks=config.snapshot_weeks, window_bytes=config.window_mib * 1024 * 1024
    )
    return take(config.data / LEDGER_NAME, config.public, policy)
