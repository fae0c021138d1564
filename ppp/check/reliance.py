"""What an import owes to the environment: preinstalled distributions that it needs, and that nothing declares.

That a module of such a distribution was loaded raises the suspicion; that the import fails where its modules cannot be
found proves it. So a package that merely tries to import `pkg_resources` relies on nothing. What was loaded, and what
is required, is the package's own word, which decides nothing but this.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Final

from packaging.markers import UndefinedComparison, UndefinedEnvironmentName
from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name
from packaging.version import InvalidVersion

from ppp.check.cell_facts import CellContext, CellFacts
from ppp.check.runtime import PreinstalledDistribution, Sandbox
from ppp.model.record import Phase

#: How many distributions are hidden one by one, after all suspects were hidden together.
MAX_HIDDEN: Final = 8
#: How many characters of requirements are judged: again for each extra of their distribution that is asked for.
MAX_JUDGED_CHARS: Final = 2_000_000


def watched_modules(context: CellContext, facts: CellFacts) -> tuple[str, ...]:
    """Return the modules (dotted names) to watch while the release is imported: those that are not its own."""
    own = set(facts.top_levels)
    return tuple(name for d in context.prepared.preinstalled for name in d.modules if name.partition(".")[0] not in own)


def note_reliance(
    context: CellContext, facts: CellFacts, sandbox: Sandbox, module: str, loaded: Collection[str]
) -> None:
    """Note what a module relies on that was imported, and loaded some of the watched ones.

    Raises `SandboxLostError` as a sandbox does.
    """
    preinstalled, description = context.prepared.preinstalled, facts.last
    if not loaded or description is None or description.requirements is None:
        return
    declared = declared_names(description.requirements, preinstalled, description.markers)
    if declared is not None:
        suspected = [d for d in preinstalled if d.name not in declared and not set(loaded).isdisjoint(d.modules)]
        timeout_s = context.matrix.timeouts_s[Phase.IMPORT]
        facts.relies_on = relied_on(sandbox, module, suspected, timeout_s=timeout_s)


def declared_names(
    requires: Mapping[str, Sequence[str]], preinstalled: Sequence[PreinstalledDistribution], markers: Mapping[str, str]
) -> frozenset[str] | None:
    """Return the distributions that were installed, and those that they require, directly or through others.

    `requires` are the Requires-Dist of what was installed, by normalized name, `markers` the values of the
    environment's marker variables. Extras count where a requirement asks for them. None if that is too much to judge.
    """
    known = {d.name: d.requires for d in preinstalled} | dict(requires)
    waiting = [(name, "") for name in requires]
    seen = set(waiting)
    judged_chars = 0
    while waiting:
        name, extra = waiting.pop()
        lines = known.get(name, ())
        judged_chars += sum(map(len, lines))
        if judged_chars > MAX_JUDGED_CHARS:
            return None
        for needed in _applicable(lines, {**markers, "extra": extra}):
            package = str(canonicalize_name(needed.name))
            new = {(package, ""), *((package, wanted) for wanted in needed.extras)} - seen
            seen |= new
            waiting += new
    return frozenset(name for name, _ in seen)


def _applicable(lines: Sequence[str], variables: Mapping[str, str]) -> Iterator[Requirement]:
    for line in lines:
        try:
            requirement = Requirement(line)
            if requirement.marker is None or requirement.marker.evaluate(dict(variables)):
                yield requirement
        except (InvalidRequirement, InvalidVersion, UndefinedComparison, UndefinedEnvironmentName):
            # pip does not install what has such a line, if it judges it so too.
            continue


def relied_on(
    sandbox: Sandbox, module: str, suspected: Sequence[PreinstalledDistribution], *, timeout_s: float
) -> tuple[str, ...]:
    """Return the names of suspects without whose modules an import fails that passed with them.

    Each attempt may take `timeout_s`. Where it fails without all of them, but not without a single one, it needs one of
    them: then all are returned. Raises `SandboxLostError` as a sandbox does.
    """
    if not suspected or not _fails_without(sandbox, module, suspected, timeout_s):
        return ()
    names = tuple(d.name for d in suspected)
    if len(suspected) == 1:
        return names
    alone = tuple(d.name for d in suspected[:MAX_HIDDEN] if _fails_without(sandbox, module, [d], timeout_s))
    return alone or names


def _fails_without(sandbox: Sandbox, module: str, hidden: Sequence[PreinstalledDistribution], timeout_s: float) -> bool:
    done = sandbox.prove_import(module, timeout_s=timeout_s, hidden=[name for d in hidden for name in d.modules])
    # A lack of time or memory says nothing about what was hidden.
    return not (done.ok and done.import_proved) and not done.timed_out and not done.oom
