"""Answers: one way to send a shape as JSON."""

from __future__ import annotations

from collections.abc import Mapping

from aiohttp import web

from gateway.api.schemas.base import Answer


def answer(shape: Answer, *, status: int = 200, headers: Mapping[str, str] | None = None) -> web.Response:
    """Send a shape as JSON."""
    return web.Response(text=shape.json_text(), status=status, headers=headers, content_type="application/json")
