"""The state of a node between two runs on machines that keep nothing: saved into a folder, and restored from it."""
