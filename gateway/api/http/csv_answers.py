"""CSV responses: streamed, and safe to open in a spreadsheet."""

from __future__ import annotations

import csv
import io
from collections.abc import AsyncIterator, Sequence

from aiohttp import web

from gateway.api import limits

CSV_TYPE = "text/csv"
VARY = {"Vary": "Accept"}
"""The header of a response that could have been CSV."""

# What a spreadsheet would treat as a formula, also after white space that it ignores.
_FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r", "\n")

Rows = Sequence[Sequence[str]]


def wants_csv(request: web.Request) -> bool:
    """Whether the `Accept` header names CSV."""
    named = ",".join(request.headers.getall("Accept", []))[: limits.HEADER_MAX_BYTES]
    return CSV_TYPE in {part.partition(";")[0].strip().lower() for part in named.split(",")}


def safe_cell(text: str) -> str:
    """The text, prefixed with an apostrophe if a spreadsheet would treat it as a formula."""
    return f"'{text}" if text.startswith(_FORMULA_STARTS) else text


async def stream_csv(request: web.Request, batches: AsyncIterator[Rows], name: str) -> web.StreamResponse:
    """Stream a file of this name. Each batch is one write; the first is read before the response begins."""
    first = await anext(batches)
    response = web.StreamResponse(
        headers={
            "Content-Type": f"{CSV_TYPE}; charset=utf-8",
            "Content-Disposition": f'attachment; filename="{name}"',
            **VARY,
        }
    )
    await response.prepare(request)
    if request.method == "HEAD":  # a body would be parsed as the next response
        return response
    await response.write(_written(first))
    async for rows in batches:
        await response.write(_written(rows))
    await response.write_eof()
    return response


def _written(rows: Rows) -> bytes:
    text = io.StringIO()
    csv.writer(text).writerows(rows)
    return text.getvalue().encode()
