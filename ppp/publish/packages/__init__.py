"""What is read of a package's records, and what follows from them."""
