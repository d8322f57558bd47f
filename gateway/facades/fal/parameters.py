"""Translates the arguments of a `fal_client` call to our request body."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from aiohttp import web

from gateway.domain import SettingValue
from gateway.facades.calls import OURS, generation_of, model_of, prompt_of, settings_of
from gateway.facades.parameters import nothing_but, of_duration, refused, whole
from gateway.pricing.card import Model
from gateway.pricing.facade_settings import Sense, of_pixels
from gateway.schemas.generations import GenerationIn

_PRESETS = {
    "square_hd": (1024, 1024, "1:1"),
    "square": (512, 512, "1:1"),
    "portrait_4_3": (768, 1024, "3:4"),
    "portrait_16_9": (576, 1024, "9:16"),
    "landscape_4_3": (1024, 768, "4:3"),
    "landscape_16_9": (1024, 576, "16:9"),
}
# In the order of the resulting inputs; a mask follows the image it belongs to.
_INPUTS = {
    "image_url": "image",
    "image_urls": "image",
    "start_image_url": "image",
    "first_frame_url": "image",
    "first_frame_image_url": "image",
    "reference_image_urls": "image",
    "end_image_url": "image",
    "tail_image_url": "image",
    "last_frame_url": "image",
    "last_frame_image_url": "image",
    "video_url": "video",
    "video_urls": "video",
    "audio_url": "audio",
    "audio_urls": "audio",
    "reference_audio_url": "audio",
    "mask_url": "image",
    "mask_image_url": "image",
}
_OUTPUTS = "num_images"
_ON, _OFF = True, False


def _image_size(model: Model, value: object) -> Mapping[str, SettingValue] | None:
    """A preset is an aspect ratio, at the model's own size; width and height are exact."""
    if isinstance(value, dict):
        width, height = value.get("width"), value.get("height")
        sides = [side for side in (width, height) if isinstance(side, int) and not isinstance(side, bool) and side > 0]
        return of_pixels(model, *sides) if value.keys() == {"width", "height"} and len(sides) == len(value) else None
    preset = _PRESETS.get(value) if isinstance(value, str) else None
    if preset is None:
        return None
    width, height, ratio = preset
    made = of_pixels(model, width, height)
    shape = model.settings.get("aspect_ratio")
    return {"aspect_ratio": ratio} if made is None and shape is not None and shape.takes(ratio) else made


def _duration(model: Model, value: object) -> Mapping[str, SettingValue] | None:
    return of_duration(model, value.removesuffix("s") if isinstance(value, str) else value)


def _audio(model: Model, value: object) -> Mapping[str, SettingValue] | None:
    audio = model.settings.get("audio")
    if audio is None:
        return {} if value is False else None
    return {"audio": value} if isinstance(value, bool) and audio.takes(value) else None


SENSES: Mapping[str, Sense] = {
    "image_size": _image_size,
    "duration": _duration,
    "generate_audio": _audio,
    "sync_mode": nothing_but(_OFF),
    "enable_safety_checker": nothing_but(_ON),
    "enable_prompt_expansion": nothing_but(_OFF),
    "output_format": nothing_but("png"),
    "acceleration": nothing_but("none", "regular"),
}


def body_of(request: web.Request, app: str, arguments: Mapping[str, Any]) -> GenerationIn:
    """Translate a call's arguments to our request body."""
    given = {name: value for name, value in arguments.items() if value is not None}
    model_id = model_of(request, app)
    members: dict[str, Any] = {name: given.pop(name) for name in OURS if name in given}
    if "prompt" not in given and isinstance(given.get("text"), str):  # what is to be spoken
        given["prompt"] = given.pop("text")
    members |= {"prompt": prompt_of(request, model_id, given), "inputs": _inputs(given)}
    if _OUTPUTS in given:
        members["outputs"] = whole(given, _OUTPUTS, 1, least=1)
        del given[_OUTPUTS]
    return generation_of(
        request, model_id, members | {"settings": settings_of(request, model_id, "fal", given, SENSES)}
    )


def _inputs(given: dict[str, Any]) -> list[dict[str, str]]:
    """Remove the URLs of files from `given`, and return them as `inputs`."""
    inputs = []
    for name, kind in _INPUTS.items():
        if name in given:
            urls = given.pop(name)
            for url in urls if isinstance(urls, list) else [urls]:
                if not isinstance(url, str):
                    raise refused(name, "must be a URL" if name.endswith("url") else "must be a list of URLs")
                inputs.append({"kind": kind, "url": url})
    return inputs
