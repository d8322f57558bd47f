"""What operators monitor, read from the ledger and the queue: for ops calls, the live stream, readiness and metrics."""

from __future__ import annotations

from decimal import Decimal
from typing import Literal

from aiohttp import web

from gateway.api.services import (
    LEDGER,
    PAUSE_BOARD,
    QUEUE,
    RATE_CARDS,
    SETTINGS,
    SLOTS,
    STARTUP,
)
from gateway.clock import now_ms
from gateway.domain import PauseKind
from gateway.errors import LedgerUnavailable, QueueUnavailable
from gateway.ledger.archiving import ARCHIVE_LAG_MAX_MS
from gateway.ledger.audit import LastAudit, last_audit, next_audit_in_ms
from gateway.ledger.pause_records import Pause
from gateway.ledger.sums import Totals
from gateway.pricing.providers import ProviderTable
from gateway.queue.queue import Depth
from gateway.queue.slots import ProviderState
from gateway.schemas import ops as operations_schemas
from gateway.schemas.base import utc
from gateway.views.generations import credits_of

HEARTBEATS_MAX = 100
_NOT_CONFIGURED = (
    "the ledger has an archive, but this gateway has no FAREBOX_ARCHIVE_URL: it does not find what is only there"
)


async def queues_shape(app: web.Application) -> operations_schemas.QueuesOut:
    """Every tool's queue. The number of queued generations is from the ledger; ages and workers are from the queue."""
    totals = await app[LEDGER].totals()
    tools = sorted(app[RATE_CARDS].card.tools.keys() | _open_tools(totals))
    depths = await depths_of(app, tools)
    return operations_schemas.QueuesOut(
        queues=[
            operations_schemas.QueueOut(
                tool=tool,
                depth=totals.queued.get(tool, 0),
                waiting=totals.waiting.get(tool, 0),
                oldest_age_seconds=_age(depths.get(tool)) if totals.queued.get(tool) else None,
                running=totals.running.get(tool, 0),
                workers=depths[tool].workers if tool in depths else None,
                heartbeats=_heartbeats(depths.get(tool)),
            )
            for tool in tools
        ],
        providers=await providers_shape(app),
        held_credits=credits_of(totals.held_millicredits),
        overdue=totals.overdue,
        open=totals.open,
        accounts=totals.accounts,
        rescues=dict(totals.rescues),
        rate_card=operations_schemas.RateCardState(
            version=app[RATE_CARDS].card.version, problem=app[RATE_CARDS].problem
        ),
        audit=_audit(await last_audit(app[LEDGER]), await next_audit_in_ms(app[LEDGER])),
    )


def _open_tools(totals: Totals) -> set[str]:
    """The tools with open generations, which may no longer be in the rate card."""
    counts = (totals.queued, totals.waiting, totals.running)
    return {tool for by_tool in counts for tool, count in by_tool.items() if count}


async def depths_of(app: web.Application, tools: list[str]) -> dict[str, Depth]:
    """Each tool's depth; without those whose queue's Redis does not respond."""
    try:
        return {depth.tool: depth for depth in await app[QUEUE].depths(tools)}
    except QueueUnavailable:
        return {}


async def providers_shape(app: web.Application) -> list[operations_schemas.ProviderOut] | None:
    """The providers of the rate card; None while the queue's Redis does not respond."""
    card, states = app[RATE_CARDS].card, await provider_states(app)
    if states is None:
        return None
    pauses, now = await app[PAUSE_BOARD].named(), now_ms()
    return [
        operations_schemas.ProviderOut(
            name=name,
            kind=card.providers[name].kind,
            state=_state(state),
            in_work=state.in_work,
            max_in_work=card.providers[name].max_in_work,
            requests_last_minute=state.requests_last_minute,
            requests_per_minute=card.providers[name].requests_per_minute,
            breaker=_breaker(card.providers[name], state, now),
            skipped=_skipped(card.providers[name], state, now, paused=(PauseKind.PROVIDER, name) in pauses),
            in_line=state.queued,
            succeeded_at=None if state.succeeded_at is None else utc(state.succeeded_at),
            failed_at=None if state.failed_at is None else utc(state.failed_at),
            last_failure=_failure(state),
            models=[model for model, made in card.models.items() if name in made.offers],
            last_hour=dict(state.outcomes),
        )
        for name, state in states.items()
    ]


async def provider_states(app: web.Application) -> dict[str, ProviderState] | None:
    """The state of each provider of the rate card, by name; None while the queue's Redis does not respond."""
    names = sorted(app[RATE_CARDS].card.providers)
    try:
        return await app[SLOTS].states(names) if names else {}
    except QueueUnavailable:
        return None


def _breaker(table: ProviderTable, state: ProviderState, now: int) -> operations_schemas.BreakerOut | None:
    if table.open_after is None:
        return None
    opened_at, opens_until = state.opened_at, state.opens_until
    if opened_at is None or opens_until is None:
        return operations_schemas.BreakerOut(state="closed", since=None, tries_at=None)
    return operations_schemas.BreakerOut(
        state="open" if now < opens_until else "half_open", since=utc(opened_at), tries_at=utc(opens_until)
    )


def _skipped(
    table: ProviderTable, state: ProviderState, now: int, *, paused: bool
) -> operations_schemas.Skipped | None:
    """Why the provider is given nothing new, as `gateway/queue/lua/lib/slots.lua` decides."""
    if paused:
        return operations_schemas.Skipped.PAUSED
    if table.open_after is not None and state.opens_until is not None and now < state.opens_until:
        return operations_schemas.Skipped.OPEN
    if table.max_in_work is not None and state.in_work >= table.max_in_work:
        return operations_schemas.Skipped.FULL
    most = table.requests_per_minute
    return operations_schemas.Skipped.RATE if most is not None and state.requests_last_minute >= most else None


def _failure(state: ProviderState) -> operations_schemas.ProviderFailureOut | None:
    if state.failure is None:
        return None
    return operations_schemas.ProviderFailureOut(code=state.failure, message=state.failure_detail)


def _state(state: ProviderState) -> Literal["working", "failing", "unknown"]:
    if state.succeeded_at is None and state.failed_at is None:
        return "unknown"
    return "working" if (state.succeeded_at or 0) >= (state.failed_at or 0) else "failing"


def _audit(last: LastAudit | None, next_in_ms: int | None) -> operations_schemas.AuditOut | None:
    if last is None:
        return None
    return operations_schemas.AuditOut(
        at=utc(last.at),
        seconds=Decimal(last.finished - last.at) / 1000,
        accounts=last.accounts,
        generations=last.generations,
        differences=last.differences,
        unproved=last.unproved,
        next_at=None if next_in_ms is None else utc(now_ms() + next_in_ms),
    )


def _heartbeats(depth: Depth | None) -> list[operations_schemas.WorkerOut]:
    silent = [] if depth is None else sorted(depth.silent_ms.items(), key=lambda one: -one[1])[:HEARTBEATS_MAX]
    return [operations_schemas.WorkerOut(name=name, silent_seconds=Decimal(ms) / 1000) for name, ms in silent]


def _age(depth: Depth | None) -> Decimal | None:
    return None if depth is None or depth.oldest_ms is None else Decimal(depth.oldest_ms) / 1000


async def audit_if_known(app: web.Application) -> LastAudit | None:
    """The result of the last audit; None also if the ledger is unavailable."""
    try:
        return await last_audit(app[LEDGER])
    except LedgerUnavailable:
        return None


async def pauses_if_known(app: web.Application) -> list[Pause]:
    """What operators have paused; empty if the ledger is unavailable."""
    try:
        return await app[LEDGER].pauses() if app[STARTUP].ready else []
    except LedgerUnavailable:
        return []


async def archive_problem(app: web.Application) -> str | None:
    """What is wrong with the archive; None if nothing is, if there is none, or if the ledger is unavailable."""
    configured = app[SETTINGS].archive_url is not None
    try:
        if not configured:
            return _NOT_CONFIGURED if await app[LEDGER].has_archive() else None
        since = await app[LEDGER].unarchived_since()
    except LedgerUnavailable:
        return None
    lag_ms = 0 if since is None else now_ms() - since
    if lag_ms <= ARCHIVE_LAG_MAX_MS:
        return None
    return f"the archive is {lag_ms // 60_000} min behind: see whether `farebox archivist` runs and reaches PostgreSQL"


async def events_waiting(app: web.Application) -> int | None:
    """The number of payment events that could not be applied; None if the ledger is unavailable."""
    try:
        return await app[LEDGER].count_kept_events() if app[STARTUP].ready else None
    except LedgerUnavailable:
        return None
