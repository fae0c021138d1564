"""The dependency."""
