"""Declared releases: curated sets of packages that were checked as a whole, each published under one signed id."""
