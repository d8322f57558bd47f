"""A generation as the result of a fal request: for `/fal`, and for webhooks in fal's form."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus
from types import MappingProxyType
from typing import Any

from gateway.domain import FINAL_STATES, FailureCode, Output, State
from gateway.kinds import MediaKind
from gateway.ledger import outcomes
from gateway.media import STORED_EXTENSIONS
from gateway.outputs import OutputLinks
from gateway.schemas.base import of_thousandths
from gateway.views.failures import failure_message

_CLIENT_CANCELLED = 499
_OF_THE_REQUEST = frozenset({FailureCode.PROVIDER_REJECTED, FailureCode.MODERATED})
_NOT_STARTED = frozenset({FailureCode.QUEUE_TIMEOUT, FailureCode.WAITING_TIMEOUT})
_NO_TEXTS: Mapping[int, str] = MappingProxyType({})
# The member with the file, by what was requested; else a list of images.
_NAMES: Mapping[MediaKind | None, str] = {
    MediaKind.VIDEO: "video",
    MediaKind.AUDIO: "audio",
    MediaKind.TEXT: "file",
    MediaKind.FILE: "file",
}


@dataclass(frozen=True, slots=True)
class NoResult:
    """Why a generation has no result: a status that the client does not retry, and its body."""

    status: int
    error_type: str
    message: str
    body: dict[str, Any]


def result_shape(
    generation: outcomes.Generation, links: OutputLinks, texts: Mapping[int, str] = _NO_TEXTS
) -> dict[str, Any]:
    """The members of a result, as far as delivered. Without its text, a text is a file like others."""
    files = [_file(generation, output, links) for output in generation.outputs]
    asked = generation.request
    members: dict[str, Any]
    if generation.outputs and all(output.index in texts for output in generation.outputs):
        written = [texts[output.index] for output in generation.outputs]
        members = {"output": written[0]} | ({"outputs": written} if len(written) > 1 else {})
    elif (name := _NAMES.get(asked.kind)) is not None:
        members = {name: files[0]} | ({f"{name}s": files} if len(files) > 1 else {})
    else:
        members = {"images": files}
    members |= {"prompt": asked.prompt} if asked.prompt else {}
    members["credits"] = of_thousandths(generation.committed_millicredits)
    if isinstance(asked.settings.get("seed"), int):
        members["seed"] = asked.settings["seed"]
    if generation.state in FINAL_STATES and len(files) < asked.outputs:
        members["incomplete"] = error_members(generation)
    return members


def error_members(generation: outcomes.Generation) -> dict[str, str]:
    """`error` and `error_type` of a generation that failed or was cancelled."""
    if generation.state is State.CANCELLED:
        message = "The generation was cancelled. What was not delivered was refunded."
        return {"error": message, "error_type": "client_cancelled"}
    code = generation.error or FailureCode.INTERNAL
    error_type = "startup_timeout" if code in _NOT_STARTED else code
    return {"error": failure_message(generation), "error_type": error_type}


def failure_of(generation: outcomes.Generation) -> NoResult:
    """Why it has no result, as the response to a request for it."""
    members = error_members(generation)
    message, error_type = members["error"], members["error_type"]
    code = "cancelled" if generation.state is State.CANCELLED else generation.error or FailureCode.INTERNAL
    detail: object = message
    status = int(HTTPStatus.INTERNAL_SERVER_ERROR)
    if generation.state is State.CANCELLED:
        status = _CLIENT_CANCELLED
    elif code in _OF_THE_REQUEST:
        status = HTTPStatus.UNPROCESSABLE_ENTITY
        detail = [{"loc": ["body", "prompt"], "msg": message, "type": code}]
    elif code in _NOT_STARTED:
        status = HTTPStatus.GATEWAY_TIMEOUT
    error = {"code": code, "message": message, "generation": generation.id}
    return NoResult(status, error_type, message, {"detail": detail, "error_type": error_type, "error": error})


def _file(generation: outcomes.Generation, output: Output, links: OutputLinks) -> dict[str, Any]:
    extension = STORED_EXTENSIONS.get(output.content_type, "bin")
    file: dict[str, Any] = {
        "url": links.url(generation.id, output.index),
        "content_type": output.content_type,
        "file_name": f"{generation.id}-{output.index}.{extension}",
        "file_size": output.bytes,
    }
    if output.width is not None and output.height is not None:
        file |= {"width": output.width, "height": output.height}
    return file
