import passes
