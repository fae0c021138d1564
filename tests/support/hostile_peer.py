"""A peer whose every file can be wrong: strategies for what it publishes, and the web root that results.

The peer has a valid key, and signs whatever it is told to. Edits apply at four stages, so that every check is reached:
to the documents (batches, lists, the statement), to their bytes before they are signed, to the compressed files, and to
the files as served.
"""

import gzip
import json
from collections.abc import Mapping, Sequence
from contextlib import suppress
from copy import deepcopy
from dataclasses import dataclass, field, replace
from typing import Any, Final, TypeAlias

from hostile_strings import HOSTILE_STRINGS, SURROGATES
from hypothesis import strategies as st
from sample_record import SAMPLE_RECORD

from ppp.ledger.batches import batch_sort_key
from ppp.mesh.node import NodeKey
from ppp.model.canonical import canonical_json, sha256_hex
from ppp.model.errors import PPPError
from ppp.model.record import Blame, Installed, Outcome, Record, Result
from ppp.model.release import Release

NOW: Final = 1_714_089_600
PEER: Final = NodeKey.from_seed(b"\x02" * 32)
#: Trusted by the node as well: the peer may pass on its batches, and must not be able to speak for it.
THIRD: Final = NodeKey.from_seed(b"\x03" * 32)
#: Not trusted by the node.
STRANGER: Final = NodeKey.from_seed(b"\x04" * 32)
KEYS: Final = (PEER, PEER, PEER, THIRD, STRANGER)
MAX_TEXT: Final = 600
LOG: Final = "Traceback:\nValueError"

Document: TypeAlias = Any


def _records(node: str) -> Sequence[Record]:
    passed = replace(SAMPLE_RECORD, node=node, observed_at=NOW - 3600, result=Result.PASS)
    failed = replace(
        passed,
        release=Release(package="example-lib", version="2.1.0"),
        result=Result.FAIL,
        outcomes=(Outcome.PASS, Outcome.PASS, Outcome.PASS, Outcome.FAIL),
        imports=("example_lib",),
        installed=(Installed(name="example-lib", version="2.1.0", sha256="ab" * 32),),
        cause="import-error",
        blame=Blame.PACKAGE,
        detail="ValueError",
        log_sha256=sha256_hex(LOG.encode()),
    )
    return sorted((passed, failed, replace(passed, environment="py39-alpine")), key=batch_sort_key)


def valid_batch(key: NodeKey) -> Document:
    """Return a valid batch document of a node."""
    rows = [record.to_json() for record in _records(key.id)]
    return {"schema": "ppp-batch-1", "node": key.id, "records": rows, "logs": {sha256_hex(LOG.encode()): LOG}}


# ---------------------------------------------------------------- edits

_WORDS: Final = [*HOSTILE_STRINGS.values(), *SURROGATES.values(), PEER.id, THIRD.id, "PASS", "py312-slim", "six", ""]
_TEXTS: Final = st.one_of(
    st.sampled_from(_WORDS).map(lambda word: word[:MAX_TEXT]),
    st.text(max_size=20),
    st.sampled_from("aİé\U0001d54f\x00").flatmap(
        lambda c: st.sampled_from((1, 128, 214, 215, 500, 501)).map(c.__mul__)
    ),
)
_NUMBERS: Final = st.one_of(
    st.integers(-2, 5),
    st.sampled_from([NOW, NOW + 10**6, 2**31, 2**53 - 1, 2**53, 2**63, 2**64, 10**40, -(2**63)]),
    st.floats(),
)
_VALUES: Final = st.recursive(
    st.one_of(st.none(), st.booleans(), _NUMBERS, _TEXTS),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=5), inner, max_size=3)),
    max_leaves=6,
)
#: What is appended to a text that is otherwise valid.
_ENDS: Final = st.sampled_from(["\n", " ", "\x00", "\u2028", "A", "\u200b", "/", "..", "'"])


@dataclass(frozen=True, slots=True, kw_only=True)
class JsonEdit:
    """A change of one value in a document: `path` chooses it, by numbers that are taken modulo what there is."""

    path: tuple[int, ...]
    action: str
    value: Any
    end: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ByteEdit:
    """A change of some bytes at a place from 0 (the start) to 1 (the end)."""

    action: str
    place: float
    data: bytes


JSON_EDITS: Final = st.builds(
    JsonEdit,
    path=st.lists(st.integers(0, 40), min_size=1, max_size=5).map(tuple),
    action=st.sampled_from(["replace", "replace", "append text", "append text", "remove", "add", "repeat", "reverse"]),
    value=_VALUES,
    end=_ENDS,
)
BYTE_EDITS: Final = st.builds(
    ByteEdit,
    action=st.sampled_from(["flip", "insert", "remove", "cut", "repeat"]),
    place=st.floats(0, 1),
    data=st.one_of(
        st.binary(min_size=1, max_size=8),
        st.sampled_from([b'"', b"{", b"[" * 2_000, b',"node":1', b"\\ud800", b"\n", b"1e9", b"NaN", b"\xef\xbb\xbf"]),
    ),
)


#: Values of a record's fields that are valid by themselves, but perhaps not beside the others.
_PLAUSIBLE: Final[Mapping[str, Sequence[Any]]] = {
    "package": ["six", "a", "con", "0", "x" * 214],
    "version": ["1.0", "1!0", "1.0.dev0", "2026.11.28.post1", "1.0+local.7", "9" * 100],
    "environment": ["py312-slim", "py39-alpine", "py314-host", "py30-slim", "py399-host"],
    "result": ["PASS", "FAIL", "TIMEOUT", "ERROR", "NA"],
    "phase_download": ["PASS", "FAIL", "SKIP"],
    "phase_import": ["PASS", "FAIL", "TIMEOUT", "ERROR", "SKIP"],
    "observed_at": [0, 1, NOW, NOW + 3600, NOW + 3601, 4_102_444_800],
    "node": [PEER.id, THIRD.id, STRANGER.id],
    "arch": ["x86_64", "aarch64", "_" * 32],
    "python": [None, "3.12.1", "3.99.0rc1+"],
    "image_digest": [None, f"sha256:{'0' * 64}"],
    "standin": [True, False],
    "network": ["open", "gateway", "none"],
    "pip_version": ["0", "26.0.1", "1" * 32],
    "file": [None, {"filename": "six-1.0.tar.gz", "sha256": "ab" * 32, "size": 2**53 - 1}],
    "imports": [[], ["six"] * 64, ["<script>"], ["six"] * 65],
    "installed": [
        [],
        [["six", "1.0", None]] * 2000,
        [["six", "1.0", None]] * 2001,
        [["b", "1", None], ["a", "1", None]],
    ],
    "duration_ms": [{}, {"import": 0}, {"import": 2**53 - 1}, {"other": 1}],
    "grounds": [{}, {"full": "nothing-to-add"}, {"full": "x" * 65}],
    "cause": [None, "import-error", "x" * 64],
    "blame": [None, "package", "dependency", "environment", "infrastructure", "unknown"],
    "detail": [None, "", "x" * 500, "x" * 501, "\U0001d54f" * 500, "=1+1"],
    "log_sha256": [None, sha256_hex(LOG.encode()), "ab" * 32],
}
#: A row, a field, and its new value.
FIELD_EDITS: Final = st.sampled_from(sorted(_PLAUSIBLE)).flatmap(
    lambda field: st.tuples(
        st.integers(0, 2), st.just(field), st.one_of(st.sampled_from(_PLAUSIBLE[field]), _TEXTS, _VALUES)
    )
)


def edit_document(document: Document, edits: Sequence[JsonEdit]) -> Document:
    """Return a copy of a document with some edits."""
    edited = deepcopy(document)
    for edit in edits:
        # A value is copied too: a later edit may lead into it.
        edited = _edited(edited, edit.path, replace(edit, value=deepcopy(edit.value)))
    return edited


def _edited(value: Document, path: tuple[int, ...], edit: JsonEdit) -> Document:
    if path and isinstance(value, dict | list) and value:
        keys = list(value) if isinstance(value, dict) else range(len(value))
        key = keys[path[0] % len(keys)]
        if len(path) == 1 and edit.action in {"remove", "add", "repeat", "reverse"}:
            return _edited_container(value, key, edit)
        value[key] = _edited(value[key], path[1:], edit)
        return value
    return f"{value}{edit.end}" if edit.action == "append text" and isinstance(value, str) else edit.value


def _edited_container(value: Document, key: Any, edit: JsonEdit) -> Document:
    match edit.action, value:
        case "remove", _:
            del value[key]
        case "add", dict():
            value[f"{key}{edit.end}"] = edit.value
        case "add", list():
            value.insert(key, edit.value)
        case "repeat", list():
            value.insert(key, deepcopy(value[key]))
        case "reverse", list():
            value.reverse()
    return value


def edit_bytes(data: bytes, edits: Sequence[ByteEdit]) -> bytes:
    """Return bytes with some edits."""
    for edit in edits:
        at = int(edit.place * len(data))
        match edit.action:
            case "flip" if data:
                at = min(at, len(data) - 1)
                data = data[:at] + bytes([data[at] ^ (edit.data[0] or 1)]) + data[at + 1 :]
            case "insert":
                data = data[:at] + edit.data + data[at:]
            case "remove":
                data = data[:at] + data[at + len(edit.data) :]
            case "cut":
                data = data[:at]
            case "repeat":
                data += data[at:]
    return data


def encoded(document: Document) -> bytes:
    """Return a document as canonical JSON, or as other JSON where it has no canonical form."""
    try:
        return canonical_json(document)
    except (ValueError, TypeError, RecursionError):
        return json.dumps(document, sort_keys=True, separators=(",", ":")).encode()


# ---------------------------------------------------------------- what a peer publishes


@dataclass(frozen=True, slots=True, kw_only=True)
class HostileBatch:
    """A batch: whose it is, who signs it, edits of its document, of its bytes before signing, of its gzip form."""

    key: NodeKey
    signer: NodeKey
    #: Edits of fields of its records, after which the records are sorted again.
    fields: tuple[tuple[int, str, Any], ...]
    document: tuple[JsonEdit, ...]
    signed: tuple[ByteEdit, ...]
    packed: tuple[ByteEdit, ...]
    packing: str
    #: Changes the observation time, so that the batches of one peer differ.
    age_s: int


@dataclass(frozen=True, slots=True, kw_only=True)
class HostilePublication:
    """One state of a peer's web root."""

    batches: tuple[HostileBatch, ...]
    in_list: bool
    files: tuple[JsonEdit, ...]
    statement: tuple[JsonEdit, ...]
    sequence_step: int
    #: Edits of `peers.json`, which shows all statements signed so far.
    shown: tuple[JsonEdit, ...]
    #: Edits of files as served, by a number that chooses the file; None removes it.
    served: tuple[tuple[int, ByteEdit | None], ...]


def _few(edits: st.SearchStrategy[Any], *, share: int, most: int = 2) -> st.SearchStrategy[tuple[Any, ...]]:
    """Return a strategy of no edit at all, mostly: one in `share` draws may have some."""
    some = st.lists(edits, min_size=1, max_size=most).map(tuple)
    return st.sampled_from([False] * (share - 1) + [True]).flatmap(lambda chosen: some if chosen else st.just(()))


HOSTILE_BATCHES: Final = st.builds(
    HostileBatch,
    key=st.sampled_from(KEYS),
    signer=st.sampled_from((None, None, None, None, PEER, THIRD, STRANGER)),
    fields=_few(FIELD_EDITS, share=2, most=3),
    document=_few(JSON_EDITS, share=4),
    signed=_few(BYTE_EDITS, share=6),
    packed=_few(BYTE_EDITS, share=8),
    packing=st.sampled_from(["plain"] * 12 + ["trailing", "twice", "stored", "bomb"]),
    age_s=st.integers(0, 50),
).map(lambda batch: batch if batch.signer else replace(batch, signer=batch.key))
PLAIN_BATCH: Final = HostileBatch(
    key=PEER, signer=PEER, fields=(), document=(), signed=(), packed=(), packing="plain", age_s=0
)
PUBLICATIONS: Final = st.builds(
    HostilePublication,
    batches=st.lists(HOSTILE_BATCHES, min_size=1, max_size=3).map(tuple),
    in_list=st.booleans(),
    files=_few(JSON_EDITS, share=10),
    statement=_few(JSON_EDITS, share=10),
    sequence_step=st.sampled_from((1, 1, 1, 1, 2, 0, -1)),
    shown=_few(JSON_EDITS, share=4),
    served=_few(st.tuples(st.integers(0, 20), st.none() | BYTE_EDITS), share=10),
)


PLAIN: Final = HostilePublication(
    batches=(PLAIN_BATCH,), in_list=False, files=(), statement=(), sequence_step=1, shown=(), served=()
)


@dataclass(slots=True, kw_only=True)
class HostilePeer:
    """A peer that publishes; it remembers its statements, as it has to."""

    sequence: int = 0
    previous: str | None = None
    envelopes: dict[int, bytes] = field(default_factory=dict)

    def web_root(self, publication: HostilePublication) -> Mapping[str, bytes]:
        """Return the files of a publication by path."""
        batches = dict(pair for batch in publication.batches for pair in _batch_files(batch))
        lists: dict[str, bytes] = {}
        if publication.in_list:
            lists["files/batches.json"] = _list_of(batches, publication.files)
        top = _list_of(lists or batches, publication.files)
        files = {**batches, **lists, "files.json": top, "statement.json": self._statement(publication, top)}
        files |= {f"statements/{number}.json": data for number, data in self.envelopes.items()}
        files["peers.json"] = self._peers(publication)
        for number, edit in publication.served:
            if files:
                path = sorted(files)[number % len(files)]
                data = files.pop(path)
                if edit is not None:
                    files[path] = edit_bytes(data, [edit])
        return files

    def _statement(self, publication: HostilePublication, files: bytes) -> bytes:
        self.sequence = max(self.sequence + publication.sequence_step, 1)
        signed = {
            "schema": "ppp-statement-1",
            "node": PEER.id,
            "sequence": self.sequence,
            "previous": self.previous,
            "issued_at": NOW - 60,
            "expires_at": NOW + 3600,
            "current_sha256": "ab" * 32,
            "files_sha256": sha256_hex(files),
            "root": "ab" * 32,
            "records": 3,
            "images": {"py312-slim": f"sha256:{'0' * 64}"},
            "pip_version": "26.0.1",
        }
        signed = edit_document(signed, publication.statement)
        message = encoded(signed)
        self.previous = sha256_hex(message)
        envelope = b'{"signature":"%s","signed":%s}' % (PEER.sign(message).encode(), message)
        self.envelopes[self.sequence] = envelope
        return envelope

    def _peers(self, publication: HostilePublication) -> bytes:
        shown = []
        for envelope in self.envelopes.values():
            with suppress(ValueError, RecursionError):
                shown.append(json.loads(envelope))
        return encoded(edit_document({"schema": "ppp-peers-1", "statements": shown}, publication.shown))


def _batch_files(batch: HostileBatch) -> Sequence[tuple[str, bytes]]:
    document = valid_batch(batch.key)
    rows = document["records"]
    for row in rows:
        row["observed_at"] -= batch.age_s
    for number, name, value in batch.fields:
        rows[number][name] = deepcopy(value)
    with suppress(PPPError, ValueError, TypeError, LookupError, AttributeError, RecursionError):
        rows.sort(key=lambda row: batch_sort_key(Record.from_json(row)))
    data = edit_bytes(encoded(edit_document(document, batch.document)), batch.signed)
    packed = edit_bytes(_packed(data, batch.packing), batch.packed)
    name = sha256_hex(data)
    return [(f"batches/{name}.json.gz", packed), (f"batches/{name}.sig", f"{batch.signer.sign(data)}\n".encode())]


def _packed(data: bytes, packing: str) -> bytes:
    match packing:
        case "trailing":
            return gzip.compress(data, mtime=0) + b"\0"
        case "twice":
            return gzip.compress(data, mtime=0) * 2
        case "stored":
            return data
        case "bomb":
            return gzip.compress(data + bytes(70 * 1024 * 1024), 1, mtime=0)
    return gzip.compress(data, mtime=0)


def _list_of(files: Mapping[str, bytes], edits: Sequence[JsonEdit]) -> bytes:
    rows = sorted([path, len(data), sha256_hex(data)] for path, data in files.items())
    return encoded(edit_document({"schema": "ppp-files-1", "files": rows}, edits))
