"""Uploads: images and videos sent ahead, to be used as inputs by the address that they get."""

from __future__ import annotations

import hashlib
from http import HTTPStatus

from aiohttp import web

from gateway.api.context import caller
from gateway.api.errors import InvalidRequest, RateLimited
from gateway.api.idempotency import once, seed
from gateway.api.intake import Received
from gateway.api.respond import answer
from gateway.api.services import INTAKE, LEDGER, METRICS, OUTPUTS, SETTINGS, UPLOAD_ADDRESSES
from gateway.errors import FieldProblem, MediaUnreadable
from gateway.ledger import outcomes as o
from gateway.media import EXTENSIONS, Media
from gateway.outputs import upload_expires_at
from gateway.schemas.base import utc
from gateway.schemas.errors import RateLimitedDetails
from gateway.schemas.uploads import UploadOut

ANY_BYTES = "application/octet-stream"
TAKEN_TYPES = (ANY_BYTES, *EXTENSIONS)
"""What an upload may be sent as. Clients that are generated know bytes only as the first."""

_KIB = 1024


async def create(request: web.Request) -> web.StreamResponse:
    """`POST /v1/uploads`: the bytes themselves are the body, and are looked into before anything is kept."""
    said, who = _said(request), caller(request)
    async with request.app[INTAKE].received(request, who.acting_account) as body:
        asked = f"{request.method}\n{request.path}\n{said}\n{body.sha256}"
        digest = hashlib.sha256(asked.encode()).hexdigest()
        return await once(request, who, lambda: _kept(request, said, body), digest=digest)


async def _kept(request: web.Request, said: str, body: Received) -> web.Response:
    media = await _looked_into(request, said, body)
    addresses, account = request.app[UPLOAD_ADDRESSES], caller(request).acting_account
    object_key = addresses.new_key(media, body.bytes, seed(request))
    await _count(request, account, body)
    await request.app[INTAKE].store(request.app[OUTPUTS], object_key, body)
    address = addresses.address(account, object_key)
    optional = {} if media.duration_seconds is None else {"duration_seconds": media.duration_seconds}
    shape = UploadOut(
        id=address,
        object="upload",
        url=address,
        kind=media.kind,
        content_type=media.content_type,
        bytes=body.bytes,
        width=media.width,
        height=media.height,
        sha256=body.sha256,
        expires_at=utc(upload_expires_at(object_key) * 1000),
        **optional,
    )
    return answer(shape, status=HTTPStatus.CREATED)


async def _count(request: web.Request, account: str, body: Received) -> None:
    """Count the file; RateLimited, with `Retry-After`, if the account has sent too much."""
    gib = request.app[SETTINGS].upload_gib_per_day
    size = -(-body.bytes // _KIB)
    outcome = await request.app[LEDGER].take_in(account=account, per_day=round(gib * _KIB * _KIB), size=size)
    if isinstance(outcome, o.Limited):
        raise RateLimited(
            f"An account may upload {gib:,g} GiB in 24 hours, and this one has. Repeat this later, or give the file as "
            "an https: URL. Nothing was kept.",
            RateLimitedDetails(gib_per_day=gib),
            headers={"Retry-After": str(-(-outcome.retry_after_ms // 1000))},
        )


async def _looked_into(request: web.Request, said: str, body: Received) -> Media:
    looks = request.app[METRICS].upload_looks
    try:
        media = await request.app[INTAKE].look(body.file, caller(request).acting_account)
    except MediaUnreadable as error:
        looks.labels("refused").inc()
        raise _refused("body", str(error)) from None
    except RateLimited:
        looks.labels("limited").inc()
        raise
    looks.labels("read").inc()
    if said not in {media.content_type, ANY_BYTES}:
        raise _refused("Content-Type", f"says {said}, but the body is {media.content_type}")
    return media


def _said(request: web.Request) -> str:
    """The content type that the request says, one of the list, or that its client does not know."""
    if request.content_type not in TAKEN_TYPES:
        raise _refused("Content-Type", f"must be what the body is, one of {', '.join(TAKEN_TYPES)}")
    return request.content_type


def _refused(path: str, message: str) -> InvalidRequest:
    return InvalidRequest(f"The {path} {message}. Nothing was kept.", fields=[FieldProblem(path, message)])
