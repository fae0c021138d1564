"""One package: what the ledger holds of it, and what follows from that."""
