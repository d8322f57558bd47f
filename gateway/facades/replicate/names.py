"""Names of models and their versions: `farebox/flux-dev`, and a version of 64 hexadecimal digits."""

from __future__ import annotations

from aiohttp import web

from gateway.api.errors import NotFound
from gateway.api.services import RATE_CARDS, SETTINGS
from gateway.facades.calls import model_of
from gateway.pricing.card import RateCard
from gateway.views.predictions import ROOT, version_of


def model_in_path(request: web.Request) -> str:
    """The id of the model in a path, `{owner}/{name}`; UnknownModel."""
    return model_of(request, f"{request.match_info['owner']}/{request.match_info['name']}")


def model_of_version(request: web.Request, version: object) -> str:
    """The id of the model that a `version` names: one of our versions, `owner/name`, `owner/name:version`, or an alias.

    A version id of Replicate itself names a model if an alias ends with it.
    """
    card = request.app[RATE_CARDS].card
    if not isinstance(version, str) or card.model_named(version) is not None:
        return model_of(request, version)
    name, _, digest = version.rpartition(":")
    model_id = _by_version(card, digest)
    if model_id is None:
        return model_of(request, version)
    if name and card.model_named(name) != model_id:
        raise NotFound(f"{name[:80]} has no such version.")
    return model_id


def _by_version(card: RateCard, digest: str) -> str | None:
    for model_id, model in card.models.items():
        if digest == version_of(model_id) or any(alias.endswith(f":{digest}") for alias in model.aliases):
            return model_id
    return None


def url_of(request: web.Request, path: str) -> str:
    """The URL of a path below `/replicate/v1`."""
    return f"{request.app[SETTINGS].public_address}{ROOT}{path}"
