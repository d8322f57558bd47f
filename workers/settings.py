"""Wiring only: from the settings to connected objects, and from those to arq's worker."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

from gateway.callbacks import CallbackLinks
from gateway.cancelling import cancel
from gateway.card_in_force import CardInForce
from gateway.clock import CLOCK
from gateway.connections import connect_ledger, connect_queue
from gateway.ledger.ledger import Ledger
from gateway.ledger.timed import TimedLedger
from gateway.outputs import OutputLinks, OutputStore
from gateway.pricing.load import default_card_path
from gateway.pricing.reload import RateCards
from gateway.queue.dispatcher import Dispatcher
from gateway.queue.queue import Queue
from gateway.receivers import Receivers
from gateway.settings import Settings, cloud_environment
from gateway.signing_key import check_signing_key
from gateway.webhook_secrets import WebhookSecrets
from workers.abilities import Abilities
from workers.arq_worker import ToolWorker
from workers.attempts.generate import generate, stop
from workers.attempts.slot import keep_filling_slots
from workers.care.caretaker import Caretaker
from workers.care.expired_files import ExpiredFiles
from workers.care.heartbeat import Heartbeat
from workers.care.nightly_audit import NightlyAudit
from workers.care.sampler import Sampler
from workers.insist import insist
from workers.metrics import TRANSITION_SECONDS
from workers.provider_desk import ProviderDesk
from workers.telling.teller import Teller
from workers.workplace import Workplace


@asynccontextmanager
async def open_workplace(settings: Settings) -> AsyncIterator[Workplace]:
    """Connect to ledger, queue and object store; wait for the ledger if it is not there yet."""
    async with AsyncExitStack() as stack:
        ledger = TimedLedger(
            connect_ledger(settings.ledger_address),
            lease_ms=settings.lease_ms,
            dispatch_ms=settings.dispatch_ms,
            wait_replicas=settings.wait_replicas,
        )
        ledger.seconds = TRANSITION_SECONDS
        stack.push_async_callback(ledger.close)
        queue = Queue(connect_queue(settings.queue_address))
        stack.push_async_callback(queue.redis.aclose)
        await insist("start", ledger.start, lease_seconds=settings.lease_seconds)
        if settings.public_url is not None or settings.existing_secret("signing-key") is not None:
            await _check_signing_key(ledger, settings)  # a worker that signs nothing needs none
        dispatcher = await stack.enter_async_context(Dispatcher(ledger=ledger, queue=queue))
        outputs = OutputStore.open(
            settings.outputs_address,
            cloud_environment(),
            instance_credentials=settings.outputs_credentials == "instance",
        )
        cards = RateCards(default_card_path(settings.rate_card))
        desk = ProviderDesk(cards, outputs, _callbacks(settings), settings.input_guard)
        place = Workplace(ledger, queue, dispatcher, outputs, settings.lease_seconds, desk)
        stack.push_async_callback(place.close)
        await place.storing.watch.check()
        place.tasks.keep("object store", place.storing.watch.keep_checking)
        place.tasks.keep("rate card", cards.watch)
        place.tasks.keep("rate card in force", CardInForce(ledger, cards, publishes=False).watch)
        place.tasks.keep("clock", lambda: CLOCK.keep_measuring(ledger.time))
        yield place


@asynccontextmanager
async def caretaking(settings: Settings, place: Workplace) -> AsyncIterator[None]:
    """Do all that a caretaker does, each in a task of its own: what hangs in one keeps no other waiting."""
    await _check_signing_key(place.ledger, settings)
    signing_key = settings.secret("signing-key")
    receivers = Receivers(settings.address_guard)
    teller = Teller(
        ledger=place.ledger,
        receivers=receivers,
        secrets=WebhookSecrets(signing_key),
        links=OutputLinks(signing_key, settings.public_address),
        lease_seconds=settings.lease_seconds,
    )
    files, heartbeat = ExpiredFiles(place.ledger, place.outputs), Heartbeat(place.queue)
    tasks = [
        place.tasks.keep("rescues", Caretaker(place, settings.lease_seconds).run),
        place.tasks.keep("slots", lambda: keep_filling_slots(place)),
        place.tasks.keep("expired outputs", files.delete_outputs),
        place.tasks.keep("expired uploads", files.delete_uploads),
        place.tasks.keep("daily audit", NightlyAudit(place.ledger).run),
        place.tasks.keep("sampler", Sampler(place.ledger, place.queue).run),
        place.tasks.keep("webhooks", teller.run),
        place.tasks.keep("heartbeat", heartbeat.run),
    ]
    try:
        yield
    finally:
        await cancel(*tasks)
        await heartbeat.end()
        await teller.close()
        await receivers.close()


async def _check_signing_key(ledger: Ledger, settings: Settings) -> None:
    await insist("start", lambda: check_signing_key(ledger, settings), lease_seconds=settings.lease_seconds)


def _callbacks(settings: Settings) -> CallbackLinks | None:
    """Who calls back needs an address that it can reach: the one that the operator has set, never a guess."""
    if settings.public_url is None:
        return None
    return CallbackLinks(settings.secret("signing-key"), settings.public_address)


def make_worker(settings: Settings, place: Workplace, *, tool: str, jobs_max: int) -> ToolWorker:
    """A worker for one tool."""
    hand_back = asyncio.Event()
    return ToolWorker(
        tool=tool,
        queue=place.queue,
        make=generate,
        functions={"stop": stop},
        context={"place": place, "tool": tool, "hand_back": hand_back},
        jobs_max=jobs_max,
        claim_ms=settings.lease_ms,
        grace_seconds=settings.grace_seconds,
        hand_back=hand_back,
        abilities=Abilities(place.desk, tool),
        tasks=place.tasks,
        store=place.storing.watch,
    )
