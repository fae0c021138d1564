"""Find the releases to check: the index's feed, a watchlist, a requirements file."""
