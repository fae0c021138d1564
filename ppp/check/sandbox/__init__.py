"""Where package code runs: containers, bubblewrap, or bare virtual environments; a keeper in each."""
