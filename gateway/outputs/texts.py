"""Reads the text of outputs, for clients whose responses contain it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from gateway.domain import Output
from gateway.errors import OutputMissing
from gateway.media import TEXT_TYPE
from gateway.outputs.store import OutputStore

Texts = Mapping[int, str]
"""Index of an output → its text."""


async def texts_of(store: OutputStore, outputs: Iterable[Output]) -> Texts:
    """The text of those outputs that are text, and are still there. StoreUnavailable."""
    texts: dict[int, str] = {}
    for output in outputs:
        if output.content_type == TEXT_TYPE:
            try:
                texts[output.index] = (await store.get(output.object_key)).decode()
            except OutputMissing:
                continue
    return texts
