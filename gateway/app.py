"""The gateway's composition root: everything that handlers use is created and closed here.

The gateway starts without the ledger, responds with 503, and continues once the ledger is available. An incompatible
ledger (another schema, other partitions) or, with FAREBOX_REQUIRE_DURABLE, one that is not durable, aborts the start.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator

import structlog
from aiohttp import web

from gateway.api import console, limits, services
from gateway.api.access.auth import Callers
from gateway.api.access.callback_signatures import CallbackSignatures
from gateway.api.access.key_use import KeyUse
from gateway.api.access.openid import openid_of
from gateway.api.access.sessions import Sessions
from gateway.api.access.wrong_keys import WrongKeys
from gateway.api.console import CONSOLE, Console
from gateway.api.description.description import Description
from gateway.api.description.openapi import document
from gateway.api.handlers import oidc, sign_in, webhook_tests
from gateway.api.http.intake import Intake
from gateway.api.metrics import Metrics
from gateway.api.middleware.client_address import client_address
from gateway.api.middleware.envelope import add_cross_origin_headers, add_headers
from gateway.api.ordering.ordering import Ordering
from gateway.api.ordering.quote_tokens import QuoteTokens
from gateway.api.pause_board import PauseBoard
from gateway.api.routes import ROUTES, mount
from gateway.api.streams.hub import Hub
from gateway.archive.reading import ArchiveReader
from gateway.clock import CLOCK
from gateway.errors import FareboxError, LedgerUnavailable, RateCardOutdated
from gateway.facades.open_calls import OPEN_CALLS, OpenCalls
from gateway.facades.routes import ERROR_FORMS, FACADE_ROUTES
from gateway.ledger.card_in_force import CHECK_SECONDS, CardInForce
from gateway.ledger.client_calls import ClientCalls
from gateway.ledger.idempotency import Requests
from gateway.ledger.traced import ledger_class
from gateway.outputs import OutputLinks, OutputStore, StoreWatch, UploadAddresses
from gateway.outside.callback_links import CallbackLinks
from gateway.outside.receivers import Receivers
from gateway.outside.webhook_secrets import WebhookSecrets
from gateway.payments import CheckoutLinks, payments_of
from gateway.payments.received import ReceivedEvents
from gateway.pricing.card import RateCard
from gateway.pricing.load import default_card_path
from gateway.pricing.reload import RateCards
from gateway.process_metrics import ProcessMetrics
from gateway.queue.dispatcher import Dispatcher
from gateway.queue.follow_ups import FollowUps
from gateway.queue.queue import Queue
from gateway.queue.servers import QueueServers
from gateway.queue.slots import Slots
from gateway.queue.workforce import Workforce
from gateway.redis_link.connections import connect_ledger
from gateway.settings import Settings, cloud_environment
from gateway.startup.durability import check_durability, watch_durability
from gateway.startup.readiness import Startup
from gateway.startup.signing_key import check_signing_key
from gateway.tasks import Tasks, cancel
from gateway.views.kept_bodies import Bodies

_DAY_MS = 24 * 3600 * 1000
_TRY_AGAIN_SECONDS = 1.0

log = structlog.get_logger(__name__)


def create_app(settings: Settings, *, under_up: bool = False, number: int = 1) -> web.Application:
    """The gateway's application; RateCardError or SettingsError if it cannot run with these settings.

    `under_up`: `farebox up` runs the workers and a caretaker beside it, whose metrics it shows with its own. `number`:
    which of the gateways on its port it is.
    """
    app = web.Application(client_max_size=limits.BODY_MAX_BYTES)
    app[services.SETTINGS] = settings
    app[services.PROXIES] = settings.proxies
    app[services.CORS_ORIGINS] = settings.allowed_origins
    app[services.ERROR_FORMS] = ERROR_FORMS
    app[services.STARTUP] = Startup()
    app[services.METRICS] = Metrics()
    app[services.BACKGROUND] = Tasks()
    app[CONSOLE] = Console.read(settings.public_address)
    app[services.DESCRIPTION] = Description(lambda: document(ROUTES, settings.public_address), app[CONSOLE])
    app[services.QUOTE_TOKENS] = QuoteTokens(settings.secret("signing-key"))
    _add_ledger(app, settings)
    _add_outputs(app, settings)
    _add_payments(app, settings)
    app[services.CALLBACK_LINKS] = CallbackLinks(settings.secret("signing-key"), settings.public_address)
    app[services.CALLBACK_SIGNATURES] = CallbackSignatures()
    app[services.RATE_CARDS] = RateCards(
        default_card_path(settings.rate_card), publish=lambda card: _publish(app, card)
    )
    app[services.CARD_IN_FORCE] = CardInForce(app[services.LEDGER], app[services.RATE_CARDS], publishes=True)
    if under_up or settings.gateway_count > 1:
        tools = (lambda: app[services.RATE_CARDS].card.tools) if under_up else None
        app[services.PROCESS_METRICS] = ProcessMetrics(settings, tools, number=number, count=settings.gateway_count)

    app.on_response_prepare.append(add_headers)
    if settings.allowed_origins:
        app.on_response_prepare.append(add_cross_origin_headers)
    app.on_shutdown.append(_end_streams)
    app.cleanup_ctx.extend([_connections, _ledger_start, _dispatching, _watching, _taking_in])
    webhook_tests.mount(app)
    mount(app)
    mount(app, FACADE_ROUTES)
    sign_in.mount(app)
    oidc.mount(app)
    console.mount(app)
    return app


def _add_ledger(app: web.Application, settings: Settings) -> None:
    redis = connect_ledger(settings.ledger_address)
    ledger = ledger_class()(
        redis,
        lease_ms=settings.lease_ms,
        dispatch_ms=settings.dispatch_ms,
        retention=settings.retention,
        wait_replicas=settings.wait_replicas,
    )
    ledger.durable_by_service = settings.durable_by == "service"
    ledger.seconds = app[services.METRICS].transitions
    app[services.ARCHIVE] = None if settings.archive_url is None else ArchiveReader(settings.archive_url)
    ledger.older = app[services.ARCHIVE]
    app[services.LEDGER] = ledger
    app[services.PAUSE_BOARD] = PauseBoard(ledger)
    app[services.KEY_USE] = KeyUse(ledger)
    app[services.REQUESTS] = Requests(ledger)
    app[services.CLIENT_CALLS] = ClientCalls(ledger)
    app[OPEN_CALLS] = OpenCalls(app[services.CLIENT_CALLS])
    app[services.WEBHOOK_SECRETS] = WebhookSecrets(settings.secret("signing-key"))
    app[services.SESSIONS] = Sessions(
        settings.secret("signing-key"), settings.secret("admin-key"), settings.public_address
    )
    app[services.OPENID] = openid_of(settings)
    app[services.WRONG_KEYS] = WrongKeys(client_address)
    app[services.CALLERS] = Callers(
        ledger,
        settings.secret("admin-key"),
        app[services.SESSIONS],
        app[services.WRONG_KEYS],
        client=client_address,
        public_address=settings.public_address,
    )


def _add_outputs(app: web.Application, settings: Settings) -> None:
    app[services.OUTPUTS] = OutputStore.open(
        settings.outputs_address,
        cloud_environment(),
        instance_credentials=settings.outputs_credentials == "instance",
    )
    app[services.STORE_WATCH] = StoreWatch(app[services.OUTPUTS])
    app[services.LINKS] = OutputLinks(settings.secret("signing-key"), settings.public_address)
    app[services.INTAKE] = Intake(settings.data)
    app[services.UPLOAD_ADDRESSES] = UploadAddresses(settings.secret("signing-key"))
    app[services.BODIES] = Bodies(app[services.LINKS])


def _add_payments(app: web.Application, settings: Settings) -> None:
    app[services.CHECKOUT_LINKS] = CheckoutLinks(settings.secret("signing-key"), settings.public_address)
    payments = payments_of(settings, app[services.CHECKOUT_LINKS])
    app[services.PAYMENTS] = payments
    if payments is not None and not payments.live and not settings.in_test_mode:
        log.warning("PAYMENTS_ARE_A_TEST", consequence="anyone with a key can get credits without paying")
    app[services.PAYMENT_EVENTS] = ReceivedEvents(app[services.LEDGER], payments)


async def _connections(app: web.Application) -> AsyncIterator[None]:
    settings = app[services.SETTINGS]
    servers = QueueServers.connect(settings.queue_address, settings.queue_urls)
    # Replicas confirm what the ledger writes, which the queue need not wait for.
    together = settings.queue_address == settings.ledger_address and not settings.wait_replicas
    app[services.QUEUE] = Queue(servers, beside=app[services.LEDGER] if together else None)
    app[services.SLOTS] = Slots(app[services.QUEUE], lease_ms=settings.lease_ms)
    app[services.HUB] = Hub(app[services.QUEUE])
    app[services.WORKFORCE] = Workforce(
        app[services.QUEUE],
        lambda: app[services.RATE_CARDS].card,
        accept_seconds=settings.accept_without_worker_seconds,
    )
    app[services.RECEIVERS] = Receivers(settings.address_guard)
    _add_ordering(app, settings)
    yield
    await app[services.RECEIVERS].close()
    if (openid := app[services.OPENID]) is not None:
        await openid.close()
    await app[services.BACKGROUND].close()
    await app[services.QUEUE].aclose()
    payments = app[services.PAYMENTS]
    if payments is not None:
        await payments.close()
    if (archive := app[services.ARCHIVE]) is not None:
        await archive.close()
    await app[services.LEDGER].close()


def _add_ordering(app: web.Application, settings: Settings) -> None:
    app[services.ORDERING] = Ordering(
        ledger=app[services.LEDGER],
        outputs=app[services.OUTPUTS],
        rate_cards=app[services.RATE_CARDS],
        quote_tokens=app[services.QUOTE_TOKENS],
        uploads=app[services.UPLOAD_ADDRESSES],
        tasks=app[services.BACKGROUND],
        input_guard=settings.input_guard,
        webhook_guard=settings.address_guard,
        in_test_mode=settings.in_test_mode,
        workforce=app[services.WORKFORCE],
    )


async def _ledger_start(app: web.Application) -> AsyncIterator[None]:
    """Connect to the ledger if it is available, else keep trying in the background."""
    try:
        await _start_ledger(app)
    except LedgerUnavailable as error:
        app[services.STARTUP].problem = error.problem
        log.critical("ledger_unavailable_at_start", error=str(error), until_then="every call gets 503")
        app[services.BACKGROUND].keep("ledger start", lambda: _keep_starting(app))
    yield


async def _dispatching(app: web.Application) -> AsyncIterator[None]:
    async with Dispatcher(
        ledger=app[services.LEDGER], queue=app[services.QUEUE], tasks=app[services.BACKGROUND]
    ) as dispatcher:
        app[services.DISPATCHER] = dispatcher
        follow_ups = FollowUps(
            queue=app[services.QUEUE],
            dispatcher=dispatcher,
            slots=app[services.SLOTS],
            tasks=app[services.BACKGROUND],
            card=lambda: app[services.RATE_CARDS].card,
            figures=app[services.METRICS].figures,
        )
        app[services.LEDGER].follow_up_by(follow_ups.after)
        yield


async def _watching(app: web.Application) -> AsyncIterator[None]:
    tasks, ledger = app[services.BACKGROUND], app[services.LEDGER]
    await app[services.STORE_WATCH].check()
    kept = [
        tasks.keep("change notices", app[services.HUB].listen),
        tasks.keep("rate card", app[services.RATE_CARDS].watch),
        tasks.keep("rate card in force", lambda: _watch_card(app)),
        tasks.keep("durability", lambda: watch_durability(ledger, app[services.STARTUP])),
        tasks.keep("clock", lambda: CLOCK.keep_measuring(ledger.time)),
        tasks.keep("object store", app[services.STORE_WATCH].keep_checking),
        tasks.keep("workforce", app[services.WORKFORCE].watch),
        tasks.keep("key use", app[services.KEY_USE].write_on),
        tasks.keep("payment events", app[services.PAYMENT_EVENTS].keep_retrying),
    ]
    yield
    await cancel(*kept)
    await app[services.KEY_USE].write()


async def _taking_in(app: web.Application) -> AsyncIterator[None]:
    yield
    await app[services.INTAKE].close()


async def _start_ledger(app: web.Application) -> None:
    settings, startup, ledger = app[services.SETTINGS], app[services.STARTUP], app[services.LEDGER]
    await ledger.start()
    await check_signing_key(ledger, settings)
    await check_durability(ledger, startup, required=settings.require_durable)
    await _publish_first(app)
    startup.ready = True
    say_when_ready(app)


def say_when_ready(app: web.Application) -> None:
    """Log it after both: listening on the address, and a response from the ledger."""
    settings, startup = app[services.SETTINGS], app[services.STARTUP]
    if startup.ready and startup.listens:
        log.info("gateway_ready", address=settings.public_address, test_mode=settings.in_test_mode)


async def _keep_starting(app: web.Application) -> None:
    while True:
        await asyncio.sleep(_TRY_AGAIN_SECONDS)
        try:
            await _start_ledger(app)
        except LedgerUnavailable as error:
            app[services.STARTUP].problem = error.problem
        except FareboxError as error:
            # It responds, but is incompatible or not durable: an operator must fix it; until then, 503 is right.
            app[services.STARTUP].problem = str(error)
            log.critical("ledger_refused", error=str(error))
        else:
            return


async def _publish(app: web.Application, card: RateCard) -> None:
    """Called with every rate card after the first."""
    if not app[services.STARTUP].ready:
        raise LedgerUnavailable("no response from the ledger yet")
    await app[services.CARD_IN_FORCE].publish(card)
    app[services.PAYMENT_EVENTS].retry_soon()


async def _watch_card(app: web.Application) -> None:
    """Compare every few seconds, once it is known that the ledger is ours."""
    in_force = app[services.CARD_IN_FORCE]
    while True:
        await asyncio.sleep(CHECK_SECONDS)
        if app[services.STARTUP].ready:
            await in_force.check_if_reachable()


async def _publish_first(app: web.Application) -> None:
    """Publish the card that the gateway was started with; an older one is sold by, and shown (`check`)."""
    in_force = app[services.CARD_IN_FORCE]
    with contextlib.suppress(RateCardOutdated):
        await in_force.publish(in_force.cards.card)
    await in_force.check()


async def _end_streams(app: web.Application) -> None:
    app[services.HUB].close()
