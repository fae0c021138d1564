"""Atom, RSS and JSON Feed."""
