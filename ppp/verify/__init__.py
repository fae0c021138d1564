"""Whether what was published holds: each file judged from its bytes, by what stands beside it, and by what is in it."""
