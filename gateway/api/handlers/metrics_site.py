"""Who may read `/metrics`: whoever has FAREBOX_METRICS_KEY, if it is set, and at an address of its own, if that is set.

The figures name tools, models, providers and how much is sold: nothing of a customer, but nothing for strangers.
"""

from __future__ import annotations

import hashlib
import hmac

from aiohttp import web

from gateway.api import services
from gateway.api.access.auth import bearer
from gateway.api.errors import InvalidKey
from gateway.api.handlers.health import exposition
from gateway.api.middleware.envelope import add_headers

PATH = "/metrics"


async def metrics(request: web.Request) -> web.Response:
    """`GET /metrics` where all calls are: nothing is there if the figures have an address of their own."""
    if request.app[services.SETTINGS].metrics_port is not None:
        raise web.HTTPNotFound
    await _check_key(request)
    return await exposition(request.app)


def metrics_app(gateway: web.Application) -> web.Application:
    """An application that answers `/metrics` for the gateway, and nothing else."""

    async def answer(request: web.Request) -> web.Response:
        await _check_key(request)
        return await exposition(gateway)

    app = web.Application()
    # What is around every request; the rest it has not.
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
    given = bearer(request)
    if not hmac.compare_digest(_digest(given), _digest(wanted.get_secret_value())):
        await request.app[services.WRONG_KEYS].note(request, operators=True)
        raise InvalidKey("This key does not open /metrics. Send the value of FAREBOX_METRICS_KEY as a bearer token.")


def _digest(key: str) -> bytes:
    return hashlib.sha256(key.encode()).digest()
