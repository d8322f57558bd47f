"""Calls of `fal_client` or of the newer `replicate`, made when they are asked for: for tests that kill the gateway.

Each line of its input is a list of calls to make side by side: a call, a model and arguments each. It prints the
generations that they got, and when each came. Where the gateway is and the key, the environment says.
"""

from __future__ import annotations

import asyncio
import json
import re
import sys
import time
from collections.abc import Awaitable, Callable
from typing import Any

Came = list[tuple[str, float]]
Calls = dict[str, Callable[[str, dict[str, Any]], Awaitable[Came]]]


def came(*made: Any) -> Came:
    """The generation that each result's addresses name."""
    return [(re.findall(r"gen_[0-9A-Za-z]+", json.dumps(one, default=str))[0], time.monotonic()) for one in made]


def fal() -> Calls:
    import fal_client  # noqa: PLC0415 - only one of the two packages is installed for a version

    client = fal_client.AsyncClient()

    async def subscribe(model: str, arguments: dict[str, Any]) -> Came:
        return came(await client.subscribe(model, arguments))

    async def run(model: str, arguments: dict[str, Any]) -> Came:
        return came(await client.run(model, arguments))

    async def streamed(model: str, arguments: dict[str, Any]) -> Came:
        events = [event async for event in client.stream(model, arguments)]
        return came(events[-1])

    async def result(model: str, arguments: dict[str, Any]) -> Came:
        handle = await client.get_handle(model, arguments["request_id"])
        return came(await handle.get())

    return {"subscribe": subscribe, "run": run, "stream": streamed, "result": result}


def replicate() -> Calls:
    from replicate import AsyncReplicate  # type: ignore[attr-defined]  # noqa: PLC0415 - not in version 1

    client = AsyncReplicate(max_retries=40)

    async def run(model: str, arguments: dict[str, Any]) -> Came:
        return came(await client.run(model, input=arguments))

    async def begin(model: str, arguments: dict[str, Any]) -> Came:
        begun = await client.predictions.create(version=model, input=arguments)
        return came(begun.id)

    return {"run": run, "begin": begin}


async def main(package: str) -> None:
    calls = {"fal": fal, "replicate": replicate}[package]()
    while line := await asyncio.to_thread(sys.stdin.readline):
        asked = json.loads(line)
        made = await asyncio.gather(*(calls[call](model, arguments) for call, model, arguments in asked))
        sys.stdout.write(json.dumps([one for some in made for one in some]) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
