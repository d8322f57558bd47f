"""Bulk operations of operators (R36): cancel, retry or refund what matches a filter, after a dry run.

A dry run fixes the set and gives a token. The same call with it works through the set, so many at a time, and says how
far it has come; a repeated one goes on. Each generation's operation derives from the token: nothing is done twice.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import secrets
from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial
from itertools import islice
from time import monotonic
from typing import Any

from aiohttp import web

from gateway.api.errors import InvalidRequest
from gateway.api.http.parse import read_body
from gateway.api.http.respond import answer
from gateway.api.ordering.retries import Retries, retry_id
from gateway.api.ownership.changes import check_support_ceiling
from gateway.api.services import LEDGER, OUTPUTS, RATE_CARDS, WORKFORCE
from gateway.clock import now_ms
from gateway.domain import State, operation_id
from gateway.errors import FieldProblem
from gateway.ledger import outcomes
from gateway.ledger.bulk import TOKEN_SECONDS, Bulk, Result
from gateway.ledger.finding import Finds, FoundGeneration, GenerationFilter, Kind
from gateway.ledger.ledger import Ledger
from gateway.ledger.operators import GivenBack
from gateway.schemas import bulk as shapes
from gateway.schemas.base import to_milliseconds, utc
from gateway.views.generations import credits_of
from gateway.views.ops_generations import found_shape

PER_CALL_MAX = 200
SECONDS_MAX = 8.0
_AT_ONCE = 8
_SHOWN = 20

_KINDS: Mapping[str, Kind] = {"cancel": Kind.OPEN, "retry": Kind.FAILED, "refund": Kind.CHARGED}


async def cancel(request: web.Request) -> web.Response:
    """`POST /v1/ops/bulk/cancel`."""
    return await _bulk(request, "cancel")


async def retry(request: web.Request) -> web.Response:
    """`POST /v1/ops/bulk/retry`."""
    return await _bulk(request, "retry")


async def refund(request: web.Request) -> web.Response:
    """`POST /v1/ops/bulk/refund`."""
    return await _bulk(request, "refund")


async def _bulk(request: web.Request, action: str) -> web.Response:
    body = await read_body(request, shapes.BulkIn)
    asked = f"{action}\n{body.reason}\n{body.filter.model_dump_json(exclude_none=True)}"
    digest = hashlib.sha256(asked.encode()).hexdigest()
    if body.token is None:
        bulk, found = await _dry_run(request, action, digest, body)
        check_support_ceiling(request, bulk.millicredits if action == "refund" else 0)
        return answer(_shape(bulk, dry_run=True, found=found))
    known = await request.app[LEDGER].bulk(body.token)
    if known is None or known.digest != digest:
        text = "has expired, or is for another action, filter or reason"
        raise InvalidRequest(
            f"The `token` {text}. Make the call without it first: a dry run, which gives a new one. Nothing was done.",
            fields=[FieldProblem("token", text)],
        )
    check_support_ceiling(request, known.millicredits if action == "refund" else 0)
    await _work(request, known)
    return answer(_shape(await request.app[LEDGER].bulk(body.token) or known, dry_run=False))


# --- the dry run ----------------------------------------------------------------------------------------------------


async def _dry_run(
    request: web.Request, action: str, digest: str, body: shapes.BulkIn
) -> tuple[Bulk, Sequence[FoundGeneration]]:
    """Find what matches, and store it under a new token."""
    ledger, kind = request.app[LEDGER], _KINDS[action]
    if body.filter.status is not None and kind is not Kind.OPEN:
        text = "is only for `cancel`: the others have ended"
        raise InvalidRequest(f"The filter's `status` {text}.", fields=[FieldProblem("filter.status", text)])
    finds = await ledger.find(kind=kind, only=_only(body.filter), enough=None)
    found = await _eligible(ledger, action, finds, body.filter.generations)
    kept = found[: shapes.BULK_MAX]
    bulk = Bulk(
        id=f"blk_{base64.b32encode(secrets.token_bytes(17)).decode().lower()[:26]}",
        action=action,
        digest=digest,
        reason=body.reason,
        generations=tuple(one.id for one in kept),
        accounts=len({one.account for one in kept}),
        millicredits=sum(_credits(action, one) for one in kept),
        more=len(found) > len(kept) or not finds.complete,
        expires_at=now_ms() + TOKEN_SECONDS * 1000,
    )
    await ledger.keep_bulk(bulk)
    return bulk, kept[:_SHOWN]


def _only(asked: shapes.BulkFilter) -> GenerationFilter:
    ends = [] if asked.created_before is None else [to_milliseconds(asked.created_before)]
    if asked.older_than_seconds is not None:
        ends.append(now_ms() - asked.older_than_seconds * 1000 + 1)
    return GenerationFilter(
        account=asked.account,
        tool=asked.tool,
        model=asked.model,
        provider=asked.provider,
        state=None if asked.status is None else State(asked.status),
        code=asked.code,
        created_after=None if asked.created_after is None else to_milliseconds(asked.created_after),
        created_before=min(ends, default=None),
    )


async def _eligible(ledger: Ledger, action: str, finds: Finds, named: Sequence[str] | None) -> list[FoundGeneration]:
    """What something can be done with, oldest first."""
    found = sorted(finds.data, key=lambda one: (one.created_at, one.id))
    if named is not None:
        found = [one for one in found if one.id in named]
    match action:
        case "cancel":
            return [one for one in found if not one.cancel_requested]
        case "refund":
            return [one for one in found if not one.given_back_millicredits]
    retried = await ledger.which_exist([retry_id(one.id) for one in found[: 2 * shapes.BULK_MAX]])
    return [one for one in found if retry_id(one.id) not in retried]


def _credits(action: str, one: FoundGeneration) -> int:
    match action:
        case "cancel":
            return one.held_millicredits
        case "retry":
            return one.price_millicredits
    return one.committed_millicredits


# --- doing it -------------------------------------------------------------------------------------------------------


async def _work(request: web.Request, bulk: Bulk) -> None:
    """Work through what is left, as far as one call goes."""
    ledger, began, left = request.app[LEDGER], monotonic(), iter(bulk.left[:PER_CALL_MAX])
    act = _act(request, bulk)
    while monotonic() - began < SECONDS_MAX and (some := list(islice(left, _AT_ONCE))):
        results = await asyncio.gather(*(act(one, operation_id(f"{bulk.id}\n{one}")) for one in some))
        await ledger.note_results(bulk.id, dict(zip(some, results, strict=True)))


def _act(request: web.Request, bulk: Bulk) -> Callable[[str, str], Awaitable[Result]]:
    app = request.app
    match bulk.action:
        case "cancel":
            return partial(_cancel, app[LEDGER], bulk.reason)
        case "refund":
            return partial(_refund, app[LEDGER], bulk.reason)
    return Retries(app[LEDGER], app[OUTPUTS], app[RATE_CARDS], app[WORKFORCE]).retry


async def _cancel(ledger: Ledger, reason: str, generation: str, operation: str) -> Result:
    del operation  # one that has ended is not cancelled again
    match await ledger.cancel(generation=generation, reason=reason):
        case outcomes.Ended(ended):
            return Result("cancelled", ended.refunded_millicredits)
        case outcomes.CancelRequested():
            return Result("stopping", 0)
        case outcomes.Unchanged(found) if found.state is State.CANCELLED:
            return Result("cancelled", found.refunded_millicredits)
        case outcomes.Unchanged():
            return Result("already_ended", 0)
    return Result("not_found", 0)


async def _refund(ledger: Ledger, reason: str, generation: str, operation: str) -> Result:
    match await ledger.adjust_generation(generation=generation, operation=operation, reason=reason):
        case GivenBack(found):
            return Result("refunded", found.given_back_millicredits)
        case outcomes.Refused(why):
            return Result(why, 0)
    return Result("not_found", 0)


def _shape(bulk: Bulk, *, dry_run: bool, found: Sequence[FoundGeneration] = ()) -> shapes.BulkOut:
    now, left, action = now_ms(), len(bulk.left), bulk.action
    more: dict[str, Any] = {"generations": [found_shape(one, now) for one in found]} if dry_run else {}
    named: Any = action
    return shapes.BulkOut(
        id=bulk.id,
        object="bulk",
        action=named,
        dry_run=dry_run,
        token=bulk.id,
        expires_at=utc(bulk.expires_at),
        count=len(bulk.generations),
        accounts=bulk.accounts,
        credits=credits_of(bulk.millicredits),
        limit=shapes.BULK_MAX,
        more=bulk.more,
        complete=left == 0 and not dry_run,
        done=len(bulk.generations) - left,
        remaining=left,
        results=dict(bulk.counts),
        credits_moved=credits_of(bulk.moved_millicredits),
        **more,
    )
