"""The index's journal: what was released, withdrawn and restored, and when; see `ppp.watch.journal.port`."""
