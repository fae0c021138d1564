"""Shared by nobody: a copy of its own."""

NAME = "right"
ONLY_RIGHT = True
