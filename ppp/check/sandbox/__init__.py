"""Where package code runs."""
