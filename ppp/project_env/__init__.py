"""Environments of a user's projects, exactly as their locks say; see `ppp.project_env.sync`."""
