"""What the index said about each file that was installed here: its address, size, time of upload, and more."""
