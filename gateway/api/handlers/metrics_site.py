"""Serves `/metrics`: with FAREBOX_METRICS_KEY if it is set, and at a separate address if one is set.

Metrics name tools, models, providers and sales: no customer data, but not for the public either.
"""

from __future__ import annotations

import hashlib
import hmac

from aiohttp import web
from prometheus_client import CONTENT_TYPE_LATEST

from gateway.api import services
from gateway.api.access.auth import bearer
from gateway.api.errors import InvalidKey
from gateway.api.middleware.envelope import add_headers
from gateway.api.services import (
    BACKGROUND,
    LEDGER,
    METRICS,
    PROCESS_METRICS,
    QUEUE,
    RATE_CARDS,
    STARTUP,
    STORE_WATCH,
    WORKFORCE,
)
from gateway.api.watching import audit_if_known, depths_of, events_waiting, pauses_if_known, provider_states
from gateway.errors import LedgerUnavailable
from gateway.process_metrics import GATEWAY

PATH = "/metrics"


async def metrics(request: web.Request) -> web.Response:
    """`GET /metrics` on the main address: 404 if metrics have an address of their own."""
    if request.app[services.SETTINGS].metrics_port is not None:
        raise web.HTTPNotFound
    await _check_key(request)
    return await exposition(request.app)


def metrics_app(gateway: web.Application) -> web.Application:
    """An application that only serves the gateway's `/metrics`."""

    async def answer(request: web.Request) -> web.Response:
        await _check_key(request)
        return await exposition(gateway)

    app = web.Application()
    # Only what every request needs.
    app[services.SETTINGS] = gateway[services.SETTINGS]
    app[services.METRICS] = gateway[services.METRICS]
    app[services.WRONG_KEYS] = gateway[services.WRONG_KEYS]
    app[services.PROXIES] = gateway[services.PROXIES]
    app.on_response_prepare.append(add_headers)
    app.router.add_get(PATH, answer)
    return app


async def _check_key(request: web.Request) -> None:
    wanted = request.app[services.SETTINGS].metrics_key
    if wanted is None:
        return
    given = bearer(request.headers.get("Authorization"))
    if not hmac.compare_digest(_digest(given), _digest(wanted.get_secret_value())):
        await request.app[services.WRONG_KEYS].note(request, operators=True)
        raise InvalidKey("This key does not open /metrics. Send the value of FAREBOX_METRICS_KEY as a bearer token.")


def _digest(key: str) -> bytes:
    return hashlib.sha256(key.encode()).digest()


def own_page(app: web.Application) -> bytes:
    """The metrics of this process alone, for the gateway that is scraped."""
    return app[METRICS].own_page(
        app[RATE_CARDS], tasks=app[BACKGROUND], store=app[STORE_WATCH], odd=app[QUEUE].unreadable
    )


async def exposition(app: web.Application) -> web.Response:
    """The response with the metrics page."""
    return web.Response(body=await page_of(app), headers={"Content-Type": CONTENT_TYPE_LATEST})


async def page_of(app: web.Application) -> bytes:
    """The metrics page: values that the ledger does not return are omitted, never shown as 0."""
    totals = None
    try:
        if app[STARTUP].ready:
            totals = await app[LEDGER].totals()
    except LedgerUnavailable:
        pass
    tools = sorted(app[RATE_CARDS].card.tools)
    last = None if totals is None else await audit_if_known(app)
    depths, providers = await depths_of(app, tools), await provider_states(app)
    beside = app.get(PROCESS_METRICS)
    return app[METRICS].exposition(
        totals,
        depths,
        tools,
        app[RATE_CARDS],
        last,
        providers=providers,
        tasks=app[BACKGROUND],
        store=app[STORE_WATCH],
        workforce=app[WORKFORCE],
        odd=app[QUEUE].unreadable,
        unapplied=await events_waiting(app),
        pauses=await pauses_if_known(app),
        processes=None if beside is None else await beside.read(),
        process=GATEWAY if beside is None else beside.own_name,
    )
