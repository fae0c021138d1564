"""How a build proceeds."""
