"""Shared by nobody: a copy of its own."""

NAME = "left"
ONLY_LEFT = True
