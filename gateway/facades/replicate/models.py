"""The rate card's models, each with one version, and as deployments."""

from __future__ import annotations

import json
from typing import Any

from aiohttp import web

from gateway.api.errors import NotFound
from gateway.api.http.respond import answer_json
from gateway.api.services import RATE_CARDS, SETTINGS
from gateway.facades.replicate.names import model_in_path, model_of_version
from gateway.facades.replicate.schema import openapi_schema
from gateway.pricing.facades import OWNER
from gateway.schemas.base import utc
from gateway.views.predictions import version_of

_COG_VERSION = "0.9.0"
"""The cog version reported: from this one on, the packages read `openapi_schema` as it is."""


async def listed(request: web.Request) -> web.Response:
    """`GET /replicate/v1/models`: all on one page."""
    return _page([_model(request, model_id) for model_id in request.app[RATE_CARDS].card.models])


async def get(request: web.Request) -> web.Response:
    """`GET /replicate/v1/models/{owner}/{name}`."""
    return _answer(_model(request, model_in_path(request)))


async def versions(request: web.Request) -> web.Response:
    """`GET /replicate/v1/models/{owner}/{name}/versions`."""
    return _page([_version(request, model_in_path(request))])


async def version(request: web.Request) -> web.Response:
    """`GET /replicate/v1/models/{owner}/{name}/versions/{version}`."""
    model_id, asked = model_in_path(request), request.match_info["version"]
    if model_of_version(request, asked) != model_id:
        raise NotFound(f"{OWNER}/{model_id} has no version {asked[:80]}.")
    return _answer(_version(request, model_id) | {"id": asked})


async def deployment(request: web.Request) -> web.Response:
    """`GET /replicate/v1/deployments/{owner}/{name}`: every model is its own deployment."""
    model_id = model_in_path(request)
    made_at = utc(request.app[RATE_CARDS].card.file_time_ms)
    release = {
        "number": 1,
        "model": f"{OWNER}/{model_id}",
        "version": version_of(model_id),
        "created_at": made_at,
        "created_by": {"type": "organization", "username": OWNER, "name": "Farebox"},
        "configuration": {"hardware": "gateway", "min_instances": 0, "max_instances": 1},
    }
    return _answer({"owner": OWNER, "name": model_id, "current_release": release})


def _model(request: web.Request, model_id: str) -> dict[str, Any]:
    return {
        "url": f"{request.app[SETTINGS].public_address}/v1/rate-card",
        "owner": OWNER,
        "name": model_id,
        "description": request.app[RATE_CARDS].card.models[model_id].description,
        "visibility": "public",
        "github_url": None,
        "paper_url": None,
        "license_url": None,
        "run_count": 0,
        "cover_image_url": None,
        "default_example": None,
        "latest_version": _version(request, model_id),
    }


def _version(request: web.Request, model_id: str) -> dict[str, Any]:
    card = request.app[RATE_CARDS].card
    return {
        "id": version_of(model_id),
        "created_at": utc(card.file_time_ms),
        "cog_version": _COG_VERSION,
        "openapi_schema": openapi_schema(card.models[model_id], card.kind_of(card.models[model_id])),
    }


def _page(results: list[dict[str, Any]]) -> web.Response:
    return _answer({"results": results, "next": None, "previous": None})


def _answer(shape: dict[str, Any]) -> web.Response:
    return answer_json(body=json.dumps(shape).encode())
