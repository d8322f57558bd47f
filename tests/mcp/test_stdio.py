"""`farebox mcp` as assistants' programs start it: a process that speaks the protocol on standard input and output."""

from __future__ import annotations

import asyncio
import json
import signal
import sys
import tempfile
from asyncio.subprocess import PIPE
from pathlib import Path
from typing import Any

from yarl import URL

from gateway.domain import FailureCode
from tests.api.visitor import PICTURE, Visitor
from tests.mcp.assistant import BICYCLE, over_stdio

_ROOT = Path(__file__).parents[2]
HELLO = {
    "protocolVersion": "2025-06-18",
    "capabilities": {},
    "clientInfo": {"name": "a test", "version": "1"},
}


async def test_an_assistant_sees_the_price_then_buys_once_and_reads_what_came_of_it(gateway: Visitor) -> None:
    key = await gateway.account()
    with tempfile.TemporaryFile("w+") as errlog:
        async with over_stdio(gateway.address, key, errlog) as assistant:
            tools = {tool.name: tool for tool in (await assistant.client.list_tools()).tools}
            assert list(tools) == [
                "list_models",
                "quote",
                "generate",
                "get_generation",
                "cancel_generation",
                "get_balance",
            ]
            listed = await assistant.get("list_models", model="sketch")
            assert {price["credits"] for price in listed["models"][0]["prices"]} == {5}
            quoted = await assistant.get("quote", **BICYCLE, outputs=2)
            assert (quoted["credits"], quoted["affordable"]) == (10, True)

            order = {**BICYCLE, "outputs": 2, "confirm_credits": quoted["credits"]}
            made = await assistant.get("generate", **order)
            again = await assistant.get("generate", **order)
            assert (again["id"], again["already_made"]) == (made["id"], True)
            assert (await assistant.get("get_balance"))["held"] == 10

            await gateway.finish(made["id"], outputs=1)
            done = await assistant.get("get_generation", generation=made["id"], wait_seconds=1)
            assert (done["status"], done["credits"]["committed"], done["credits"]["refunded"]) == ("succeeded", 5, 5)
            assert (await gateway.call("GET", URL(done["outputs"][0]["url"]).raw_path_qs)).raw == PICTURE

            failing = await assistant.get("generate", **BICYCLE, confirm_credits=5)
            await gateway.begin(failing["id"])
            await gateway.settle(failing["id"], FailureCode.MODERATED)
            failed = await assistant.get("get_generation", generation=failing["id"])
            assert (failed["status"], failed["error"]["code"], failed["credits"]["refunded"]) == (
                "failed",
                "moderated",
                5,
            )

            unwanted = await assistant.get("generate", **BICYCLE, confirm_credits=5, idempotency_key="another")
            cancelled = await assistant.get("cancel_generation", generation=unwanted["id"])
            assert (cancelled["status"], cancelled["credits"]["refunded"]) == ("cancelled", 5)
            balance = await assistant.get("get_balance")
            assert (balance["available"], balance["held"]) == (95, 0)
        errlog.seek(0)
        assert errlog.read() == ""


async def test_nothing_but_the_protocol_is_written_and_neither_key_nor_prompt_is_logged(gateway: Visitor) -> None:
    """Messages that no server takes, arguments that no tool takes, and a gateway that is not there."""
    key = await gateway.account()
    secret = "a secret prompt"
    calls = [
        {"name": "generate", "arguments": {"prompt": secret, "settings": secret}},
        {"name": "generate", "arguments": secret},
        {"name": secret, "arguments": {}},
        {"name": "quote", "arguments": {**BICYCLE, "prompt": secret}},
    ]
    lines = [
        {"jsonrpc": "2.0", "id": 0, "method": "initialize", "params": HELLO},
        {"jsonrpc": "2.0", "method": "notifications/initialized"},
        *(
            {"jsonrpc": "2.0", "id": number, "method": "tools/call", "params": call}
            for number, call in enumerate(calls, 1)
        ),
    ]
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-P", "-m", "gateway", "mcp"),
        stdin=PIPE,
        stdout=PIPE,
        stderr=PIPE,
        env={"PATH": "/usr/bin:/bin", "FAREBOX_URL": "http://127.0.0.1:9", "FAREBOX_KEY": key},
        cwd=_ROOT,
    )
    sent = "\n".join([*map(json.dumps, lines), f'{{"prompt": "{secret}"', ""])
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write(sent.encode())
    messages: list[dict[str, Any]] = []
    while not {0, 1, 2, 3, 4} <= {message.get("id") for message in messages}:
        messages.append(json.loads(await process.stdout.readline()))
    rest, complained = await process.communicate(b"")
    messages += map(json.loads, rest.splitlines())
    assert {message["jsonrpc"] for message in messages} == {"2.0"}
    assert key not in json.dumps(messages) + complained.decode()
    assert secret not in complained.decode()
    assert process.returncode == 0


async def test_ctrl_c_ends_it_while_standard_input_is_open() -> None:
    """It stayed until its input ended, however often Ctrl-C was pressed."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-P", "-m", "gateway", "mcp"),
        stdin=PIPE,
        stdout=PIPE,
        env={"PATH": "/usr/bin:/bin", "FAREBOX_URL": "http://127.0.0.1:9", "FAREBOX_KEY": "fbx_some"},
        cwd=_ROOT,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        process.stdin.write(json.dumps({"jsonrpc": "2.0", "id": 0, "method": "initialize", "params": HELLO}).encode())
        process.stdin.write(b"\n")
        await process.stdout.readline()
        process.send_signal(signal.SIGINT)
        assert await process.wait() == -signal.SIGINT
    finally:
        if process.returncode is None:
            process.kill()
