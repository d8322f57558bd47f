"""Inputs: `https:` URLs are passed on and never fetched here; the bytes of `data:` URLs go to the object store."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Sequence
from dataclasses import dataclass

from gateway.api.errors import InvalidRequest
from gateway.api.schemas.generations import InputIn
from gateway.domain import Input
from gateway.errors import FieldProblem
from gateway.outputs import OutputStore

CONTENT_TYPES = {
    "image": ("image/png", "image/jpeg", "image/webp", "image/gif"),
    "video": ("video/mp4", "video/webm", "video/quicktime"),
}
_DATA_URL = re.compile(r"data:(?P<type>[a-z]+/[a-z0-9.+-]+);base64,(?P<body>[A-Za-z0-9+/=]+)", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class GivenInput:
    """An input as it came: a URL, or bytes with their type."""

    kind: str
    url: str | None = None
    content_type: str = ""
    data: bytes = b""


def given_inputs(inputs: Sequence[InputIn]) -> tuple[GivenInput, ...]:
    """Decode the `data:` URLs; InvalidRequest names those that are not base64 of a known type."""
    given, problems = [], []
    for index, one in enumerate(inputs):
        if not one.url.startswith("data:"):
            given.append(GivenInput(one.kind, url=one.url))
            continue
        decoded = _decoded(one)
        if decoded is None:
            types = ", ".join(CONTENT_TYPES[one.kind])
            problems.append(FieldProblem(f"inputs.{index}.url", f"must be data:<type>;base64,… with one of {types}"))
        else:
            given.append(decoded)
    if problems:
        raise InvalidRequest(f"`{problems[0].path}` {problems[0].message}.", fields=problems)
    return tuple(given)


async def stored(store: OutputStore, generation: str, inputs: Sequence[GivenInput]) -> tuple[Input, ...]:
    """The inputs as the ledger keeps them: bytes are in the object store by then, below the generation's own name."""
    kept = []
    for index, one in enumerate(inputs):
        if one.url is not None:
            kept.append(Input(one.kind, one.url))
        else:
            object_key = await store.put_input(generation, index, one.data, one.content_type)
            kept.append(Input(one.kind, object_key))
    return tuple(kept)


def _decoded(one: InputIn) -> GivenInput | None:
    match = _DATA_URL.fullmatch(one.url)
    if match is None or match["type"].lower() not in CONTENT_TYPES[one.kind]:
        return None
    try:
        data = base64.b64decode(match["body"], validate=True)
    except binascii.Error:
        return None
    return GivenInput(one.kind, content_type=match["type"].lower(), data=data) if data else None
