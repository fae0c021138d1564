"""The domain model: immutable types that all packages share. No I/O, no clock, no randomness."""
