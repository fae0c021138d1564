"""What is wrong with this machine, and how to mend it: facts are gathered by adapters and judged without I/O."""
