"""Receipts: a generation's price and credit movements in full."""

from __future__ import annotations

from aiohttp import web

from gateway.api.http.respond import answer
from gateway.api.ownership.own_generations import own_generation
from gateway.views.receipts import receipt_shape


async def get(request: web.Request) -> web.Response:
    """`GET /v1/generations/{generation}/receipt`."""
    return answer(receipt_shape(await own_generation(request, request.match_info["generation"])))
