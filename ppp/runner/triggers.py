"""Queue what a new release of a dependency, a new image or a new pip may have broken or fixed: read, decide, write."""

from collections.abc import Collection, Sequence

from ppp.ledger import dependents, triggers
from ppp.ledger.triggers import TriggeredChecks
from ppp.model.queue_policy import QueuePolicy
from ppp.model.trigger import Trigger, TriggerKind
from ppp.runner.context import LocalNode
from ppp.runner.environments import ReadyEnvironments
from ppp.runner.rechecks import changed_checks, dependency_checks


class RecheckQueue:
    """Queues the re-checks of one run, as many as the policy of the queue allows.

    Releases of the open index are only checked again in `confined` environments, those behind the gateway.
    """

    def __init__(
        self, node: LocalNode, ready: ReadyEnvironments, confined: Collection[str], policy: QueuePolicy
    ) -> None:
        """Begin with the budget of a run."""
        self._node = node
        self._ready = ready
        self._confined = confined
        self._per_trigger = policy.dependents
        self._left = policy.recheck_budget
        # What lands with a node that shares the work concerns the dependents that this one has checked.
        self._nodes = {node.key.id, *node.context.config.share_nodes}

    def queue_dependents(self) -> int:
        """Queue what the releases that landed since the last look may have changed; return how many cells that are.

        Once the run's budget is spent, the other landings are left to the next run.
        """
        store, node = self._node.store, self._node.key.id
        found: list[TriggeredChecks] = []
        looked_up_to: dict[str, int] = {}
        for environment in self._confined:
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
        for environment in self._confined:
            candidates = [one for one in self._contents(environment) if not triggers.is_known(store, one, environment)]
            failed = dependents.read_failed_cells(store.db, environment, self._node.key.id) if candidates else []
            for trigger in candidates:
                if self._left <= 0:
                    break
                # Stored even where nothing has failed: from here on it is nothing new.
                found.append(changed_checks(trigger, environment, failed, budget=self._left))
                self._left -= len(found[-1].cells)
        return self._queue(found, {})

    def _contents(self, environment: str) -> list[Trigger]:
        prepared = self._ready.prepared[environment]
        contents = [Trigger(kind=TriggerKind.PIP, name="pip", version=prepared.pip_version)]
        if prepared.image_digest is not None:
            name = prepared.environment.image
            contents.insert(0, Trigger(kind=TriggerKind.IMAGE, name=name, version=prepared.image_digest))
        return contents

    def _queue(self, found: Sequence[TriggeredChecks], looked_up_to: dict[str, int]) -> int:
        context = self._node.context
        new = triggers.queue_checks(self._node.store, found, looked_up_to=looked_up_to, now=context.now)
        gateway = self._ready.gateway
        for one, waiting in ((one, waiting) for one, waiting in new if one.affected):
            if gateway and one.trigger.kind in {TriggerKind.DEPENDENCY, TriggerKind.WITHDRAWAL}:
                # The page that was cached before it was released does not list it.
                gateway.forget_page(one.trigger.name)
            left = one.affected - len(one.cells)
            beyond = f"; {left} more are beyond the budget" if left else ""
            subject = f"{one.trigger.kind} {one.trigger.name} {one.trigger.version}"
            count = "1 cell" if len(one.cells) == 1 else f"{len(one.cells)} cells"
            already = f", {waiting} of which waited already, for what queued them first" if waiting else ""
            context.reporter.note(f"{subject} is new: {count} of {one.environment} again{already}{beyond}")
        return sum(len(one.cells) for one, _ in new)
