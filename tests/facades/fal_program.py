"""A program that uses nothing but the public calls of `fal_client`: run with each version that is supported.

Its arguments are the keys of two accounts, one with credits and one without, and the URL of a webhook. Where the
gateway is, the environment says, as `fal_client` reads it. It prints what it saw.
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Callable
from importlib.metadata import version
from typing import Any

import fal_client

MODEL = "fal-ai/flux/dev"


def error_of(call: Callable[[], Any]) -> list[Any]:
    try:
        call()
    except fal_client.FalClientHTTPError as error:
        return [error.status_code, error.response.json()["error"]["code"], str(error)[:60]]
    return ["no error"]


def arguments(prompt: str, **sandbox: Any) -> dict[str, Any]:
    return {"prompt": prompt, "sandbox": sandbox} if sandbox else {"prompt": prompt}


def main(key: str, poor_key: str, limited_key: str, webhook_url: str) -> dict[str, Any]:
    client, poor = fal_client.SyncClient(key=key), fal_client.SyncClient(key=poor_key)
    limited = fal_client.SyncClient(key=limited_key)
    seen: dict[str, Any] = {"version": version("fal_client"), "statuses": []}
    two = client.subscribe(
        MODEL,
        {"prompt": "a cat", "image_size": "landscape_4_3", "num_images": 2},
        on_queue_update=lambda one: seen["statuses"].append(type(one).__name__),
        with_logs=True,
    )
    seen["two"] = [(one["width"] > one["height"], one["content_type"]) for one in two["images"]]
    seen["run"] = len(client.run(MODEL, {"prompt": "a dog"})["images"])
    seen["streamed"] = [len(event["images"]) for event in client.stream(MODEL, {"prompt": "a bird"})]
    handle = client.submit("farebox/flux-dev", {"prompt": "by its id"}, webhook_url=webhook_url)
    seen["told of"] = handle.request_id
    seen["by id"] = len(client.result("farebox/flux-dev", handle.request_id)["images"])
    seen["status"] = type(client.status("farebox/flux-dev", handle.request_id)).__name__
    seen["timed out"] = timed_out(client)
    seen["cancelled"] = cancelled(client)
    seen["errors"] = {
        "failed": error_of(lambda: client.subscribe(MODEL, arguments("x", fail="moderated"))),
        "failed in run": error_of(lambda: client.run(MODEL, arguments("x", fail="provider_failed"))),
        "ended": error_of(handle.cancel),
        "size": error_of(lambda: client.submit(MODEL, {"prompt": "x", "image_size": "huge"})),
        "prompt": error_of(lambda: client.submit(MODEL, {})),
        "model": error_of(lambda: client.submit("fal-ai/none", {"prompt": "x"})),
        "webhook": error_of(lambda: client.submit(MODEL, {"prompt": "x"}, webhook_url="https://10.0.0.1/")),
        "gated": error_of(lambda: client.submit("fal-ai/nano-banana-pro", {"prompt": "x"})),
        "poor": error_of(lambda: poor.subscribe("fal-ai/flux-2-pro", {"prompt": "x"})),
        "poor in run": error_of(lambda: poor.run("fal-ai/flux-2-pro", {"prompt": "x"})),
        "limited": error_of(lambda: limited.subscribe(MODEL, {"prompt": "x"})),
        "key": error_of(lambda: fal_client.SyncClient(key="fbx_none").submit(MODEL, {"prompt": "x"})),
        "request": error_of(lambda: client.status(MODEL, "none")),
    }
    seen["async"] = asyncio.run(by_the_async_client(key))
    return seen


def timed_out(client: fal_client.SyncClient) -> list[Any]:
    """A client that gives up cancels, and what it has begun is found by its id."""
    ids: list[str] = []
    try:
        client.subscribe(MODEL, arguments("slow", hang=True), client_timeout=5, on_enqueue=ids.append)
    except fal_client.FalClientTimeoutError as error:
        return [error.request_id == ids[0], error_of(lambda: client.result(MODEL, ids[0]))[:2]]
    return ["no error"]


def cancelled(client: fal_client.SyncClient) -> list[Any]:
    handle = client.submit(MODEL, arguments("to be cancelled", hang=True))
    before = type(handle.status()).__name__
    handle.cancel()
    handle.cancel()
    result = error_of(handle.get)
    status = handle.status()
    return [before in {"Queued", "InProgress"}, type(status).__name__, getattr(status, "error_type", None), result[:2]]


async def by_the_async_client(key: str) -> dict[str, Any]:
    client = fal_client.AsyncClient(key=key)
    made = await asyncio.gather(*(client.subscribe(MODEL, {"prompt": f"p{n}"}) for n in range(2)))
    run = await client.run(MODEL, {"prompt": "r"})
    events = [event async for event in client.stream(MODEL, {"prompt": "s"})]
    handle = await client.submit(MODEL, arguments("to be cancelled", hang=True))
    await client.cancel(MODEL, handle.request_id)
    try:
        await client.result(MODEL, handle.request_id)
    except fal_client.FalClientHTTPError as error:
        status = error.status_code
    return {"made": [len(one["images"]) for one in [*made, run, *events]], "cancelled": status}


if __name__ == "__main__":
    json.dump(main(*sys.argv[1:]), sys.stdout)
