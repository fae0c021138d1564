"""One release in one environment: four gated phases, its verdict decided outside the sandbox."""
