"""Whole logs as files: each is named by its own bytes, bounded, inert on a terminal, and verified."""

import json
import re
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st
from small_sites import bound_with_room

from ppp.ledger.store import Store
from ppp.model.record import Record
from ppp.publish.build import build
from ppp.publish.site.logs import LOGS_BUDGET, MAX_LOG_BYTES, log_files
from ppp.verify.examine import VerifyOptions, examine


def published(out: Path) -> dict[str, bytes]:
    return {path.relative_to(out).as_posix(): path.read_bytes() for path in out.glob("p/*/log/*")}


def test_the_whole_log_is_one_link_away_and_proves_itself(small: Store, tmp_path: Path) -> None:
    out = tmp_path / "public"
    build(small.db, out)
    ((path, content),) = published(out).items()
    assert content == b"Collecting needs-gcc\n  building\nerror: command 'gcc' failed: No such file or directory\n"
    assert path == f"p/needs-gcc/log/{sha256(content).hexdigest()}.txt"
    page = (out / "p" / "needs-gcc" / "index.html").read_text("utf-8")
    assert f'<a href="{path.removeprefix("p/needs-gcc/")}">The whole log</a>' in page
    document = json.loads((out / "api" / "v1" / "p" / "needs-gcc.json").read_bytes())
    assert document["logs"] == {document["cells"][2]["log_sha256"]: path}
    (found,) = examine(out / path, VerifyOptions(now=0))
    assert (found.valid, found.message) == (True, "a log that hashes to its name")
    (out / path).write_bytes(content.replace(b"gcc", b"g++"))
    (changed,) = examine(out / path, VerifyOptions(now=0))
    assert not changed.valid
    assert "its name says" in changed.message


def test_a_log_goes_with_the_failure_that_it_is_of(small: Store, record: Callable[..., Record], tmp_path: Path) -> None:
    out, cache = tmp_path / "public", tmp_path / "publish.db"
    build(small.db, out, cache_path=cache)
    for environment in ("py39-alpine", "py312-alpine"):
        small.add_record(record("needs-gcc", "1.2", environment, observed_at=1_714_100_000))
    build(small.db, out, cache_path=cache)
    assert published(out) == {}


def test_a_site_without_room_for_all_pages_has_no_whole_logs(small: Store, tmp_path: Path) -> None:
    out = tmp_path / "public"
    build(small.db, out, bound=bound_with_room(20))
    assert published(out) == {}
    page = (out / "p" / "needs-gcc" / "index.html").read_text("utf-8")
    assert "The whole log" not in page
    assert "command 'gcc' failed" in page


@settings(max_examples=30, deadline=None)
@given(st.dictionaries(st.text("abc", min_size=1, max_size=4), st.text(max_size=200), max_size=4), st.integers(0, 999))
def test_logs_are_bounded_named_by_their_bytes_and_inert(logs: dict[str, str], more: int) -> None:
    logs = {name: log * (1 + more * len(log)) for name, log in logs.items()}
    files = log_files(logs)
    assert sum(len(file.content) for file in files.values()) <= LOGS_BUDGET
    for file in files.values():
        assert len(file.content) <= MAX_LOG_BYTES + 60
        assert file.name == f"log/{sha256(file.content).hexdigest()}.txt"
        assert not re.search(r"[^\n\t -~\xa0-\U0010ffff]", file.content.decode())


def test_a_long_log_keeps_its_end() -> None:
    (file,) = log_files({"a": "é" * MAX_LOG_BYTES + "\nerror: the end\n"}).values()
    first, _, rest = file.content.decode().partition("\n")
    assert first == f"[the first {MAX_LOG_BYTES + 16} bytes are left out]"
    assert rest.endswith("é\nerror: the end\n")
