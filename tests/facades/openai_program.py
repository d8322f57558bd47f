"""A program that uses nothing but the public calls of the `openai` package: run with each version that is supported.

Its arguments are the base URL and the keys of two accounts, one with credits and one without,
and a key of the first with a limit. It prints what it saw.
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Awaitable, Callable
from typing import Any

import openai


def error_of(call: Callable[[], Any]) -> list[Any]:
    try:
        call()
    except openai.APIStatusError as error:
        return [type(error).__name__, error.status_code, error.code, error.message[:60]]
    except openai.APIConnectionError as error:
        return [type(error).__name__]
    return ["no error"]


def main(url: str, key: str, poor_key: str, limited_key: str) -> dict[str, Any]:
    client, poor = openai.OpenAI(base_url=url, api_key=key), openai.OpenAI(base_url=url, api_key=poor_key)
    limited = openai.OpenAI(base_url=url, api_key=limited_key)
    seen: dict[str, Any] = {"version": openai.__version__}
    made = client.images.generate(model="gpt-image-1.5", prompt="a cat", size="1024x1536", quality="high", n=2)
    seen["made"] = [made.size, [bool(one.url and one.b64_json) for one in made.data or []]]
    events = list(client.images.generate(model="flux-dev", prompt="a dog", stream=True))
    seen["events"] = [event.type for event in events]
    slow = client.with_options(timeout=1.0, max_retries=40)  # as many as it takes on a busy machine
    found = slow.images.generate(model="flux-dev", prompt="slow", extra_body={"sandbox": {"delay_seconds": 2}})
    seen["slow"] = len(found.data or [])
    seen["errors"] = {
        "failed": error_of(
            lambda: client.images.generate(model="flux-dev", prompt="x", extra_body={"sandbox": {"fail": "moderated"}})
        ),
        "failed late": error_of(
            lambda: slow.images.generate(
                model="flux-dev", prompt="x", extra_body={"sandbox": {"fail": "moderated", "delay_seconds": 2}}
            )
        ),
        "size": error_of(lambda: client.images.generate(model="flux-dev", prompt="x", size="256x256")),
        "model": error_of(lambda: client.images.generate(model="dall-e-9", prompt="x")),
        "gated": error_of(lambda: client.images.generate(model="nano-banana-pro", prompt="x")),
        "poor": error_of(lambda: poor.images.generate(model="flux-2-pro", prompt="x")),
        "limited": error_of(lambda: limited.images.generate(model="flux-dev", prompt="x")),
        "key": error_of(openai.OpenAI(base_url=url, api_key="fbx_none").models.list),
        "path": error_of(client.files.list),
    }
    seen["models"] = next(model.id for model in client.models.list())
    # Version 1.109 has none; those of the newest have tests of their own, and a video takes seconds to render.
    if hasattr(client, "videos") and openai.__version__ < "3":
        seen["videos"] = seen_of_videos(client)
    seen["async"] = asyncio.run(made_by_the_async_client(url, key))
    return seen


def seen_of_videos(client: Any) -> list[Any]:
    video = client.videos.create_and_poll(model="wan-2.2", prompt="a wave", size="1280x720", seconds="5")
    data = client.videos.download_content(video.id).read()
    listed = [one.id for one in client.videos.list(limit=1)]
    gone = client.videos.delete(video.id)
    return [video.status, video.seconds, video.size, data[4:8].decode(), listed == [video.id], gone.deleted]


async def made_by_the_async_client(url: str, key: str) -> int:
    async with openai.AsyncOpenAI(base_url=url, api_key=key) as client:
        calls: list[Awaitable[Any]] = [client.images.generate(model="flux-dev", prompt=f"p{n}") for n in range(3)]
        return sum(len(made.data or []) for made in await asyncio.gather(*calls))


if __name__ == "__main__":
    json.dump(main(*sys.argv[1:]), sys.stdout)
