"""JSON files and badges."""
