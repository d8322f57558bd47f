"""A command group whose help shows each first sentence in full: click cuts it at the terminal's width."""

from __future__ import annotations

import click

_WHOLE = 1_000  # characters: longer than any first sentence


class Listing(click.Group):
    """A group whose help wraps each command's first sentence instead of cutting it."""

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the section `Commands`."""
        commands = ((name, self.get_command(ctx, name)) for name in self.list_commands(ctx))
        rows = [
            (name, command.get_short_help_str(_WHOLE))
            for name, command in commands
            if command is not None and not command.hidden
        ]
        with formatter.section("Commands"):
            formatter.write_dl(rows)
