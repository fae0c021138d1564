"""What is remembered of a peer's batches that were not merged."""

from ppp.ledger.left_out import LeftOutBatch, forget_left_out, read_left_out, save_left_out
from ppp.ledger.store import Store


def note(batch: str, *, node: str | None = None, seen_at: int = 1) -> LeftOutBatch:
    return LeftOutBatch(batch=batch, node=node, reason="why", seen_at=seen_at)


def test_notes_are_returned_by_batch(store: Store) -> None:
    save_left_out(store, "one", [note("a"), note("b", node="cd")])
    save_left_out(store, "other", [note("a", seen_at=7)])
    assert read_left_out(store.db, "one") == {"a": note("a"), "b": note("b", node="cd")}
    assert read_left_out(store.db, "other") == {"a": note("a", seen_at=7)}
    assert read_left_out(store.db, "third") == {}


def test_a_note_is_replaced_by_a_newer_one(store: Store) -> None:
    save_left_out(store, "one", [note("a")])
    save_left_out(store, "one", [note("a", seen_at=9)])
    assert read_left_out(store.db, "one") == {"a": note("a", seen_at=9)}


def test_the_newest_notes_of_a_peer_are_kept(store: Store) -> None:
    save_left_out(store, "other", [note("x")])
    save_left_out(store, "one", [note(f"b{n}", seen_at=n) for n in range(10)], limit=3)
    assert set(read_left_out(store.db, "one")) == {"b7", "b8", "b9"}
    assert set(read_left_out(store.db, "other")) == {"x"}


def test_notes_of_one_peer_are_forgotten(store: Store) -> None:
    save_left_out(store, "one", [note("a")])
    save_left_out(store, "other", [note("a")])
    forget_left_out(store, "one")
    assert read_left_out(store.db, "one") == {}
    assert read_left_out(store.db, "other")
