"""The build cache, and what is worked out from it: the lists of files, the digests of days."""
