"""How a run proceeds: environments, rounds between canaries, the queue."""
