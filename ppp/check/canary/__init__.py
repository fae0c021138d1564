"""The canary: packages of ours that show whether an environment works."""
