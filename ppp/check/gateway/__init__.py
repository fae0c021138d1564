"""What cells reach of the network: a gateway to the index."""
