"""`farebox mcp`: a gateway's models and prices as tools for assistants."""

from __future__ import annotations

import asyncio
import importlib
import signal
from types import ModuleType

import click

from gateway.cli.say import say
from gateway.client.calls import GatewayClient
from gateway.client.settings import load_client_settings
from gateway.errors import SettingsError


@click.command()
def mcp() -> None:
    """Serve tools for assistants over MCP on standard input and output.

    The tools list models with their prices, quote, generate at a confirmed price, get and cancel generations, and read
    the balance. Set FAREBOX_URL to the gateway's address (http://127.0.0.1:8080) and FAREBOX_KEY to an account's key.
    Started by the assistant's program: mcp.md of the documentation shows how.

    \b
    Example:
      FAREBOX_URL=https://farebox.example.com FAREBOX_KEY=fbx_… farebox mcp
    """
    settings = load_client_settings()
    if settings.key is None:
        raise SettingsError(
            "FAREBOX_KEY is not set: set it to an account's API key, as `farebox account key` prints it."
        )
    server = _server()
    # Ctrl-C ends the process like SIGTERM: the SDK reads standard input in a thread that Python would wait for.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    asyncio.run(_serve(server, settings.url, settings.key.get_secret_value()))


async def _serve(server: ModuleType, address: str, key: str) -> None:
    async with GatewayClient(address, key) as client:
        await server.serve(client, lambda line: say(line, error=True))


def _server() -> ModuleType:
    try:
        return importlib.import_module("gateway.mcp.server")
    except ModuleNotFoundError as missing:
        if missing.name is None or missing.name.partition(".")[0] not in {"mcp", "mcp_types"}:
            raise
        raise click.ClickException("`farebox mcp` needs the `mcp` extra: pip install 'farebox[mcp]'") from None
