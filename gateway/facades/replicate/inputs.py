"""Translates a prediction's `input` to our request body: prompt, settings, number of outputs, and files."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from aiohttp import web

from gateway.api.http.parse import read_object
from gateway.api.services import RATE_CARDS
from gateway.facades.calls import OURS, generation_of, prompt_of, settings_of
from gateway.facades.parameters import nothing_but, of_duration, refused, whole
from gateway.facades.replicate import webhooks
from gateway.facades.replicate.files import FILES_PATH, address_of
from gateway.facades.replicate.names import url_of
from gateway.kinds import MediaKind
from gateway.pricing.card import Model
from gateway.pricing.facade_settings import Sense, of_size
from gateway.schemas.generations import GenerationIn
from gateway.views.predictions import COUNT, is_list

COUNTS = (COUNT, "num_images", "number_of_images")
IMAGES = ("image", "images", "input_image", "input_images", "image_input", "image_prompt", "start_image",
          "first_frame_image", "reference_image", "reference_images")  # fmt: skip
VIDEOS = ("video", "videos", "input_video", "input_videos", "video_input")
AUDIOS = ("audio", "audios", "audio_file", "audio_input", "input_audio", "input_audios")
_LAST = "mask"
_OFF = (False,)

_SENSES: Mapping[str, Sense] = {
    "size": of_size,
    "seconds": of_duration,
    "output_format": nothing_but("png", "mp4"),
    "output_quality": nothing_but(100),
    "disable_safety_checker": nothing_but(*_OFF),
}
_MEMBERS = frozenset({"input", "version", "stream", *webhooks.MEMBERS, *OURS})


async def read_call(request: web.Request) -> Mapping[str, Any]:
    """A create call's members; InvalidRequest names unsupported ones."""
    given = {name: value for name, value in (await read_object(request)).items() if value is not None}
    for name in given:
        if name not in _MEMBERS:
            raise refused(name, "is not a member of a prediction")
    if not isinstance(given.get("input", {}), dict):
        raise refused("input", "must be an object")
    return given


def body_of(request: web.Request, model_id: str, call: Mapping[str, Any]) -> GenerationIn:
    """Translate the call to our request body."""
    model = request.app[RATE_CARDS].card.models[model_id]
    given = {name: value for name, value in call.get("input", {}).items() if value is not None}
    members: dict[str, Any] = {name: call[name] for name in OURS if name in call}
    members |= {name: given.pop(name) for name in OURS if name in given and name not in model.settings}
    if "prompt" not in given and "text" not in model.settings and isinstance(given.get("text"), str):
        given["prompt"] = given.pop("text")  # what is to be spoken
    members["prompt"] = prompt_of(request, model_id, given, " in `input`")
    members |= {"outputs": 1, "inputs": _files(request, model, given)}
    for name in COUNTS:
        if name in given and name not in model.settings:
            members["outputs"] = whole({name: given.pop(name)}, name, 1, least=1)
    if {"width", "height"} <= given.keys() and not {"width", "height"} & model.settings.keys():
        given["size"] = f"{given.pop('width')}x{given.pop('height')}"
    return generation_of(
        request, model_id, members | {"settings": settings_of(request, model_id, "replicate", given, _SENSES)}
    )


def _files(request: web.Request, model: Model, given: dict[str, Any]) -> list[dict[str, str]]:
    """Remove the files from the parameters in `given`, and return them in order, a mask last."""
    named = [name for name in given if name in {*IMAGES, *VIDEOS, *AUDIOS, _LAST} and name not in model.settings]
    named.sort(key=lambda name: name == _LAST)
    files = []
    for name in named:
        value = given.pop(name)
        for url in value if isinstance(value, list) else [value]:
            if not isinstance(url, str):
                raise refused(name, "must be a file, or its URL")
            files.append({"kind": _kind_of(name), "url": _input_url(request, name, url)})
    return files


def _kind_of(name: str) -> MediaKind:
    if name in AUDIOS:
        return MediaKind.AUDIO
    return MediaKind.VIDEO if name in VIDEOS else MediaKind.IMAGE


def _input_url(request: web.Request, name: str, url: str) -> str:
    """The URL for our input: that of the upload, if it is one of our files."""
    files = url_of(request, f"{FILES_PATH}/")
    if not url.startswith(files):
        return url
    address = address_of(url.removeprefix(files))
    if address is None:
        raise refused(name, "is not a file of this account")
    return address


def counted_by(model: Model) -> str | None:
    """The name of a model's parameter for the number of outputs, if it can make more than one."""
    return COUNT if is_list(model) else None
