"""Share the work with other nodes: what this one checks, and what leaves its queue because others have checked it."""

from typing import Final

from ppp.config import Config
from ppp.ledger.queue_shares import CheckedElsewhere, checked_elsewhere, leave_queue
from ppp.mesh.trust import shipped_keys, trusted_nodes
from ppp.model.errors import ConfigError
from ppp.model.printable import first_of
from ppp.runner.context import LocalNode
from ppp.watch.shares import Share, WorkShare

#: How many nodes a warning names.
MAX_NAMED: Final = 3


def work_share(config: Config, node: str | None, *, shard: Share | None = None) -> WorkShare | None:
    """Return what a run of a node checks of its queue; None if that is all of it.

    `node` is the node's id, None if it has no key yet. Raise `ConfigError` if the setting does not name it.
    """
    if not config.share_nodes:
        return None if shard is None else WorkShare(shard=shard)
    if node not in config.share_nodes:
        which = "which has no key yet" if node is None else node
        raise ConfigError(
            f"PPP_SHARE_NODES does not name this node, {which}",
            hint="add its key (`ppp node show`), or unset PPP_SHARE_NODES to check everything here",
        )
    own = Share(own=node, nodes=config.share_nodes, replicas=config.replicas)
    return WorkShare(node=own, shard=shard)


def leave_to_others(node: LocalNode) -> int:
    """Take out of the queue what the nodes that share the work have checked; return how many cells that were.

    Of what is in the shares of others, one verdict will do; of what is in this node's own, as many as there are to be.
    Only trusted nodes count. One that is not trusted is reported: what it checks never comes here.
    """
    share = work_share(node.context.config, node.key.id)
    if share is None or share.node is None:
        return 0
    trusted = trusted_nodes(node.store.db, node.key.id, shipped_keys())
    if unknown := sorted({*share.node.others} - trusted):
        count = "a node" if len(unknown) == 1 else f"{len(unknown)} nodes"
        node.context.reporter.warn(
            f"PPP_SHARE_NODES names {count} that this one does not trust: {first_of(unknown, MAX_NAMED)};"
            " what is in their shares stays queued (`ppp peer add`, `ppp peer trust`)"
        )
    needed = min(share.node.replicas, len(share.node.nodes))

    def is_done(one: CheckedElsewhere) -> bool:
        return one.nodes >= needed or not share(one.cell.release.package, one.cell.release.version, one.source)

    others = {*share.node.others} & trusted
    found = [one for one in checked_elsewhere(node.store.db, own=node.key.id, others=others) if is_done(one)]
    return leave_queue(node.store, [one.cell for one in found])
