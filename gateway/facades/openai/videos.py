"""`/openai/v1/videos`: each video is a generation, and has its id."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from aiohttp import web

from gateway.api.access.auth import ACCOUNT_CALLER
from gateway.api.errors import NotFound
from gateway.api.handlers.outputs import send_output
from gateway.api.http.headers import GENERATION_HEADER
from gateway.api.http.parse import query_of, read_object
from gateway.api.http.respond import answer_json
from gateway.api.ordering.ordering import Ordered
from gateway.api.ownership.own_generations import cancel_own, own_generation, own_page, queue_positions
from gateway.api.ownership.target_account import own
from gateway.api.services import LEDGER, OUTPUTS, RATE_CARDS, UPLOAD_ADDRESSES
from gateway.domain import FINAL_STATES, State
from gateway.facades.calls import created_headers, generation_of, models_of, order
from gateway.facades.held import send_whole
from gateway.facades.openai.errors import failure_of
from gateway.facades.openai.parameters import body_of, read_asked
from gateway.facades.openai.sizes import billed_seconds, size_of
from gateway.facades.parameters import query_with, refused, retries_of, whole
from gateway.kinds import MediaKind
from gateway.ledger import outcomes
from gateway.media import Media
from gateway.schemas.base import of_thousandths

POLL_AFTER_HEADER = "openai-poll-after-ms"
POLL_AFTER_MS = 1000
"""The poll interval for the packages, which keep the first they get: short enough for a short video."""

_REMIXED_FROM = "remixed_from_video_id"
_LIST_MAX = 100
_PAGES_MAX = 20  # of the list, which contains images too; after these a next page is offered
_STATUSES = {
    State.WAITING: "queued",
    State.QUEUED: "queued",
    State.RUNNING: "in_progress",
    State.SUCCEEDED: "completed",
    State.FAILED: "failed",
    State.CANCELLED: "failed",
}

Generation = outcomes.Generation


async def create(request: web.Request) -> web.StreamResponse:
    """`POST /openai/v1/videos`: a form, optionally with a first frame."""
    asked = await read_asked(request, {"input_reference": None})
    default = next(iter(models_of(request, MediaKind.VIDEO)), "")
    reference = asked.given.get("input_reference")
    if isinstance(reference, dict) and isinstance(reference.get("image_url"), str):
        asked.inputs.append({"kind": "image", "url": reference["image_url"]})
    elif reference is not None:
        raise refused("input_reference", "must be a file, or have an `image_url`")
    body = body_of(request, asked, MediaKind.VIDEO, default_model=default, elsewhere=("input_reference",))
    ordered = await order(request, body, digest=asked.digest, retries=retries_of(request) or 0)
    return await _begun(request, ordered)


async def get(request: web.Request) -> web.Response:
    """`GET /openai/v1/videos/{video}`."""
    return await _answer(request, await _video(request))


async def listed(request: web.Request) -> web.Response:
    """`GET /openai/v1/videos`: newest first."""
    query = query_with(request, "after", "limit", "order")
    if query.get("order", "desc") != "desc":
        raise refused("order", 'must be "desc": videos are listed newest first')
    limit = whole(query, "limit", 20, least=1)
    videos, has_more = await _page(request, query.get("after") or None, min(limit, _LIST_MAX))
    positions = await queue_positions(request, videos)
    data = [_shape(request, video, position) for video, position in zip(videos, positions, strict=True)]
    ids = {"first_id": data[0]["id"], "last_id": data[-1]["id"]} if data else {"first_id": None, "last_id": None}
    return answer_json(body=json.dumps({"object": "list", "data": data, "has_more": has_more, **ids}).encode())


async def delete(request: web.Request) -> web.Response:
    """`DELETE /openai/v1/videos/{video}`: cancel an open one, delete the file of an ended one."""
    video = await _video(request)
    if video.state not in FINAL_STATES:
        await cancel_own(request, video.id, "video")
    elif video.outputs:
        for deleted in await request.app[OUTPUTS].delete_generations([video.id]):
            await request.app[LEDGER].outputs_deleted(generation=deleted)
    return answer_json(body=json.dumps({"id": video.id, "object": "video.deleted", "deleted": True}).encode())


async def content(request: web.Request) -> web.StreamResponse:
    """`GET /openai/v1/videos/{video}/content`: the file, streamed, whole or a range."""
    variant = query_of(request).get("variant", "video")
    if variant != "video":
        raise refused("variant", 'must be "video": no thumbnail and no spritesheet is made')
    video = await _video(request)
    if not video.outputs:
        raise NotFound(f"Video {video.id} has no content{'' if video.state in FINAL_STATES else ' yet'}.")
    return await send_output(request, video, 0)


async def remix(request: web.Request) -> web.StreamResponse:
    """`POST /openai/v1/videos/{video}/remix`: the same model and settings, with the video as input."""
    given = await read_object(request)
    if unknown := given.keys() - {"prompt"}:
        raise refused(min(unknown), "is not a parameter of this call")
    video = await _video(request)
    model = request.app[RATE_CARDS].card.models.get(video.request.model)
    if model is None or not model.inputs.video:
        name = video.request.model if model is None else model.name
        raise refused("video", f"cannot be remixed: {name} takes no video as input")
    if not video.outputs:
        raise NotFound(f"Video {video.id} has no content to remix.")
    members = {
        "prompt": given.get("prompt"),
        "settings": dict(video.request.settings),
        "inputs": [{"kind": "video", "url": await _as_upload(request, video)}],
        "metadata": {_REMIXED_FROM: video.id},
    }
    body = generation_of(request, video.request.model, members)
    ordered = await order(request, body, digest=json.dumps(given, sort_keys=True), retries=retries_of(request) or 0)
    return await _begun(request, ordered)


async def _as_upload(request: web.Request, video: Generation) -> str:
    """The URL of an upload with a copy of the video's file, for use as an input."""
    output, addresses = video.outputs[0], request.app[UPLOAD_ADDRESSES]
    media = Media(output.content_type, output.width, output.height, output.duration_seconds)
    key = addresses.new_key(media, output.bytes)
    await request.app[OUTPUTS].copy(output.object_key, key)
    return addresses.address(request[ACCOUNT_CALLER].account, key)


async def _video(request: web.Request) -> Generation:
    """The video in the path; NotFound if it belongs to another account, is not a video, or was deleted."""
    name = request.match_info["video"]
    video = await own_generation(request, name)
    if not _is_video(video) or video.outputs_deleted:
        raise NotFound(f"There is no video {name}.")
    return video


def _is_video(generation: Generation) -> bool:
    return generation.request.kind is MediaKind.VIDEO


async def _page(request: web.Request, after: str | None, limit: int) -> tuple[list[Generation], bool]:
    """Up to `limit` videos before `after`, and whether there are more; other generations are skipped."""
    videos = list[Generation]()
    tools = {model.tool for model in models_of(request, MediaKind.VIDEO).values()}
    for _ in range(_PAGES_MAX):
        page = await own_page(
            request,
            own(request),
            what=f"video {after} in this account's list",
            limit=_LIST_MAX,
            before=after,
            tool=next(iter(tools)) if len(tools) == 1 else None,
        )
        videos += [one for one in page.data if _is_video(one) and not one.outputs_deleted]
        after = page.next
        if len(videos) > limit or after is None:
            break
    return videos[:limit], len(videos) > limit or (after is not None and bool(videos))


async def _begun(request: web.Request, ordered: Ordered) -> web.StreamResponse:
    return await send_whole(request, await _answer(request, ordered.generation, created_headers(ordered)))


async def _answer(request: web.Request, video: Generation, headers: Mapping[str, str] | None = None) -> web.Response:
    (position,) = await queue_positions(request, [video])
    sent = {GENERATION_HEADER: video.id, **(headers or {})}
    if video.state not in FINAL_STATES:
        sent[POLL_AFTER_HEADER] = str(POLL_AFTER_MS)
    return answer_json(body=json.dumps(_shape(request, video, position)).encode(), headers=sent)


def _shape(request: web.Request, video: Generation, position: int | None) -> dict[str, Any]:
    asked, card = video.request, request.app[RATE_CARDS].card
    members: dict[str, Any] = {
        "id": video.id,
        "object": "video",
        "status": _STATUSES[video.state],
        "progress": 100 if video.state is State.SUCCEEDED else video.progress_thousandths // 10,
        "created_at": video.created_at // 1000,
        "completed_at": None if video.finished_at is None else video.finished_at // 1000,
        "expires_at": None,
        "model": asked.model,
        "prompt": asked.prompt,
        "seconds": billed_seconds(video),
        "size": size_of(card, video),
        _REMIXED_FROM: asked.metadata.get(_REMIXED_FROM),
        "error": None,
        "credits": of_thousandths(video.price_millicredits - video.refunded_millicredits),
    }
    if video.outputs_expire_at is not None:
        members["expires_at"] = video.outputs_expire_at // 1000
    if video.state in {State.FAILED, State.CANCELLED}:
        members["error"] = failure_of(video)
    if position is not None:
        members["queue_position"] = position
    return members
