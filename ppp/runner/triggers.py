"""Queue what a new release of a dependency, a new image or a new pip may have broken or fixed: read, decide, write.

A run and a plan for shards queue the same of the same ledger. They differ in how they know what environments contain: a
run has them at hand (`ready_contents`), a plan knows what this node's newest records say of them (`recorded_contents`).
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass

from ppp.ledger import dependents, triggers
from ppp.ledger.triggers import TriggeredChecks
from ppp.model.matrix import Environment
from ppp.model.queue_policy import QueuePolicy
from ppp.model.record import Network
from ppp.model.trigger import Trigger, TriggerKind
from ppp.runner.context import LocalNode
from ppp.runner.environments import ReadyEnvironments
from ppp.runner.rechecks import changed_checks, dependency_checks


@dataclass(frozen=True, slots=True, kw_only=True)
class Contents:
    """What an environment contains: the name of its image and its digest (None on the host platform), and its pip."""

    image: str
    image_digest: str | None
    pip_version: str

    @property
    def triggers(self) -> tuple[Trigger, ...]:
        """Return what is a trigger where it is new: the image, if there is one, and pip."""
        pip = Trigger(kind=TriggerKind.PIP, name="pip", version=self.pip_version)
        if self.image_digest is None:
            return (pip,)
        return Trigger(kind=TriggerKind.IMAGE, name=self.image, version=self.image_digest), pip


def ready_contents(ready: ReadyEnvironments) -> Mapping[str, Contents]:
    """Return what environments that are ready contain, by id; only of those behind the gateway."""
    return {
        id_: Contents(
            image=prepared.environment.image, image_digest=prepared.image_digest, pip_version=prepared.pip_version
        )
        for id_, prepared in ready.prepared.items()
        if prepared.network is Network.GATEWAY
    }


def recorded_contents(node: LocalNode, environments: Collection[Environment]) -> Mapping[str, Contents]:
    """Return what environments contained when this node last checked something there; only if behind the gateway."""
    found: dict[str, Contents] = {}
    for environment in environments:
        seen = dependents.read_newest_setting(node.store.db, environment.id, node.key.id)
        if seen and seen.network is Network.GATEWAY:
            found[environment.id] = Contents(
                image=environment.image, image_digest=seen.image_digest, pip_version=seen.pip_version
            )
    return found


def _nothing_is_cached(_: str) -> None:
    """Do nothing: what takes the place of forgetting a page where no gateway runs."""


class RecheckQueue:
    """Queues the re-checks of one run or plan, as many as the policy of the queue allows.

    Releases of the open index are only checked again in the environments of `contents`, those behind the gateway.
    `forget_page` is told of packages whose cached page is out of date.
    """

    def __init__(
        self,
        node: LocalNode,
        contents: Mapping[str, Contents],
        policy: QueuePolicy,
        *,
        forget_page: Callable[[str], None] = _nothing_is_cached,
    ) -> None:
        """Begin with the budget of a run."""
        self._node = node
        self._contents = contents
        self._forget_page = forget_page
        self._per_trigger = policy.dependents
        self._left = policy.recheck_budget
        # What lands with a node that shares the work concerns the dependents that this one has checked.
        self._nodes = {node.key.id, *node.context.config.share_nodes}

    def queue_all(self) -> int:
        """Queue all that is known to be new, what changed in the environments first; return how many cells that are."""
        return self.queue_changed() + self.queue_dependents()

    def queue_dependents(self) -> int:
        """Queue what the releases that landed since the last look may have changed; return how many cells that are.

        Once the run's budget is spent, the other landings are left to the next run.
        """
        store, node = self._node.store, self._node.key.id
        found: list[TriggeredChecks] = []
        looked_up_to: dict[str, int] = {}
        for environment in self._contents:
            landings, last_row = dependents.read_landings(store.db, self._nodes, environment)
            for landing in landings:
                if triggers.is_known(store, landing.trigger, environment):
                    continue
                if self._left <= 0:
                    break
                who = dependents.read_dependents(store.db, landing.release.package, environment, node)
                if checks := dependency_checks(landing, who, budget=min(self._per_trigger, self._left)):
                    found.append(checks)
                    self._left -= len(checks.cells)
            else:
                looked_up_to[environment] = last_row
        return self._queue(found, looked_up_to)

    def queue_changed(self) -> int:
        """Queue what failed in other images, or with another pip, than the environments have now; return how many.

        Each digest and each pip does this once, with all that is left of the run's budget.
        """
        store, found = self._node.store, list[TriggeredChecks]()
        for environment, contents in self._contents.items():
            candidates = [one for one in contents.triggers if not triggers.is_known(store, one, environment)]
            failed = dependents.read_failed_cells(store.db, environment, self._node.key.id) if candidates else []
            for trigger in candidates:
                if self._left <= 0:
                    break
                # Stored even where nothing has failed: from here on it is nothing new.
                found.append(changed_checks(trigger, environment, failed, budget=self._left))
                self._left -= len(found[-1].cells)
        return self._queue(found, {})

    def _queue(self, found: Sequence[TriggeredChecks], looked_up_to: dict[str, int]) -> int:
        context = self._node.context
        new = triggers.queue_checks(self._node.store, found, looked_up_to=looked_up_to, now=context.now)
        for one, waiting in ((one, waiting) for one, waiting in new if one.affected):
            if one.trigger.kind in {TriggerKind.DEPENDENCY, TriggerKind.WITHDRAWAL}:
                # The page that was cached before it was released does not list it.
                self._forget_page(one.trigger.name)
            left = one.affected - len(one.cells)
            beyond = f"; {left} more are beyond the budget" if left else ""
            subject = f"{one.trigger.kind} {one.trigger.name} {one.trigger.version}"
            count = "1 cell" if len(one.cells) == 1 else f"{len(one.cells)} cells"
            already = f", {waiting} of which waited already, for what queued them first" if waiting else ""
            context.reporter.note(f"{subject} is new: {count} of {one.environment} again{already}{beyond}")
        return sum(len(one.cells) for one, _ in new)
