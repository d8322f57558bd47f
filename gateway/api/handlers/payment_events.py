"""Payment events that could not be applied: list, retry, drop (`gateway.payments.received`)."""

from __future__ import annotations

from aiohttp import web

from gateway.api.errors import LedgerDown, NotFound
from gateway.api.http.respond import answer
from gateway.api.services import PAYMENT_EVENTS
from gateway.errors import PaymentsUnavailable
from gateway.schemas import payments as payment_schemas
from gateway.views.payments import payment_event_shape


async def listed(request: web.Request) -> web.Response:
    """`GET /v1/ops/payment-events`."""
    return answer(
        payment_schemas.PaymentEventsOut(
            data=[payment_event_shape(kept) for kept in await request.app[PAYMENT_EVENTS].listed()]
        )
    )


async def retry(request: web.Request) -> web.Response:
    """`POST /v1/ops/payment-events/{event}/retry`."""
    event = request.match_info["event"]
    try:
        tried = await request.app[PAYMENT_EVENTS].retry(event)
    except PaymentsUnavailable as error:
        raise LedgerDown(f"The payment provider is not responding ({error}). Try again.") from None
    if tried is None:
        raise _missing(event)
    still = None if isinstance(tried, bool) else payment_event_shape(tried)
    return answer(payment_schemas.PaymentEventRetried(id=event, applied=still is None, event=still))


async def drop(request: web.Request) -> web.Response:
    """`DELETE /v1/ops/payment-events/{event}`."""
    event = request.match_info["event"]
    if not await request.app[PAYMENT_EVENTS].drop(event):
        raise _missing(event)
    return answer(payment_schemas.PaymentEventDropped(id=event, dropped=True))


def _missing(event: str) -> NotFound:
    return NotFound(f"No payment event {event} is pending: it was already applied or dropped, or never arrived.")
