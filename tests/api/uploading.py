"""How the tests of uploads send files, and what they find of them in the store."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

from gateway.api import services
from gateway.ledger import outcomes
from tests.api.visitor import Reply, Visitor
from tests.made_media import film, picture

FILES = Path(__file__).parents[1] / "media_files"


PNG = picture("PNG")


MP4 = film()


DAY = 24 * 3600


async def upload(
    gateway: Visitor, key: str | None, data: bytes = PNG, content_type: str = "image/png", once: str | None = None
) -> Reply:
    headers = {"Content-Type": content_type} | ({"Idempotency-Key": once} if once else {})
    return await gateway.call("POST", "/v1/uploads", key, headers=headers, raw=data)


async def uploaded(gateway: Visitor, key: str, data: bytes = PNG, content_type: str = "image/png") -> str:
    """The address of a new upload."""
    reply = await upload(gateway, key, data, content_type)
    assert reply.status == 201, reply.raw
    return str(reply.body["url"])


def an_input(address: str, kind: str = "image") -> list[dict[str, str]]:
    return [{"kind": kind, "url": address}]


def files(gateway: Visitor, place: str) -> list[Path]:
    folder = gateway.app[services.SETTINGS].data / "outputs" / place
    return [path for path in folder.rglob("*") if path.is_file()]


async def stored_input(gateway: Visitor, generation: str, number: int = 0) -> bytes:
    found = await gateway.ledger.generation(generation=generation)
    assert isinstance(found, outcomes.Generation)
    return await gateway.app[services.OUTPUTS].get(found.request.inputs[number].url)


async def in_chunks(data: bytes) -> AsyncIterator[bytes]:
    for at in range(0, len(data), 100):
        yield data[at : at + 100]
