"""The queries for the facts of an episode, by topic: one SQL statement for each kind of fact."""
