"""What lies between cells and the package index: a caching proxy that is their only way out."""
