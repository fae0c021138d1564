"""Verify published files and ledgers: check the content of each, and what confirms its digest."""
