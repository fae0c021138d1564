"""The ledger, one SQLite file: append-only records, current results, the queue."""
