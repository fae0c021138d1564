"""Commands that are imported only when they are invoked, so that a start of `ppp` costs what its command needs."""

from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import Any, Final

import click
from click.shell_completion import CompletionItem

#: The longest short help, in characters, which a terminal of 80 columns shows on one line.
MAX_SHORT_HELP: Final = 63


@dataclass(frozen=True, slots=True)
class LazyCommand:
    """Where a command is defined, `module:name`, and its short help: the first sentence of its own."""

    place: str
    short_help: str

    def load(self) -> click.Command:
        """Import the command."""
        module, _, name = self.place.partition(":")
        command = getattr(import_module(module), name)
        if not isinstance(command, click.Command):
            raise TypeError(f"{self.place} is no command")
        return command


class LazyGroup(click.Group):
    """A group that lists its commands, in its help and for completion, without importing them."""

    def __init__(self, name: str, *, lazy: Mapping[str, "LazyCommand | LazyGroup"], **attributes: Any) -> None:  # noqa: ANN401 - click's own
        """Take the commands, and groups of this kind, by their names; `attributes` are those of any group."""
        super().__init__(name, **attributes)
        self._lazy = lazy

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - as click calls it
        """Return the names of the commands, sorted."""
        return sorted(self._lazy)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        """Import a command; return None if there is none of this name."""
        found = self._lazy.get(cmd_name)
        return found.load() if isinstance(found, LazyCommand) else found

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the list of the commands."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, self._short_help(name)) for name in self.list_commands(ctx)])

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        """Return the commands, or the options, whose names begin with `incomplete`."""
        names = [name for name in self.list_commands(ctx) if name.startswith(incomplete)]
        items = [CompletionItem(name, help=self._short_help(name)) for name in names]
        return [*items, *click.Command.shell_complete(self, ctx, incomplete)]

    def _short_help(self, name: str) -> str:
        found = self._lazy[name]
        return found.short_help if isinstance(found, LazyCommand) else found.get_short_help_str(MAX_SHORT_HELP)
