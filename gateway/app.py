"""The gateway's one composition root: everything that handlers use is made here, and closed here.

The gateway starts without the ledger, answers 503, and goes on by itself when the ledger is there. A ledger that is
not ours (another schema, other partitions) or, with FAREBOX_REQUIRE_DURABLE, not durable, stops the start.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Coroutine
from typing import Any

import structlog
from aiohttp import web

from gateway.api import services
from gateway.api.auth import Callers
from gateway.api.background import Background
from gateway.api.docs_page import page
from gateway.api.documentation import mount_static
from gateway.api.hub import Hub
from gateway.api.metrics import Metrics
from gateway.api.middleware import BODY_MAX_BYTES, add_headers, answered
from gateway.api.openapi import document
from gateway.api.quote_tokens import QuoteTokens
from gateway.api.routes import ROUTES, mount
from gateway.cancelling import cancel
from gateway.connections import connect_ledger, connect_queue
from gateway.dispatcher import Dispatcher
from gateway.errors import FareboxError, LedgerUnavailable, SettingsError
from gateway.ledger.idempotency import Requests
from gateway.ledger.policy_of_card import policy_of
from gateway.ledger.timed import TimedLedger
from gateway.outputs import OutputLinks, OutputStore
from gateway.payments import CheckoutLinks, payments_of
from gateway.pricing.card import RateCard
from gateway.pricing.load import default_card_path
from gateway.pricing.reload import RateCards
from gateway.queue import Queue
from gateway.settings import Settings

_DAY_MS = 24 * 3600 * 1000
_TRY_AGAIN_SECONDS = 1.0
_ADMIN_KEY_LENGTH = 16

log = structlog.get_logger(__name__)


def create_app(settings: Settings) -> web.Application:
    """The gateway's application; RateCardError or SettingsError if it cannot run as it is set."""
    app = web.Application(client_max_size=BODY_MAX_BYTES, middlewares=[answered])
    app[services.SETTINGS] = settings
    app[services.STARTUP] = services.Startup()
    app[services.METRICS] = Metrics()
    app[services.BACKGROUND] = Background()
    app[services.DESCRIPTION] = document(ROUTES, settings.public_address)
    app[services.DOCS_PAGE] = page(app[services.DESCRIPTION])
    app[services.QUOTE_TOKENS] = QuoteTokens(settings.secret("signing-key"))
    _add_ledger(app, settings)
    _add_outputs(app, settings)
    _add_payments(app, settings)
    app[services.RATE_CARDS] = RateCards(
        default_card_path(settings.rate_card), publish=lambda card: _publish(app, card)
    )
    app.on_response_prepare.append(add_headers)
    app.on_shutdown.append(_end_streams)
    app.cleanup_ctx.extend([_connections, _ledger_start, _dispatching, _watching])
    mount(app)
    mount_static(app)
    return app


def run(settings: Settings) -> None:
    """Serve until SIGTERM or SIGINT; requests in work then have the grace period to end."""
    web.run_app(
        create_app(settings),
        host=settings.host,
        port=settings.port,
        shutdown_timeout=settings.grace_seconds,
        access_log=None,
        print=None,
        loop=_event_loop(),
    )


def _event_loop() -> asyncio.AbstractEventLoop:
    try:
        import uvloop  # noqa: PLC0415 - not on every platform
    except ImportError:
        return asyncio.new_event_loop()
    return uvloop.new_event_loop()


def _add_ledger(app: web.Application, settings: Settings) -> None:
    redis = connect_ledger(settings.ledger_address)
    ledger = TimedLedger(
        redis,
        lease_ms=settings.lease_ms,
        dispatch_ms=settings.dispatch_ms,
        outputs_kept_ms=settings.output_days * _DAY_MS,
        wait_replicas=settings.wait_replicas,
    )
    ledger.seconds = app[services.METRICS].transitions
    app[services.LEDGER] = ledger
    app[services.REQUESTS] = Requests(redis, ledger.partitions)
    app[services.CALLERS] = Callers(ledger, settings.secret("admin-key"))


def _add_outputs(app: web.Application, settings: Settings) -> None:
    app[services.OUTPUTS] = OutputStore.open(settings.outputs_address)
    app[services.LINKS] = OutputLinks(settings.secret("signing-key"), settings.public_address)


def _add_payments(app: web.Application, settings: Settings) -> None:
    app[services.CHECKOUT_LINKS] = CheckoutLinks(settings.secret("signing-key"), settings.public_address)
    payments = payments_of(settings, app[services.CHECKOUT_LINKS])
    app[services.PAYMENTS] = payments
    if payments is not None and not payments.live and not settings.in_test_mode:
        log.warning("PAYMENTS_ARE_A_TEST", consequence="anyone with a key gets credits at a click, for nothing")


async def _connections(app: web.Application) -> AsyncIterator[None]:
    redis = connect_queue(app[services.SETTINGS].queue_address)
    app[services.QUEUE] = Queue(redis)
    app[services.HUB] = Hub(app[services.QUEUE])
    yield
    await app[services.BACKGROUND].close()
    await redis.aclose()
    payments = app[services.PAYMENTS]
    if payments is not None:
        await payments.close()
    await app[services.LEDGER].close()


async def _ledger_start(app: web.Application) -> AsyncIterator[None]:
    """Start with the ledger if it is there, else keep trying beside the server."""
    try:
        await _start_ledger(app)
    except LedgerUnavailable as error:
        app[services.STARTUP].problem = "the ledger does not answer"
        log.critical("ledger_unavailable_at_start", error=str(error), until_then="every call answers 503")
        async with _running(_keep_starting(app), "ledger start"):
            yield
    else:
        yield


async def _dispatching(app: web.Application) -> AsyncIterator[None]:
    async with Dispatcher(ledger=app[services.LEDGER], queue=app[services.QUEUE]) as dispatcher:
        app[services.DISPATCHER] = dispatcher
        yield


async def _watching(app: web.Application) -> AsyncIterator[None]:
    async with (
        _running(app[services.HUB].listen(), "hints"),
        _running(app[services.RATE_CARDS].watch(), "rate card"),
    ):
        yield


async def _start_ledger(app: web.Application) -> None:
    settings, startup, ledger = app[services.SETTINGS], app[services.STARTUP], app[services.LEDGER]
    await ledger.start()
    weaknesses = await ledger.durability()
    if weaknesses and settings.require_durable:
        raise SettingsError(
            "FAREBOX_REQUIRE_DURABLE is set, and the ledger's Redis is not durable: " + "; ".join(weaknesses)
        )
    if len(settings.secret("admin-key")) < _ADMIN_KEY_LENGTH:
        log.warning("ADMIN_KEY_SHORT", mend=f"give FAREBOX_ADMIN_KEY at least {_ADMIN_KEY_LENGTH} random characters")
    for weakness in weaknesses:
        log.warning("LEDGER_NOT_DURABLE", weakness=weakness, consequence="what was acknowledged can be lost in a crash")
    startup.durability = tuple(f"the ledger is not durable: {weakness}" for weakness in weaknesses)
    await _write_policy(app, app[services.RATE_CARDS].card)
    startup.ready = True
    log.info("gateway_ready", address=settings.public_address, test_mode=settings.in_test_mode)


async def _keep_starting(app: web.Application) -> None:
    while True:
        await asyncio.sleep(_TRY_AGAIN_SECONDS)
        try:
            await _start_ledger(app)
        except LedgerUnavailable:
            continue
        except FareboxError as error:
            # It is there, but not ours or not durable: an operator must see to it, and 503 is right until then.
            app[services.STARTUP].problem = str(error)
            log.critical("ledger_refused", error=str(error))
        else:
            return


async def _publish(app: web.Application, card: RateCard) -> None:
    """Called with every rate card after the first."""
    if not app[services.STARTUP].ready:
        raise LedgerUnavailable("the ledger has not answered yet")
    await _write_policy(app, card)


async def _write_policy(app: web.Application, card: RateCard) -> None:
    policy = await asyncio.to_thread(policy_of, card)
    startup = app[services.STARTUP]
    if await app[services.LEDGER].publish(policy):
        startup.outdated = None
        return
    startup.outdated = "another process has published a newer rate card than this gateway's file: update the file"
    log.warning("rate_card_outdated", version=card.version, problem=startup.outdated)


async def _end_streams(app: web.Application) -> None:
    app[services.HUB].close()


@contextlib.asynccontextmanager
async def _running(work: Coroutine[Any, Any, None], name: str) -> AsyncIterator[None]:
    """Run `work` beside the server; it ends with it."""
    task = asyncio.create_task(work, name=name)
    task.add_done_callback(_say_if_failed)
    try:
        yield
    finally:
        await cancel(task)


def _say_if_failed(task: asyncio.Task[None]) -> None:
    if not task.cancelled() and (error := task.exception()) is not None:
        log.critical("background_task_died", task=task.get_name(), exc_info=error)
