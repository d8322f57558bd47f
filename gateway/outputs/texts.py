"""Reads the text of outputs, for clients whose responses contain it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from gateway.domain import Output
from gateway.errors import OutputMissing
from gateway.media import TEXT_TYPE
from gateway.outputs.store import OutputStore

Texts = Mapping[int, str]
"""Index of an output → its text."""


async def texts_of(store: OutputStore, outputs: Iterable[Output], bytes_max: int | None = None) -> Texts:
    """The text of those outputs that are text, and are still there. StoreUnavailable.

    With `bytes_max`, only of as many, in order, as are not larger than that together.
    """
    texts: dict[int, str] = {}
    size = 0
    for output in outputs:
        if output.content_type == TEXT_TYPE:
            size += output.bytes
            if bytes_max is not None and size > bytes_max:
                break
            try:
                texts[output.index] = (await store.get(output.object_key)).decode()
            except OutputMissing:
                continue
    return texts
