"""Uploads: images, videos and audio to use as inputs, by the URL they get."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from http import HTTPStatus

from aiohttp import web

from gateway.api.access.auth import ACCOUNT_CALLER
from gateway.api.errors import InvalidRequest, RateLimited
from gateway.api.http.intake import Received
from gateway.api.http.respond import answer
from gateway.api.middleware.idempotency import once, seed
from gateway.api.services import INTAKE, LEDGER, METRICS, OUTPUTS, SETTINGS, UPLOAD_ADDRESSES
from gateway.errors import FieldProblem, MediaUnreadable
from gateway.ledger.allowances import Limited
from gateway.media import CONVERTED, EXTENSIONS, Media
from gateway.outputs import upload_expires_at
from gateway.schemas.base import utc
from gateway.schemas.errors import RateLimitedDetails
from gateway.schemas.uploads import UploadOut

ANY_BYTES = "application/octet-stream"
TAKEN_TYPES = (ANY_BYTES, *EXTENSIONS, *CONVERTED)
"""The accepted types; only the bytes decide."""

_KIB = 1024
_MEDIA = ("image/", "video/", "audio/")


async def create(request: web.Request) -> web.StreamResponse:
    """`POST /v1/uploads`: the body is the file's bytes, which are inspected before anything is stored."""
    said, caller = request.content_type, request[ACCOUNT_CALLER]
    async with request.app[INTAKE].received(request, caller.account) as body:
        asked = f"{request.method}\n{request.path}\n{said}\n{body.sha256}"
        digest = hashlib.sha256(asked.encode()).hexdigest()
        return await once(request, caller, lambda: _kept(request, said, body), digest=digest)


async def _kept(request: web.Request, said: str, body: Received) -> web.Response:
    return answer(await keep_upload(request, said, body, seed(request)), status=HTTPStatus.CREATED)


async def keep_upload(request: web.Request, said: str, body: Received, derived_from: str | None) -> UploadOut:
    """Inspect a file of the caller's and store it as an upload; `said` is its declared content type."""
    async with _inspected(request, said, body) as (media, kept):
        return await _stored(request, media, kept, derived_from)


async def _stored(request: web.Request, media: Media, body: Received, derived_from: str | None) -> UploadOut:
    addresses, account = request.app[UPLOAD_ADDRESSES], request[ACCOUNT_CALLER].account
    object_key = addresses.new_key(media, body.bytes, derived_from)
    await _count(request, account, body)
    await request.app[INTAKE].store(request.app[OUTPUTS], object_key, body)
    address = addresses.address(account, object_key)
    measures = {"width": media.width, "height": media.height, "duration_seconds": media.duration_seconds}
    optional = {name: value for name, value in measures.items() if value is not None}
    return UploadOut(
        id=address,
        object="upload",
        url=address,
        kind=media.kind,
        content_type=media.content_type,
        bytes=body.bytes,
        sha256=body.sha256,
        expires_at=utc(upload_expires_at(object_key) * 1000),
        **optional,
    )


async def _count(request: web.Request, account: str, body: Received) -> None:
    """Count the file; RateLimited, with `Retry-After`, if the account's allowance is used up."""
    gib = request.app[SETTINGS].upload_gib_per_day
    size = -(-body.bytes // _KIB)
    outcome = await request.app[LEDGER].take_in(account=account, per_day=round(gib * _KIB * _KIB), size=size)
    if isinstance(outcome, Limited):
        raise RateLimited(
            f"Upload limit exceeded: {gib:,g} GiB in 24 hours per account. Retry later, or pass the file as an https: "
            "URL. Nothing was stored.",
            RateLimitedDetails(gib_per_day=gib),
            headers={"Retry-After": str(-(-outcome.retry_after_ms // 1000))},
        )


@asynccontextmanager
async def _inspected(request: web.Request, said: str, body: Received) -> AsyncIterator[tuple[Media, Received]]:
    """The body's type, by its bytes alone, and the file to store; InvalidRequest if it is not accepted."""
    inspections = request.app[METRICS].upload_inspections
    async with AsyncExitStack() as open_until_kept:
        inspection = request.app[INTAKE].inspected(body, request[ACCOUNT_CALLER].account)
        try:
            inspected = await open_until_kept.enter_async_context(inspection)
        except MediaUnreadable as error:
            inspections.labels("refused").inc()
            if said.startswith(_MEDIA) or said == ANY_BYTES:
                raise _refused("body", str(error)) from None
            # A form, or JSON: name that mistake instead of the type of the first bytes.
            taken = ", ".join(TAKEN_TYPES)
            problem = f"is not a media type, and the body is not a media file: send the file's bytes, as one of {taken}"
            raise _refused("Content-Type", problem) from None
        except RateLimited:
            inspections.labels("limited").inc()
            raise
        inspections.labels("read").inc()
        yield inspected


def _refused(path: str, message: str) -> InvalidRequest:
    return InvalidRequest(f"The {path} {message}. Nothing was stored.", fields=[FieldProblem(path, message)])
