"""Downloads of outputs, whole or in part, with a signed URL or the account's key."""

from __future__ import annotations

import re
from dataclasses import dataclass
from http import HTTPStatus

from aiohttp import web

from gateway.api.access.auth import found
from gateway.api.access.sessions import from_our_page
from gateway.api.errors import Forbidden, LedgerDown, NotFound, RangeNotSatisfiable
from gateway.api.http.parse import query_of, read_query
from gateway.api.ownership.own_generations import own_generation
from gateway.api.services import LEDGER, LINKS, OUTPUTS, SETTINGS, STARTUP
from gateway.domain import Output
from gateway.errors import OutputMissing
from gateway.kinds import MediaKind
from gateway.ledger import outcomes
from gateway.media import STORED_EXTENSIONS, TEXT_TYPE, kind_of
from gateway.outputs import LinkState
from gateway.schemas.generations import OutputQuery

SIGNATURE = "signature"

_INDEX = re.compile(r"[0-9]{1,3}", re.ASCII)
_RANGE = re.compile(r"bytes=\s*(?:(?P<first>\d{1,18})-(?P<last>\d{1,18})?|-(?P<suffix>\d{1,18}))\s*", re.ASCII)
REDIRECTED_FROM_BYTES = 8 * 1024 * 1024
_LINK_SECONDS = 3600
_LINK_CACHE = "private, max-age=600"
_SHOWN = frozenset({MediaKind.IMAGE, MediaKind.VIDEO, MediaKind.AUDIO})
_POLICY = "sandbox; default-src 'none'"


@dataclass(frozen=True, slots=True)
class Span:
    """The bytes from `start` up to but not including `end`; `partial` if a range was requested."""

    start: int
    end: int
    partial: bool


async def get(request: web.Request) -> web.StreamResponse:
    """`GET /v1/generations/{generation}/outputs/{index}` with the account's key."""
    read_query(request, OutputQuery)
    index = _index(request)
    generation = await own_generation(request, request.match_info["generation"])
    return await send_output(request, generation, index)


async def get_signed(request: web.Request) -> web.StreamResponse:
    """The same with a signature in the URL, because an `<img>` sends no key. A large one may be at the bucket itself.

    Only here: a client that sends a key might send it on to the bucket.
    """
    index = _index(request)
    generation = await signed_generation(request, request.match_info["generation"], index)
    return await send_output(request, generation, index, may_redirect=True)


async def signed_generation(request: web.Request, generation: str, part: int | str) -> outcomes.Generation:
    """The generation to a part of which the request's signature grants access; Forbidden if it does not."""
    if not request.app[STARTUP].ready:
        raise LedgerDown("Farebox is not ready yet; try again soon.")
    query = query_of(request)  # other parameters are allowed: pages add some to bypass a cache
    match request.app[LINKS].verify(generation, part, query.get("expires", ""), query.get(SIGNATURE, "")):
        case LinkState.EXPIRED:
            raise Forbidden("This link has expired. Get the generation again for a new one.")
        case LinkState.INVALID:
            raise Forbidden("This link is invalid. Get the generation for its links.")
        case LinkState.VALID:
            return found(await request.app[LEDGER].generation(generation=generation), f"generation {generation}")


def is_signed(request: web.Request) -> bool:
    """Whether the request has a signature instead of a key."""
    return SIGNATURE in query_of(request)


async def send_output(
    request: web.Request, generation: outcomes.Generation, index: int, *, may_redirect: bool = False
) -> web.StreamResponse:
    """Send one output, or the requested range of it; NotFound if there is none."""
    output = next((one for one in generation.outputs if one.index == index), None)
    if output is None:
        raise NotFound(f"Generation {generation.id} has no output {index}, or has not delivered it yet.")
    if generation.outputs_deleted:
        raise NotFound("The outputs of this generation were deleted when their retention period ended.")
    etag = f'"{output.sha256}"'
    if _names(request.headers.get("If-None-Match"), etag):
        return web.Response(status=HTTPStatus.NOT_MODIFIED, headers=_headers(generation, output, etag))
    if may_redirect and (link := await _link(request, output)) is not None:
        return web.Response(status=HTTPStatus.FOUND, headers={"Location": link, "Cache-Control": _LINK_CACHE})
    span = _span(request, output.bytes, etag)
    response = web.StreamResponse(
        status=HTTPStatus.PARTIAL_CONTENT if span.partial else HTTPStatus.OK,
        headers=_headers(generation, output, etag) | {"Content-Type": _served_type(output.content_type)},
    )
    response.content_length = span.end - span.start
    if span.partial:
        response.headers["Content-Range"] = f"bytes {span.start}-{span.end - 1}/{output.bytes}"
    await _write(request, response, output, span)
    return response


async def _write(request: web.Request, response: web.StreamResponse, output: Output, span: Span) -> None:
    try:
        if request.method == "HEAD":
            await request.app[OUTPUTS].head(output.object_key)
            await response.prepare(request)
            return
        chunks = await request.app[OUTPUTS].stream(output.object_key, span.start, span.end)
    except OutputMissing:
        raise NotFound("The file of this output is missing from the object store.") from None
    await response.prepare(request)
    async for chunk in chunks:
        await response.write(chunk)
    await response.write_eof()


async def _link(request: web.Request, output: Output) -> str | None:
    """Where the bucket serves a large picture, video or sound itself; None if the gateway has to.

    Our own pages allow no other origin, and of other files only the gateway says that they are to be saved.
    """
    chosen, store = request.app[SETTINGS].output_redirects, request.app[OUTPUTS]
    if chosen == "never" or (chosen == "auto" and not store.is_public):
        return None
    if output.bytes < REDIRECTED_FROM_BYTES or kind_of(output.content_type) not in _SHOWN or request.method != "GET":
        return None
    if from_our_page(request, request.app[SETTINGS].public_address):
        return None
    return await store.link(output.object_key, _LINK_SECONDS)


def _index(request: web.Request) -> int:
    text = request.match_info["index"]
    if not _INDEX.fullmatch(text):
        raise NotFound(f"There is no output {text}: outputs are numbered from 0.")
    return int(text)


def _span(request: web.Request, size: int, etag: str) -> Span:
    """The requested span. For several ranges, or another unit, the whole is sent (RFC 9110, 14.2)."""
    match = _RANGE.fullmatch(request.headers.get("Range", ""))
    condition = request.headers.get("If-Range")
    if match is None or (condition is not None and condition != etag):
        return Span(0, size, partial=False)
    if match["suffix"] is not None:
        start, end = max(0, size - int(match["suffix"])), size
    else:
        start = int(match["first"])
        end = size if match["last"] is None else min(size, int(match["last"]) + 1)
        if match["last"] is not None and int(match["last"]) < start:
            return Span(0, size, partial=False)
    if start >= size:
        raise RangeNotSatisfiable(
            f"The requested range lies outside the output, which has {size:,} bytes.",
            headers={"Content-Range": f"bytes */{size}"},
        )
    return Span(start, end, partial=True)


def _names(header: str | None, etag: str) -> bool:
    """Whether an `If-None-Match` matches the output; it uses weak comparison (RFC 9110, 13.1.2)."""
    if header is None:
        return False
    return header.strip() == "*" or etag in (tag.strip().removeprefix("W/") for tag in header.split(","))


def _served_type(content_type: str) -> str:
    return f"{content_type}; charset=utf-8" if content_type == TEXT_TYPE else content_type


def _headers(generation: outcomes.Generation, output: Output, etag: str) -> dict[str, str]:
    extension = STORED_EXTENSIONS.get(output.content_type, "bin")
    # Browsers show media and plain text; any other file is saved, so that none opens it as a page.
    shown = "attachment" if kind_of(output.content_type) is MediaKind.FILE else "inline"
    return {
        "ETag": etag,
        "Accept-Ranges": "bytes",
        "Cache-Control": "private, max-age=3600",
        "Content-Disposition": f'{shown}; filename="{generation.id}-{output.index}.{extension}"',
        "Content-Security-Policy": _POLICY,
        "Cross-Origin-Resource-Policy": "cross-origin",  # the product's pages may embed it
    }
