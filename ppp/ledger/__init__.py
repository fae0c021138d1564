"""One SQLite file: append-only records, what is current, the queue."""
