"""The newest period told in text: facts, licensed patterns, a writer, a verifier."""
