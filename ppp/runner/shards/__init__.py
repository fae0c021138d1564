"""Check a node's queue on machines that hold neither its key nor its ledger (ADR 41).

The node plans what each shard checks; a shard writes what it observed into files; the node takes these as its records.
"""
