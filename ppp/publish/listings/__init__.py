"""Listings of packages, and the pages that long ones are split into."""
