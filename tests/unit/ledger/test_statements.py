"""The chain of statements and the evidence of forks, stored byte for byte."""

from ppp.ledger.statements import (
    Fork,
    StoredStatement,
    add_forks,
    add_statement,
    list_forks,
    newest_statement,
    statement_files,
)
from ppp.ledger.store import Store

NODE = "ab" * 32


def test_the_last_statement_is_also_published_as_statement_json(store: Store) -> None:
    assert newest_statement(store.db) is None
    assert list(statement_files(store.db)) == []
    for sequence in (1, 2, 10):
        add_statement(store, StoredStatement(sequence=sequence, text=f"é{sequence}", digest=f"{sequence:064}"))
    assert newest_statement(store.db) == StoredStatement(sequence=10, text="é10", digest=f"{10:064}")
    assert list(statement_files(store.db)) == [
        ("statements/1.json", "é1".encode()),
        ("statements/2.json", "é2".encode()),
        ("statements/10.json", "é10".encode()),
        ("statement.json", "é10".encode()),
    ]


def test_evidence_of_a_fork_is_stored_once_with_the_first_time(store: Store) -> None:
    one = Fork(node=NODE, sequence=3, digest="aa" * 32, text="one", seen_at=5)
    other = Fork(node=NODE, sequence=3, digest="bb" * 32, text="other", seen_at=5)
    add_forks(store, (other, one))
    add_forks(store, (Fork(node=NODE, sequence=3, digest="aa" * 32, text="one", seen_at=9),))
    assert list_forks(store.db) == [one, other]
