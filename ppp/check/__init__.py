"""One release in one environment: four gated phases, a verdict decided outside."""
