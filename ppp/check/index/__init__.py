"""The package index, and which of its files pip would choose."""
