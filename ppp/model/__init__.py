"""The frozen nouns every room speaks in. No I/O, no clock, no randomness."""
