"""Narrate a day in text: facts from the ledger, licensed sentence patterns, a writer and a verifier."""
