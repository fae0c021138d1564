"""The commands: parse, wire, map errors to exit codes."""


def main() -> None:
    """Run a command."""
