"""An assistant: the official client, over the standard input and output of a real `farebox mcp`, or in this process."""

from __future__ import annotations

import json
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TextIO

from mcp import Client, StdioServerParameters, stdio_client

from gateway.client.calls import GatewayClient
from gateway.mcp.server import make_server

BICYCLE = {"tool": "image", "model": "sketch", "prompt": "a red bicycle"}


@dataclass(frozen=True, slots=True)
class Told:
    """What a tool answered: its value, or its error and the words for the assistant."""

    value: dict[str, Any]
    text: str
    is_error: bool

    @property
    def error(self) -> dict[str, Any]:
        assert self.is_error, self.text
        error: dict[str, Any] = self.value["error"]
        return error


@dataclass(frozen=True, slots=True)
class Assistant:
    """Calls tools."""

    client: Client

    async def call(self, name: str, /, **arguments: Any) -> Told:
        """One call of a tool, answered well or not."""
        result = await self.client.call_tool(name, arguments)
        (content,) = result.content
        assert content.type == "text"
        value = result.structured_content
        assert isinstance(value, dict)
        if not result.is_error:
            assert json.loads(content.text) == value, "for clients that read texts only"
        return Told(value, content.text, bool(result.is_error))

    async def get(self, name: str, /, **arguments: Any) -> dict[str, Any]:
        """The value of a call that succeeds."""
        told = await self.call(name, **arguments)
        assert not told.is_error, told.text
        return told.value

    async def fail(self, name: str, /, **arguments: Any) -> dict[str, Any]:
        """The error of a call that does not."""
        return (await self.call(name, **arguments)).error


@asynccontextmanager
async def over_stdio(address: str, key: str, errlog: TextIO) -> AsyncIterator[Assistant]:
    """A client of a process of its own, as an assistant's program starts it."""
    command = StdioServerParameters(
        command=sys.executable,
        args=["-P", "-m", "gateway", "mcp"],
        env={"FAREBOX_URL": address, "FAREBOX_KEY": key},
        cwd=Path(__file__).parents[2],
    )
    async with Client(stdio_client(command, errlog=errlog)) as client:
        yield Assistant(client)


@asynccontextmanager
async def in_process(address: str, key: str, faults: list[str] | None = None) -> AsyncIterator[Assistant]:
    """The same server and client without a process between them; `faults` gets what the server logs."""
    logged: list[str] = []
    async with GatewayClient(address, key) as gateway, Client(make_server(gateway, logged.append)) as client:
        yield Assistant(client)
    if faults is None:
        assert logged == []
    else:
        faults += logged
