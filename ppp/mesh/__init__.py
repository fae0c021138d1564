"""Exchange of records between nodes that trust each other's keys: batches, statements, peers, synchronization."""
