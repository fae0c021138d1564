"""Dated databases."""
