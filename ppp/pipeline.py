"""The whole flow on one screen."""
