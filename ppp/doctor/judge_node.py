"""What facts about the node itself come to: its settings, ledger, key, voice and mesh. Pure."""

from pathlib import Path
from typing import Final

from ppp.config import DEFAULT_CONTACT, Config
from ppp.doctor.diagnosis import Diagnosis, State, format_size
from ppp.doctor.machine import KeyFacts, LedgerFacts, ModelFacts, YggdrasilFacts

GGUF_MAGIC: Final = b"GGUF"
#: Versions of the format that today's llama.cpp reads.
GGUF_VERSIONS: Final = (2, 3)


def settings(config: Config, mistakes: str) -> Diagnosis:
    """Judge the settings; where some cannot be used, the rest was examined with what stands in their place."""
    if mistakes:
        return Diagnosis(
            subject="settings",
            state=State.BROKEN,
            found=f"{mistakes}; what follows was found without",
            remedy="mend or unset these settings",
        )
    told = f"data in {config.data}, {config.jobs} cells at a time"
    if config.contact == DEFAULT_CONTACT:
        return Diagnosis(
            subject="settings",
            state=State.NOTE,
            found=f"{told}; no server that is asked can tell whose node this is",
            remedy="set PPP_CONTACT to where you can be reached",
        )
    return Diagnosis(subject="settings", state=State.OK, found=told)


def model(path: Path | None, found: ModelFacts | None) -> Diagnosis:
    """Judge the model that was set: without one, or with a broken one, the seeded writer narrates."""
    if path is None or found is None:
        return Diagnosis(
            subject="model", state=State.NOTE, found="PPP_MODEL is not set: the seeded writer narrates, without a model"
        )
    trouble, remedy = "", "set PPP_MODEL to a whole GGUF file, or unset it"
    if found.problem:
        trouble = f"{path} cannot be read: {found.problem}"
    elif found.magic != GGUF_MAGIC:
        trouble = f"{path} is no GGUF file: it begins with {found.magic!r}"
    elif found.version not in GGUF_VERSIONS:
        trouble = f"{path} is GGUF version {found.version}; llama.cpp reads {' and '.join(map(str, GGUF_VERSIONS))}"
    elif found.library_problem:
        trouble, remedy = (
            f"llama-cpp-python cannot be imported: {found.library_problem}",
            "install the-pypi-place[voice]",
        )
    if trouble:
        return Diagnosis(subject="model", state=State.BROKEN, found=trouble, remedy=remedy)
    return Diagnosis(
        subject="model", state=State.OK, found=f"{path}, {format_size(found.size)} of GGUF {found.version}"
    )


def yggdrasil(found: YggdrasilFacts, *, port: int) -> Diagnosis:
    """Judge the mesh: a node that publishes on the web alone needs none of it."""
    if not found.addresses and found.running:
        return Diagnosis(
            subject="yggdrasil",
            state=State.WARN,
            found="the daemon runs, but no interface of this machine has an address in 200::/7",
            remedy="look into its log: it may lack the right to make a network interface",
        )
    if not found.addresses:
        told = f"{found.program} does not run" if found.program else "not here"
        return Diagnosis(
            subject="yggdrasil",
            state=State.NOTE,
            found=f"{told}; a node that publishes on the web alone needs none",
            remedy="to join the mesh: `sudo systemctl start yggdrasil`" if found.program else "",
        )
    told = f"this machine is {', '.join(found.addresses)}"
    if not found.listens:
        return Diagnosis(
            subject="yggdrasil",
            state=State.NOTE,
            found=f"{told}; nobody listens there on port {port}",
            remedy="let peers fetch: `ppp serve --mesh --host ::`",
        )
    return Diagnosis(subject="yggdrasil", state=State.OK, found=f"{told}, and listens on port {port}")


def ledger(found: LedgerFacts) -> Diagnosis:
    """Judge the ledger."""
    if not found.exists:
        return _ledger(State.NOTE, f"none at {found.path} yet", "the first run makes it")
    if found.problem:
        return _ledger(State.BROKEN, found.problem, found.remedy)
    if found.has_journal and found.lock_holder is None:
        cut_off = f"a commit to {found.path} was cut off; the next command that opens it rolls that back"
        return _ledger(State.NOTE, cut_off, "run any command, such as `ppp show`, then `ppp doctor` again")
    if found.integrity not in {"ok", ""}:
        return _ledger(
            State.BROKEN,
            f"{found.path} is damaged: {found.integrity}",
            "restore it from a copy, a snapshot or a peer; keep the damaged file",
        )
    whole = "looked through and whole" if found.integrity else "opens; too large to be looked through at once"
    told = f"{found.path}, {format_size(found.size)}, {found.records} records: {whole}"
    if found.lock_holder is not None:
        return _ledger(State.NOTE, f"{found.path}: another PPP (process {found.lock_holder}) is writing it", "")
    return _ledger(State.OK, told, "")


def _ledger(state: State, found: str, remedy: str) -> Diagnosis:
    return Diagnosis(subject="ledger", state=state, found=found, remedy=remedy)


def key(found: KeyFacts) -> Diagnosis:
    """Judge the node's key."""
    if not found.exists:
        return Diagnosis(
            subject="key", state=State.NOTE, found=f"none at {found.path} yet", remedy="the first run makes it"
        )
    if found.problem:
        return Diagnosis(subject="key", state=State.BROKEN, found=found.problem, remedy=found.remedy)
    return Diagnosis(subject="key", state=State.OK, found=f"this node is {found.id}; only its owner reads the key")
