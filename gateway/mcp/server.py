"""The server: tools over standard input and output, with the official SDK.

It uses the SDK's low-level server, which passes arguments unparsed: so errors are ours, tell the assistant what to do,
and never put an argument into a log.
"""

from __future__ import annotations

import json
import logging
import traceback
from collections.abc import Callable
from importlib.metadata import version
from typing import Any

import mcp_types as types
from mcp.server.context import ServerRequestContext
from mcp.server.lowlevel.server import Server
from mcp.server.stdio import stdio_server
from pydantic import ValidationError

from gateway.client.calls import GatewayClient
from gateway.errors import FareboxError
from gateway.mcp import refusals
from gateway.mcp.tools import TOOLS, OfferedTool

_INSTRUCTIONS = (
    "Farebox makes images, videos, audio and text for credits. Before spending any: choose a model with list_models, "
    "get the exact price with quote, show it to the user, and pass what they accept to generate as confirm_credits. "
    "Then read the outputs with get_generation. Nothing is charged for what is not delivered."
)
_NAMED = {tool.name: tool for tool in TOOLS}

Log = Callable[[str], None]


async def serve(client: GatewayClient, log: Log) -> None:
    """Serve the tools until standard input ends. `log` gets a line for each fault of ours."""
    logging.getLogger("mcp").setLevel(logging.CRITICAL + 1)  # the SDK's log lines contain arguments, such as prompts
    server = make_server(client, log)
    async with stdio_server() as (reading, writing):
        await server.run(reading, writing, server.create_initialization_options())


def make_server(client: GatewayClient, log: Log) -> Server[dict[str, Any]]:
    """The server, without a transport."""

    async def list_tools(
        context: ServerRequestContext[dict[str, Any]], params: types.PaginatedRequestParams | None
    ) -> types.ListToolsResult:
        del context, params
        return types.ListToolsResult(tools=[_described(tool) for tool in TOOLS])

    async def call_tool(
        context: ServerRequestContext[dict[str, Any]], params: types.CallToolRequestParams
    ) -> types.CallToolResult:
        del context
        return await _call(client, log, params.name, params.arguments or {})

    return Server(
        "farebox",
        title="Farebox",
        version=version("farebox"),
        instructions=_INSTRUCTIONS,
        on_list_tools=list_tools,
        on_call_tool=call_tool,
    )


async def _call(client: GatewayClient, log: Log, name: str, given: dict[str, Any]) -> types.CallToolResult:
    try:
        tool = _named(name)
        return _result(await tool.run(client, tool.takes.model_validate(given)))
    except (FareboxError, ValidationError) as expected:
        return _failed(refusals.refusal(expected, client.address))
    except Exception as fault:  # noqa: BLE001 - a fault of ours ends one call, not the server
        where = "".join(traceback.format_tb(fault.__traceback__))  # without its text, which may contain a prompt
        log(f"{name} failed: {type(fault).__name__}\n{where}")
        return _failed(refusals.of_fault())


def _named(name: str) -> OfferedTool:
    if name not in _NAMED:
        raise refusals.ToolRefused("unknown_tool", f"No such tool. There are: {', '.join(_NAMED)}.")
    return _NAMED[name]


def _described(tool: OfferedTool) -> types.Tool:
    return types.Tool(
        name=tool.name,
        title=tool.title,
        description=tool.description,
        input_schema=tool.takes.model_json_schema(),
        annotations=types.ToolAnnotations(
            title=tool.title,
            read_only_hint=tool.reads,
            destructive_hint=not tool.reads,
            idempotent_hint=True,
            open_world_hint=False,
        ),
    )


def _result(found: dict[str, Any]) -> types.CallToolResult:
    text = json.dumps(found, ensure_ascii=False, separators=(",", ":"))
    return types.CallToolResult(content=[types.TextContent(type="text", text=text)], structured_content=found)


def _failed(refused: refusals.ToolRefused) -> types.CallToolResult:
    return types.CallToolResult(
        content=[types.TextContent(type="text", text=str(refused))],
        structured_content={"error": refused.details},
        is_error=True,
    )
