"""SQL on a copy of the ledger."""
