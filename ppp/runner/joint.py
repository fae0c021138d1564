"""Lock several packages together in environments: from what is proven there, by an installation of all of them.

1. The ledger says which requirements nothing proven meets: an environment with such is blocked, and nothing runs there.
2. In the others pip resolves with the index narrowed to the files that pass there, installs, and what was asked for is
   imported: see `ppp.check.joint`. The environment's canary runs before and after.
3. Only if all of that passes, there is a lock, of exactly what was installed.
"""

from collections import defaultdict
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing

from ppp.check.index.client import SimpleIndex
from ppp.check.runtime import PreparedEnvironment
from ppp.index_files.store import read_index_files
from ppp.ledger.schema import read_ledger
from ppp.locks.joint import Blocker, BlockKind, JointAnswer
from ppp.locks.lock import JointClaim, LockOrigin, is_plain
from ppp.locks.make import make_joint_lock
from ppp.model.errors import LockRefusedError, NoEnvironmentError, NotReproducibleError
from ppp.model.matrix import Environment, Matrix
from ppp.model.record import Network
from ppp.runner.context import Context, LocalNode, open_node
from ppp.runner.environments import ReadyEnvironments, open_index, prepare_environments
from ppp.runner.index_files import complete_index_files, store_fetched
from ppp.runner.joint_cells import (
    JointCellResult,
    JointRequest,
    ProvenFiles,
    run_joint_cell,
    unmet_requirements,
)
from ppp.watch.joint_requirements import JointRequirement


def lock_jointly(
    context: Context, matrix: Matrix, environments: Sequence[Environment], requirements: Sequence[JointRequirement]
) -> tuple[JointAnswer, ...]:
    """Return what became of a joint lock of the same requirements in each environment, in their order.

    Raise `NotReproducibleError` with the open network, and as `open_node` and `prepare_environments` do.
    """
    with closing(read_ledger(context.config.data)) as db:
        requests = [
            JointRequest(environment=each, requirements=requirements, proven=ProvenFiles.read(db, each.id))
            for each in environments
        ]
    return answer_requests(context, matrix, requests)


def answer_requests(context: Context, matrix: Matrix, requests: Sequence[JointRequest]) -> tuple[JointAnswer, ...]:
    """Return what became of each request, in their order; see `lock_jointly`."""
    if context.config.network is Network.OPEN:
        raise NotReproducibleError(
            "with the open network an installation gets whatever the index has today, proven or not",
            hint="use --network gateway, which needs nginx and, on the host, bubblewrap",
        )
    with closing(read_ledger(context.config.data)) as db:
        blockers = {one.environment.id: unmet_requirements(db, one, {}) for one in requests}
    runnable = [one for one in requests if not blockers[one.environment.id]]
    answers = _answers(context, matrix, runnable) if runnable else {}
    return tuple(
        answers.get(id_) or JointAnswer(environment=id_, blockers=blockers[id_])
        for id_ in (one.environment.id for one in requests)
    )


def _answers(context: Context, matrix: Matrix, requests: Sequence[JointRequest]) -> dict[str, JointAnswer]:
    """Return what became of requests that what is proven may meet, by environment."""
    index = open_index(context.config)
    with open_node(context) as node:
        try:
            with prepare_environments(context, index, matrix, [one.environment for one in requests]) as ready:
                results = _run_all(context, ready, requests)
        except NoEnvironmentError as error:
            found = Blocker(kind=BlockKind.UNAVAILABLE, requirement="", detail=error.message, hint=error.hint)
            results = [JointCellResult(blockers=(found,)) for _ in requests]
        store_fetched(context, index)
        return {
            request.environment.id: _answer(node, index, request, result)
            for request, result in zip(requests, results, strict=True)
        }


def _run_all(context: Context, ready: ReadyEnvironments, requests: Sequence[JointRequest]) -> list[JointCellResult]:
    """Return what came of each request; all run at the same time, as far as the settings admit."""
    with ThreadPoolExecutor(min(context.config.jobs, len(requests))) as threads:
        try:
            return [*threads.map(lambda one: run_joint_cell(context, ready, one), requests)]
        except BaseException:
            # Else the pool would wait for what runs, whatever the user interrupted.
            ready.close()
            threads.shutdown(wait=False, cancel_futures=True)
            raise


def _answer(node: LocalNode, index: SimpleIndex, request: JointRequest, result: JointCellResult) -> JointAnswer:
    environment = request.environment
    if result.run is None or result.prepared is None:
        return JointAnswer(environment=environment.id, blockers=result.blockers)
    installed = result.run.installed
    hashes: defaultdict[str, set[str]] = defaultdict(set)
    for one in installed:
        hashes[one.name].add(one.sha256 or "")
    complete_index_files(node.context, index, hashes)
    pairs = [(one.sha256 or "", one.name) for one in installed]
    evidence = tuple(sorted({request.proven.files[name, sha256].record for sha256, name in pairs}))
    try:
        with read_index_files(node.context.config.data) as index_files:
            lock = make_joint_lock(
                installed,
                index_files.get_many(pairs),
                _origin(node, result.prepared, evidence),
                JointClaim(requirements=result.requirements, imported=result.run.imported),
            )
    except LockRefusedError as error:
        found = Blocker(kind=BlockKind.UNDECIDED, requirement="", detail=error.message, hint=error.hint)
        return JointAnswer(environment=environment.id, blockers=(found,))
    return JointAnswer(environment=environment.id, lock=lock)


def _origin(node: LocalNode, prepared: PreparedEnvironment, evidence: tuple[str, ...]) -> LockOrigin:
    return LockOrigin(
        environment=prepared.environment.id,
        platform=prepared.environment.platform,
        arch=prepared.arch,
        python=prepared.python,
        pip_version=prepared.pip_version,
        image_digest=prepared.image_digest,
        standin=prepared.standin,
        node=node.key.id,
        observed_at=node.context.now,
        evidence=evidence,
        preinstalled=tuple(sorted((one.name, one.version) for one in prepared.preinstalled if is_plain(one.version))),
    )
