"""Wiring only: from settings to connected objects, and from those to arq's worker."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from http import HTTPStatus
from typing import cast

from gateway.client.calls import GatewayClient, GatewayRefused, GatewayUnreachable
from gateway.clock import CLOCK
from gateway.errors import SettingsError
from gateway.ledger.card_in_force import CardInForce
from gateway.ledger.ledger import Ledger
from gateway.ledger.traced import ledger_class
from gateway.outputs import OutputLinks, OutputStore
from gateway.outside.callback_links import CallbackLinks
from gateway.outside.receivers import Receivers
from gateway.outside.webhook_secrets import WebhookSecrets
from gateway.pricing.load import default_card_path
from gateway.pricing.reload import RateCards
from gateway.queue.dispatcher import Dispatcher
from gateway.queue.job_times import JobTimes
from gateway.queue.queue import Queue
from gateway.queue.servers import QueueServers
from gateway.queue.slots import Slots
from gateway.redis_link.connections import connect_ledger
from gateway.remote.callback_addresses import CallbackAddresses
from gateway.settings import Settings, cloud_environment
from gateway.startup.signing_key import check_signing_key
from gateway.tasks import cancel
from gateway.views.webhook_bodies import WebhookBodies
from workers.arq_worker import RemoteToolWorker, ToolWorker
from workers.attempts.generate import generate, stop
from workers.attempts.slot import keep_filling_slots
from workers.capabilities import Capabilities
from workers.care.caretaker import Caretaker
from workers.care.daily_audit import DailyAudit
from workers.care.expired_files import ExpiredFiles
from workers.care.heartbeat import Heartbeat
from workers.care.sampler import Sampler
from workers.context import WorkerContext
from workers.metrics import TRANSITION_SECONDS
from workers.provider_registry import ProviderRegistry
from workers.remote.connection import GatewayConnection, Remote
from workers.remote.stand_ins import (
    RemoteCallbacks,
    RemoteDispatcher,
    RemoteJobTimes,
    RemoteLedger,
    RemoteQueue,
    RemoteStore,
)
from workers.retry import retry_until_answered
from workers.webhooks.sender import WebhookSender


@asynccontextmanager
async def open_context(settings: Settings) -> AsyncIterator[WorkerContext]:
    """Connect to ledger, queue and object store; wait for the ledger if it is not up yet."""
    async with AsyncExitStack() as stack:
        ledger = ledger_class()(
            connect_ledger(settings.ledger_address),
            lease_ms=settings.lease_ms,
            dispatch_ms=settings.dispatch_ms,
            wait_replicas=settings.wait_replicas,
        )
        ledger.seconds = TRANSITION_SECONDS
        stack.push_async_callback(ledger.close)
        queue = Queue(QueueServers.connect(settings.queue_address, settings.queue_urls))
        stack.push_async_callback(queue.aclose)
        await retry_until_answered("start", ledger.start, lease_seconds=settings.lease_seconds)
        if settings.public_url is not None or settings.existing_secret("signing-key") is not None:
            await _check_signing_key(ledger, settings)  # a worker that signs nothing needs none
        dispatcher = await stack.enter_async_context(Dispatcher(ledger=ledger, queue=queue))
        outputs = OutputStore.open(
            settings.outputs_address,
            cloud_environment(),
            instance_credentials=settings.outputs_credentials == "instance",
        )
        cards = RateCards(default_card_path(settings.rate_card))
        providers = ProviderRegistry(cards, outputs, _callbacks(settings), settings.input_guard)
        context = WorkerContext.at_redis(
            queue,
            lease_seconds=settings.lease_seconds,
            ledger=ledger,
            dispatcher=dispatcher,
            outputs=outputs,
            providers=providers,
        )
        stack.push_async_callback(context.close)
        await context.storing.watch.check()
        context.tasks.keep("object store", context.storing.watch.keep_checking)
        context.tasks.keep("rate card", cards.watch)
        context.tasks.keep("rate card in force", CardInForce(ledger, cards, publishes=False).watch)
        context.tasks.keep("clock", lambda: CLOCK.keep_measuring(ledger.time))
        yield context


@asynccontextmanager
async def open_remote_context(settings: Settings, client: GatewayClient) -> AsyncIterator[WorkerContext]:
    """The same for a worker without Redis: everything is the gateway's."""
    connection = GatewayConnection(client)
    ledger, outputs, dispatcher = RemoteLedger(connection), RemoteStore(client), RemoteDispatcher(connection)
    await retry_until_answered("start", partial(_admitted, client, ledger), lease_seconds=settings.lease_seconds)
    cards = RateCards(default_card_path(settings.rate_card))
    context = WorkerContext(
        cast("Ledger", ledger),
        cast("Queue", RemoteQueue(connection)),
        cast("Dispatcher", dispatcher),
        outputs,
        settings.lease_seconds,
        ProviderRegistry(cards, outputs, RemoteCallbacks(connection), settings.input_guard),
        cast("Slots", Remote(connection, "slots")),
        cast("JobTimes", RemoteJobTimes(connection)),
    )
    handing_on = context.tasks.keep("dispatcher", dispatcher.keep_handing_on)
    context.tasks.keep("object store", context.storing.watch.keep_checking)
    context.tasks.keep("rate card", cards.watch)
    context.tasks.keep("rate card in force", CardInForce(context.ledger, cards, publishes=False).watch)
    context.tasks.keep("clock", lambda: CLOCK.keep_measuring(ledger.time))
    try:
        yield context
    finally:
        await dispatcher.close()
        await cancel(handing_on)
        await context.close()


@asynccontextmanager
async def caretaking(settings: Settings, context: WorkerContext) -> AsyncIterator[None]:
    """Run all caretaker tasks, each on its own: one that hangs does not delay the others."""
    await _check_signing_key(context.ledger, settings)
    signing_key = settings.secret("signing-key")
    receivers = Receivers(settings.address_guard)
    sender = WebhookSender(
        ledger=context.ledger,
        receivers=receivers,
        secrets=WebhookSecrets(signing_key),
        bodies=WebhookBodies(
            OutputLinks(signing_key, settings.public_address),
            settings.public_address,
            lambda: context.providers.card,
            context.outputs,
        ),
        lease_seconds=settings.lease_seconds,
    )
    files, heartbeat = ExpiredFiles(context.ledger, context.outputs), Heartbeat(context.queue)
    tasks = [
        context.tasks.keep("rescues", Caretaker(context, settings.lease_seconds).run),
        context.tasks.keep("slots", lambda: keep_filling_slots(context)),
        context.tasks.keep("expired outputs", files.delete_outputs),
        context.tasks.keep("expired uploads", files.delete_uploads),
        context.tasks.keep("daily audit", DailyAudit(context.ledger).run),
        context.tasks.keep("sampler", Sampler(context.ledger, context.queue).run),
        context.tasks.keep("webhooks", sender.run),
        context.tasks.keep("heartbeat", heartbeat.run),
    ]
    try:
        yield
    finally:
        await cancel(*tasks)
        await heartbeat.end()
        await sender.close()
        await receivers.close()


async def _admitted(client: GatewayClient, ledger: RemoteLedger) -> None:
    """Return once the gateway answers a worker's call; SettingsError if the key may not make it."""
    try:
        await client.call("POST", "/v1/worker/calls/ledger.time", {})
    except GatewayRefused as error:
        if error.status in {HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN}:
            raise SettingsError(f"FAREBOX_WORKER_KEY: {error} Make one with `farebox operator key worker`.") from None
    except GatewayUnreachable:
        pass
    await ledger.time()


async def _check_signing_key(ledger: Ledger, settings: Settings) -> None:
    await retry_until_answered(
        "start", lambda: check_signing_key(ledger, settings), lease_seconds=settings.lease_seconds
    )


def _callbacks(settings: Settings) -> CallbackAddresses:
    """Providers need a reachable address for callbacks: the one set by the operator, never a guess."""
    if settings.public_url is None:
        return CallbackAddresses(None)
    return CallbackAddresses(CallbackLinks(settings.secret("signing-key"), settings.public_address))


def make_worker(
    settings: Settings,
    context: WorkerContext,
    *,
    tool: str,
    jobs_max: int,
    kind: type[ToolWorker | RemoteToolWorker] = ToolWorker,
) -> ToolWorker:
    """A worker for one tool."""
    hand_back = asyncio.Event()
    return kind(
        tool=tool,
        queue=context.queue,
        make=generate,
        functions={"stop": stop},
        context={"context": context, "tool": tool, "hand_back": hand_back},
        jobs_max=jobs_max,
        claim_ms=settings.lease_ms,
        grace_seconds=settings.grace_seconds,
        hand_back=hand_back,
        capabilities=Capabilities(context.providers, tool),
        tasks=context.tasks,
        store=context.storing.watch,
    )
