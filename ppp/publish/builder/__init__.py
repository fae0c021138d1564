"""The steps of a build: what changed, what is read, what is rendered, how it is written."""
