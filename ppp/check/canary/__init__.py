"""Packages of ours that show whether an environment works."""
