"""No Python reads this."""

def word(:
    return 1
