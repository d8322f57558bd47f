"""A generation as a Replicate prediction: for `/replicate/v1`, and for webhooks in Replicate's form."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from gateway.domain import State
from gateway.ledger import outcomes
from gateway.outputs import OutputLinks
from gateway.pricing.card import Model, RateCard
from gateway.pricing.facades import OWNER
from gateway.schemas.base import as_number, of_thousandths, utc
from gateway.views.failures import failure_message

ROOT = "/replicate/v1"
COUNT = "num_outputs"
"""The name of the number of outputs in `input`."""

STREAM = "stream"
"""What a signature in the address of a prediction's stream grants access to."""

_NO_TEXTS: Mapping[int, str] = MappingProxyType({})

STARTING = "starting"
STATUSES = {
    State.WAITING: STARTING,
    State.QUEUED: STARTING,
    State.RUNNING: "processing",
    State.SUCCEEDED: "succeeded",
    State.FAILED: "failed",
    State.CANCELLED: "canceled",
}


def version_of(model_id: str) -> str:
    """A model's only version: prices and settings change with the rate card, its name and version do not."""
    return hashlib.sha256(f"{OWNER}/{model_id}".encode()).hexdigest()


def is_list(model: Model) -> bool:
    """Whether a model's output is a list, whatever number was requested."""
    return model.outputs_max > 1


def prediction_shape(
    generation: outcomes.Generation,
    card: RateCard,
    links: OutputLinks,
    public_address: str,
    texts: Mapping[int, str] = _NO_TEXTS,
) -> dict[str, Any]:
    """A prediction: status, input, output, and the credits charged. An output is its text, or else its URL."""
    asked, url = generation.request, f"{public_address}{ROOT}/predictions/{generation.id}"
    return {
        "id": generation.id,
        "model": f"{OWNER}/{asked.model}",
        "version": version_of(asked.model),
        "input": _input(generation),
        "output": _output(generation, card, links, texts),
        "logs": _logs(generation),
        "error": error_of(generation),
        "status": STATUSES[generation.state],
        "metrics": _metrics(generation),
        "created_at": utc(generation.created_at),
        "started_at": utc(generation.started_at),
        "completed_at": utc(generation.finished_at),
        "data_removed": generation.outputs_deleted,
        "source": "api",
        "urls": {
            "get": url,
            "cancel": f"{url}/cancel",
            "stream": links.signed(f"{url}/stream", generation.id, STREAM),
            "web": url,
        },
        "credits": of_thousandths(generation.price_millicredits - generation.refunded_millicredits),
    }


def error_of(generation: outcomes.Generation) -> str | None:
    """Why a prediction failed, prefixed with our code: the packages keep only text."""
    if generation.state is not State.FAILED:
        return None
    return f"{generation.error}: {failure_message(generation)}"


def _output(
    generation: outcomes.Generation, card: RateCard, links: OutputLinks, texts: Mapping[int, str]
) -> list[str] | str | None:
    """The delivered outputs' URLs or texts: a list if the model can make more than one, as in its `openapi_schema`."""
    if not generation.outputs or generation.outputs_deleted:
        return None
    urls = [texts.get(output.index) or links.url(generation.id, output.index) for output in generation.outputs]
    model = card.models.get(generation.request.model)
    return urls if len(urls) > 1 or generation.request.outputs > 1 or (model and is_list(model)) else urls[0]


def _input(generation: outcomes.Generation) -> dict[str, Any]:
    """The request, in our own terms. Files' bytes are not repeated."""
    asked = generation.request
    given: dict[str, Any] = {"prompt": asked.prompt} if asked.prompt else {}
    given |= {
        name: value if isinstance(value, str | int) else as_number(value) for name, value in asked.settings.items()
    }
    if asked.outputs > 1:
        given[COUNT] = asked.outputs
    return given


def _logs(generation: outcomes.Generation) -> str:
    """Its progress, in the only form that the packages can parse."""
    if generation.state not in {State.RUNNING, State.SUCCEEDED}:
        return ""
    percent = 100 if generation.state is State.SUCCEEDED else generation.progress_thousandths // 10
    return f"{percent:3d}%|{'#' * (percent // 10):<10}| {percent}/100\n"


def _metrics(generation: outcomes.Generation) -> dict[str, float]:
    if generation.finished_at is None:
        return {}
    metrics = {"total_time": (generation.finished_at - generation.created_at) / 1000}
    if generation.started_at is not None:
        metrics["predict_time"] = (generation.finished_at - generation.started_at) / 1000
    return metrics
