"""Bring a node's queue into order before something is taken from it: for a run, and for a plan."""

from ppp.ledger.queue_order import prepare
from ppp.model.matrix import Matrix
from ppp.runner.context import LocalNode
from ppp.runner.sharing import leave_to_others


def order_queue(node: LocalNode, matrix: Matrix) -> None:
    """Bring the queue into the order of a matrix's policy, and report what had waited too long and was dropped.

    What the nodes that share the work have checked leaves it.
    """
    store = node.store
    leave_to_others(node)
    done = prepare(store.db, store.path, matrix.queue, now=node.context.now)
    if done.expired:
        cells = "1 cell" if done.expired == 1 else f"{done.expired} cells"
        why = f"waited for more than {matrix.queue.keep_days} days (keep_days of the matrix)"
        node.context.reporter.note(
            f"{cells} that nobody asked for {why}: dropped from the queue, and counted as expired"
        )
