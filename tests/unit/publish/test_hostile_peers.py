"""A peer's hostile words, logs, paths and addresses: each is rejected with a harmless message, or is only text."""

import json
import re
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, Final, TypeVar

import pytest
from hostile_strings import HOSTILE_STRINGS, SURROGATES, hostile_records, unsafe_characters
from page_skeleton import Skeleton

from ppp.ledger.store import Store
from ppp.mesh.batch import Batch, verify_batch
from ppp.mesh.files import read_files
from ppp.mesh.merge import merge
from ppp.mesh.node import NodeKey
from ppp.mesh.peer import parse_url
from ppp.model.canonical import canonical_json, sha256_hex
from ppp.model.errors import PeerError, RejectedDataError
from ppp.publish.build import build

T = TypeVar("T")

HARMLESS: Final = "word"
PEER: Final = NodeKey.from_seed(b"\x07" * 32)
NOW: Final = 1_800_000_000
#: Characters of a message with its hint; an address is quoted with its escapes.
MAX_MESSAGE: Final = 6_000
#: What a name, a version or a word of ours may be made of.
PLAIN: Final = re.compile(r"[A-Za-z0-9_.+!-]+")


def rows(name: str, word: str) -> dict[str, dict[str, Any]]:
    """Return rows of a batch, by the field whose valid value is replaced by a word."""
    *_, (made, _) = hostile_records({name: HARMLESS}, node=PEER.id)
    valid = replace(made, log_sha256=None).to_json()
    changed: dict[str, dict[str, Any]] = {
        field: {field: word} for field, value in valid.items() if not isinstance(value, int)
    }
    changed |= {
        "file": {"file": valid["file"] | {"filename": word}},
        "file sha256": {"file": valid["file"] | {"sha256": word}},
        "imports": {"imports": [word]},
        "installed": {"installed": [[word, "1.0", None]]},
        "installed version": {"installed": [["six", word, None]]},
        "installed sha256": {"installed": [["six", "1.0", word]]},
        "duration_ms": {"duration_ms": {word: 1}},
        "bytes": {"bytes": {word: 1}},
        "grounds": {"grounds": {"full": word}},
        "grounds phase": {"grounds": {word: "x"}},
        "another field": {word: word},
    }
    return {field: {**valid, **change} for field, change in changed.items()}


def batch(row: dict[str, Any], logs: dict[str, str]) -> tuple[bytes, str]:
    """Return a batch of one row, and its signature."""
    document = {"schema": "ppp-batch-1", "node": PEER.id, "records": [row], "logs": logs}
    try:
        data = canonical_json(document)
    except ValueError:
        data = json.dumps(document, sort_keys=True, separators=(",", ":")).encode()
    return data, PEER.sign(data)


def verified_batch(row: dict[str, Any], logs: dict[str, str]) -> Batch | None:
    """Return the verified batch of a row; None where it is rejected with a harmless message."""
    data, signature = batch(row, logs)
    verified = accepted(lambda: verify_batch(data, signature, batch_id=sha256_hex(data), trusted={PEER.id}, now=NOW))
    assert verified is None or isinstance(verified, Batch)
    return verified


def accepted(attempt: Callable[[], T]) -> T | None:
    """Return the result of an attempt; None where it is rejected, with a message that is harmless itself."""
    message = ""
    try:
        return attempt()
    except (RejectedDataError, PeerError) as error:
        message = str(error)
    assert unsafe_characters(message, keep="") == set()
    assert 0 < len(message) < MAX_MESSAGE
    return None


@pytest.mark.heavy
@pytest.mark.attack("inert-text")
def test_words_of_a_peer_are_rejected_or_text(tmp_path: Path) -> None:
    passed: dict[str, set[str]] = {}
    batches: list[Batch] = []
    for name, word in {**HOSTILE_STRINGS, **SURROGATES}.items():
        for field, row in rows(name, word[:600]).items():
            if verified := verified_batch(row, {}):
                batches.append(verified)
                if not PLAIN.fullmatch(word):
                    passed.setdefault(field, set()).add(name)
    # Only free text may contain anything but plain words, and no control character either.
    assert passed.keys() == {"detail", "imports", "installed", "installed version"}
    for names in passed.values():
        assert {"script", "attribute-double", "template", "override", "zero-width", "sql", "traversal"} <= names
        assert not {"nul", "c0", "c1", "eight-bit", "colours", "forged", "separators", *SURROGATES} & names
    with Store.open(tmp_path / "data") as store:
        assert sum(merge(store, verified, now=1_714_089_600) for verified in batches) > 100
        build(store.db, tmp_path / "public")
    for path in tmp_path.rglob("public/p/**/*.html"):
        assert Skeleton(html := path.read_text("utf-8")).unexpected == []
        assert unsafe_characters(html) == set(), path


@pytest.mark.attack("inert-text")
def test_logs_of_a_peer_are_rejected_or_text() -> None:
    for name, word in {**HOSTILE_STRINGS, **SURROGATES}.items():
        digest = sha256_hex(word.encode("utf-8", "surrogatepass"))
        valid = rows(name, HARMLESS)["detail"] | {"log_sha256": digest}
        verified = verified_batch(valid, {digest: word})
        assert (verified is None) == (name in SURROGATES), name
        assert verified_batch(valid, {word: word}) is None
        assert verified_batch(valid, {digest: f"{word}x"}) is None


@pytest.mark.attack("inert-text")
def test_paths_of_a_peer_are_rejected_or_plain() -> None:
    passed: list[str] = []
    for word in {**HOSTILE_STRINGS, **SURROGATES}.values():
        for path in (word, f"p/{word}", f"{word}/index.html", f"batches/{word}.json.gz"):
            data = json.dumps({"schema": "ppp-files-1", "files": [[path, 1, "0" * 64]]}).encode()
            passed += accepted(partial(read_files, data, sha256=sha256_hex(data))) or ()
    assert "p/CON" in passed
    for path in passed:
        assert re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9._+!~/-]*", path)
        assert not {"..", ".", ""} & {*path.split("/")}


@pytest.mark.attack("inert-text")
def test_addresses_of_a_peer_are_rejected_or_plain() -> None:
    for word in {**HOSTILE_STRINGS, **SURROGATES}.values():
        for address in (word, f"http://{word}/", f"http://node.example/{word}", f"https://x@{word}"):
            if parsed := accepted(lambda address=address: parse_url(address)):  # type: ignore[misc]
                assert re.fullmatch(r"https?://[!-~]+/", parsed)
