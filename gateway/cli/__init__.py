"""The command line: one file per command, imported when it is used.

Other packages add commands through the entry point group `farebox.commands`. So `farebox worker` exists without the
gateway importing the workers.
"""

from __future__ import annotations

import gc
import importlib
from importlib.metadata import entry_points

import click

from gateway.cli.documentation import docs_folder
from gateway.cli.listing import Listing
from gateway.cli.say import say
from gateway.local.lifeline import tie, watch
from gateway.local.supervisor import PARENT_VARIABLE
from gateway.settings import load_settings
from gateway.startup.misspelt import misspelt

_OWN_COMMANDS = {
    "init": "gateway.cli.init:init",
    "up": "gateway.cli.up:up",
    "demo": "gateway.cli.demo:demo",
    "pricing": "gateway.cli.pricing:pricing",
    "account": "gateway.cli.account:account",
    "operator": "gateway.cli.operator_keys:operator",
    "generation": "gateway.cli.generation:generation",
    "pause": "gateway.cli.pause:pause",
    "resume": "gateway.cli.pause:resume",
    "ops": "gateway.cli.ops:ops",
    "invoice": "gateway.cli.invoice:invoice",
    "audit": "gateway.cli.audit:audit_command",
    "audit-log": "gateway.cli.audit_log:audit_log",
    "backup": "gateway.cli.backup:backup",
    "restore": "gateway.cli.backup:restore",
    "rebuild": "gateway.cli.rebuild:rebuild",
    "signing-key": "gateway.cli.signing_key:signing_key",
    "gateway": "gateway.cli.gateway:gateway",
    "redis": "gateway.cli.redis:redis",
    "mcp": "gateway.cli.mcp:mcp",
}
_LOGS_IT = frozenset({"gateway", "worker", "caretaker"})  # their other output is a log too
_LAST_RESORT_SECONDS = 10  # beyond the grace period


class _Commands(Listing):
    """Finds commands by name in our own table and among the installed entry points."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Our own in the order a newcomer needs them, then the rest."""
        del ctx
        return [*_OWN_COMMANDS, *sorted(point.name for point in entry_points(group="farebox.commands"))]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import the command, or None if there is none of that name."""
        del ctx
        if cmd_name in _OWN_COMMANDS:
            module, _, name = _OWN_COMMANDS[cmd_name].partition(":")
            command: click.Command = getattr(importlib.import_module(module), name)
            return command
        for point in entry_points(group="farebox.commands", name=cmd_name):
            loaded: click.Command = point.load()
            return loaded
        return None

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Print where this version's documentation is, on a line of its own for copying."""
        del ctx
        formatter.write(f"\nDocumentation:\n  {docs_folder()}\n")


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(package_name="farebox", message="farebox %(version)s")
@click.option("--parent-fd", type=int, envvar=PARENT_VARIABLE, hidden=True)
@click.pass_context
def farebox(ctx: click.Context, parent_fd: int | None) -> None:
    """Sell generated images, videos, audio and text: priced, reserved, queued, then committed or refunded.

    Settings are environment variables named FAREBOX_…, listed in settings.md of the documentation.

    \b
    Start here:
      farebox init            write an example price list into this folder
      farebox up --demo       start everything, then make one image and one video
      farebox pricing check   check that the price list is complete
    """
    if not gc.isenabled():  # everything is imported now, and `gateway.__main__` had it disabled until then
        gc.freeze()  # modules are permanent: no collection examines them again
        gc.enable()
    if parent_fd is None and ctx.invoked_subcommand not in _LOGS_IT:
        for variable, meant in misspelt().items():
            say(f"Warning: {variable} is not a Farebox setting and is ignored. Did you mean {meant}?", error=True)
    if parent_fd is not None:  # `farebox up` started us, and we end with it
        if ctx.invoked_subcommand == "redis":
            tie(parent_fd)
        else:
            watch(parent_fd, load_settings().grace_seconds + _LAST_RESORT_SECONDS)
