"""Judge the node itself: its settings, ledger, key, model and mesh. Pure."""

from pathlib import Path
from typing import Final

from ppp.config import DEFAULT_CONTACT, Config
from ppp.doctor.diagnosis import Diagnosis, State, format_size
from ppp.doctor.machine import KeyFacts, LedgerFacts, ModelFacts, SoundFacts, YggdrasilFacts
from ppp.mesh.yggdrasil import NEEDED_VERSION
from ppp.model.model_options import memory_problem

GGUF_MAGIC: Final = b"GGUF"
#: Versions of the format that current llama.cpp reads.
GGUF_VERSIONS: Final = (2, 3)


def settings(config: Config, errors: str) -> Diagnosis:
    """Judge the settings; those that are invalid were replaced by their defaults for the other checks."""
    if errors:
        return Diagnosis(
            subject="settings",
            state=State.BROKEN,
            found=f"{errors}; the checks below ran without them",
            remedy="fix or unset these settings",
        )
    found = f"data in {config.data}, {config.jobs} cells at a time"
    # Operators of an index may block a client whose owner they cannot reach.
    if config.contact == DEFAULT_CONTACT:
        return Diagnosis(
            subject="settings",
            state=State.NOTE,
            found=f"{found}; operators of servers cannot tell whose node this is",
            remedy="set PPP_CONTACT to an address where you can be reached",
        )
    return Diagnosis(subject="settings", state=State.OK, found=found)


def model(path: Path | None, facts: ModelFacts | None, *, limit_mib: int) -> Diagnosis:
    """Judge the configured model and its limit of memory; without one that works, the seeded writer narrates."""
    if path is None or facts is None:
        return Diagnosis(
            subject="model", state=State.NOTE, found="PPP_MODEL is not set: the seeded writer narrates, without a model"
        )
    problem, remedy = "", "set PPP_MODEL to a complete GGUF file, or unset it"
    if facts.problem:
        problem = f"{path} cannot be read: {facts.problem}"
    # The first bytes tell more than the error of a library that was given something else.
    elif facts.magic != GGUF_MAGIC:
        problem = f"{path} is not a GGUF file: it begins with {facts.magic!r}"
    elif facts.version not in GGUF_VERSIONS:
        problem = f"{path} is GGUF version {facts.version}; llama.cpp reads {' and '.join(map(str, GGUF_VERSIONS))}"
    elif facts.library_problem:
        problem = f"llama-cpp-python cannot be imported: {facts.library_problem}"
        remedy = "install the-pypi-place[voice]"
    elif too_large := memory_problem(facts.size, limit_mib):
        problem = f"{path}: {too_large}"
        remedy = "set PPP_MODEL to a smaller model or PPP_MODEL_MEMORY_MIB to what it may take, or unset PPP_MODEL"
    if problem:
        return Diagnosis(subject="model", state=State.BROKEN, found=problem, remedy=remedy)
    return Diagnosis(subject="model", state=State.OK, found=f"{path}, {format_size(facts.size)}, GGUF {facts.version}")


def sound(facts: SoundFacts) -> Diagnosis:
    """Judge the programs that render the sound of episodes: without them, episodes are published as text."""
    if facts.problem:
        return Diagnosis(
            subject="sound",
            state=State.WARN,
            found=f"{facts.problem}; episodes are published as text",
            remedy="run that program by hand to see what it lacks, or install it again",
        )
    if facts.missing:
        return Diagnosis(
            subject="sound",
            state=State.NOTE,
            found=f"{facts.missing}: episodes are published as text",
            remedy="to publish their sound as well, install it",
        )
    return Diagnosis(subject="sound", state=State.OK, found=f"{' and '.join(facts.programs)} render episodes")


def yggdrasil(facts: YggdrasilFacts, *, port: int) -> Diagnosis:
    """Judge the mesh; a node that publishes only on the web does not need it."""
    if facts.is_old:
        return Diagnosis(
            subject="yggdrasil",
            state=State.WARN if facts.running else State.NOTE,
            found=f"{facts.program} is older than {NEEDED_VERSION}: it cannot join today's network",
            remedy=f"to join the mesh, install {NEEDED_VERSION} or newer (on Debian: `scripts/install-yggdrasil`), and"
            " restart it",
        )
    if facts.mistake:
        return Diagnosis(
            subject="yggdrasil",
            state=State.WARN,
            found=f"{facts.mistake}: peers that check the one against the other will not find this node",
            remedy="restart it; if that does not help, compare its configuration with `yggdrasilctl getself`",
        )
    # The address comes from the interface, which the daemon creates as root only.
    if not facts.addresses and facts.running:
        return Diagnosis(
            subject="yggdrasil",
            state=State.WARN,
            found="the daemon is running, but no network interface of this machine has an address in 200::/7",
            remedy="read its log: it may lack the permission to create a network interface",
        )
    if not facts.addresses:
        found = f"{facts.program} is not running" if facts.program else "not installed"
        return Diagnosis(
            subject="yggdrasil",
            state=State.NOTE,
            found=f"{found}; a node that publishes only on the web does not need it",
            remedy="to join the mesh: `sudo systemctl start yggdrasil`" if facts.program else "",
        )
    found = f"this machine is {', '.join(facts.addresses)}"
    if not facts.listens:
        return Diagnosis(
            subject="yggdrasil",
            state=State.NOTE,
            found=f"{found}; nothing listens there on port {port}",
            remedy="to let peers fetch from this node: `ppp serve --mesh --host ::`",
        )
    return Diagnosis(subject="yggdrasil", state=State.OK, found=f"{found}, and listens on port {port}")


def ledger(facts: LedgerFacts) -> Diagnosis:
    """Judge the ledger."""
    if not facts.exists:
        return _ledger(State.NOTE, f"none at {facts.path} yet", "the first run creates it")
    if facts.problem:
        return _ledger(State.BROKEN, facts.problem, facts.remedy)
    # A journal without a writer: the process that made the commit is gone.
    if facts.has_journal and facts.lock_holder is None:
        interrupted = f"a commit to {facts.path} was interrupted; the next command that opens it rolls it back"
        return _ledger(State.NOTE, interrupted, "run any command, such as `ppp show`, then `ppp doctor` again")
    if facts.integrity not in {"ok", ""}:
        return _ledger(
            State.BROKEN,
            f"{facts.path} is damaged: {facts.integrity}",
            "restore it from a copy, a snapshot or a peer; keep the damaged file",
        )
    if facts.lock_holder is not None:
        writing = f"{facts.path}: another PPP (process {facts.lock_holder}) is writing it"
        return _ledger(State.NOTE, writing, "")
    result = "its integrity check passed" if facts.integrity else "it opens; too large for a quick integrity check"
    return _ledger(State.OK, f"{facts.path}, {format_size(facts.size)}, {facts.records} records: {result}", "")


def _ledger(state: State, found: str, remedy: str) -> Diagnosis:
    return Diagnosis(subject="ledger", state=state, found=found, remedy=remedy)


def key(facts: KeyFacts) -> Diagnosis:
    """Judge the node's key."""
    if not facts.exists:
        return Diagnosis(
            subject="key", state=State.NOTE, found=f"none at {facts.path} yet", remedy="the first run creates it"
        )
    if facts.problem:
        return Diagnosis(subject="key", state=State.BROKEN, found=facts.problem, remedy=facts.remedy)
    where = "its key comes from PPP_NODE_KEY" if facts.given else "only its owner can read the key"
    return Diagnosis(subject="key", state=State.OK, found=f"this node is {facts.id}; {where}")
