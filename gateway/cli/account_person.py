"""`farebox account export`, `erase`: everything about an account's person, and its erasure."""

from __future__ import annotations

import asyncio
from typing import Any, BinaryIO

import click

from gateway.cli.operator import ask_gateway
from gateway.cli.options import path_of
from gateway.cli.say import say
from gateway.client.calls import GatewayClient

_AGAIN_SECONDS = 2


@click.command()
@click.argument("name", metavar="ACCOUNT")
@click.option("--output", type=click.File("wb"), default="-", help="A file. Default: print it.")
def export(name: str, output: BinaryIO) -> None:
    """Export everything about ACCOUNT as JSON lines; the last one has the type `end`.

    \b
    Example:
      farebox account export acme --output acme.jsonl
    """

    async def read(client: GatewayClient) -> dict[str, Any]:
        await client.save(f"{path_of(name)}/export", output)
        return {}

    ask_gateway(read)


@click.command()
@click.argument("name", metavar="ACCOUNT")
@click.option("--yes", is_flag=True, help="Do not ask.")
def erase(name: str, *, yes: bool) -> None:
    """Erase the person behind ACCOUNT, for good: prompts, files, names and keys.

    What is open is cancelled first. Credits and their history stay under the account's id. Interrupted, it continues
    when it is run again.

    \b
    Example:
      farebox account erase acme
    """
    if not yes:
        click.confirm(f"Erase the person behind {name}? This cannot be undone", abort=True)

    async def until_done(client: GatewayClient) -> dict[str, Any]:
        while True:
            erased = await client.call("DELETE", f"{path_of(name)}/person")
            if erased["done"]:
                return erased
            if erased["open"]:
                say(f"waiting for {erased['open']} cancelled generations to end", error=True)
                await asyncio.sleep(_AGAIN_SECONDS)

    ask_gateway(until_done)
    say(f"The person behind {name} has been erased.")


COMMANDS = (export, erase)
