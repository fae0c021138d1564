"""Where releases come from: the feed, the watchlist, a requirements file."""
