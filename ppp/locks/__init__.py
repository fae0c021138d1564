"""Locks: which files a PASS installed, with their addresses and hashes, for pip and uv to install again."""
