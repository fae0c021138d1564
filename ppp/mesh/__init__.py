"""Nodes that trust keys, not hosts: batches, statements, peers, synchronisation."""
