"""`current.json`: its schema, and consistent numbers."""

import hashlib
import json
from collections import Counter
from collections.abc import Callable

from ledger_counts import build_current

from ppp.ledger import published
from ppp.ledger.batches import ledger_root as root_of
from ppp.ledger.digests import read_day_digests
from ppp.ledger.store import Store
from ppp.model.record import Record
from ppp.publish.api.current import NEWEST_RESULTS, current_bytes
from ppp.publish.cache.build_cache import BuildCache
from ppp.publish.cache.day_digests import update_days
from ppp.resources import resource
from ppp.schemas import schema_errors

SCHEMA = "site/schemas/current.schema.json"


def document_of(store: Store) -> dict[str, object]:
    return build_current(store.db)


def test_is_valid(small: Store) -> None:
    assert schema_errors(SCHEMA, document_of(small)) == []


def test_of_an_empty_ledger(store: Store) -> None:
    document = document_of(store)
    assert schema_errors(SCHEMA, document) == []
    assert document["as_of"] is None
    assert document["days"] == document["results"] == []


def test_the_schema_rejects_invalid_documents(small: Store) -> None:
    document = {**document_of(small), "node": "ab" * 32}
    assert schema_errors(SCHEMA, document) != []


def test_numbers_agree(small: Store) -> None:
    document = document_of(small)
    text = document["counts"]
    assert isinstance(text, dict)
    assert sum(text["results"].values()) == text["cells"] == len(document["results"])  # type: ignore[arg-type]
    for word, total in text["results"].items():
        assert total == sum(by_result[word] for by_result in text["environments"].values())
    shown = Counter(row["result"] for row in document["results"])  # type: ignore[attr-defined]
    assert shown == Counter({word: n for word, n in text["results"].items() if n})
    assert text["records"] == 19
    assert text["cells"] == 18  # two nodes share one
    assert (text["packages"], text["releases"]) == (5, 6)


def test_the_root_and_the_days_are_digests_of_sorted_ids(small: Store) -> None:
    document = document_of(small)
    text = document["days"]
    assert isinstance(text, list)
    assert [(d["day"], d["records"]) for d in text] == [("2024-04-24", 4), ("2024-04-25", 15)]
    first = sorted(row[0] for row in small.db.execute("SELECT record FROM records WHERE observed_at < 1714003200"))
    assert text[0]["sha256"] == hashlib.sha256("".join(f"{i}\n" for i in first).encode()).hexdigest()
    lines = "".join(f"{day['day']} {day['records']} {day['sha256']}\n" for day in text)
    assert document["root"] == hashlib.sha256(lines.encode()).hexdigest() == root_of(small.db)


def test_a_day_is_computed_from_cached_and_new_records(small: Store, record: Callable[..., Record]) -> None:
    with BuildCache.open(None) as memory:
        assert update_days(small.db, memory, 0) == read_day_digests(small.db)
        (last,) = small.db.execute("SELECT max(rowid) FROM records").fetchone()
        assert update_days(small.db, memory, last) == read_day_digests(small.db)
        for at in (1_714_003_200, 1_714_003_200 + 7 * 86_400):
            small.add_record(record("new", "1.0", "py39-slim", observed_at=at, result="FAIL"))
        text = update_days(small.db, memory, last)
        assert text == read_day_digests(small.db)
        assert [day.day for day in text] == ["2024-04-24", "2024-04-25", "2024-05-02"]


def test_newest_first_and_flat(small: Store) -> None:
    results = document_of(small)["results"]
    assert isinstance(results, list)
    assert [r["observed_at"] for r in results] == sorted((r["observed_at"] for r in results), reverse=True)
    assert results[0]["package"] == "slow"
    assert all(not isinstance(value, (dict, list)) for row in results for value in row.values())


def test_is_limited_to_the_newest_results(small: Store) -> None:
    every = published.newest_verdicts(small.db, NEWEST_RESULTS)
    assert len(every) == 18
    assert published.newest_verdicts(small.db, 5) == every[:5]
    schema = json.loads(resource(SCHEMA).read_text("utf-8"))
    assert schema["properties"]["results"]["maxItems"] == NEWEST_RESULTS


def test_no_text_can_control_a_terminal(hostile: Store) -> None:
    data = current_bytes(document_of(hostile))
    assert data.isascii()
    assert all(byte >= 0x20 or byte == 0x0A for byte in data)
    assert "\u202e" in json.loads(data)["results"][0]["detail"]


def test_it_contains_no_node(small: Store) -> None:
    assert b"abababab" not in current_bytes(document_of(small))
