"""The ledger: its Redis, whether it is ours, and the clock that decides about credits."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

from gateway.clock import CLOCK
from gateway.errors import LedgerBroken, LedgerUnavailable
from gateway.ledger.card_in_force import outdated
from gateway.ledger.durability import reply_of
from gateway.ledger.ledger import Ledger
from gateway.local.embedded import VERSION_MIN
from gateway.pricing.card import RateCard
from gateway.redis_link.connections import connect_ledger, parse_address
from gateway.settings import Settings
from gateway.startup.signing_key import difference, mark_of
from workers.doctor.findings import Finding, warnings_or

_NOT_STARTED = "start it with `farebox up` or `farebox redis`, or set FAREBOX_LEDGER_URL to a Redis"


def open_ledger(settings: Settings) -> Ledger:
    """The ledger as a gateway opens it; nothing is connected yet."""
    ledger = Ledger(
        connect_ledger(settings.ledger_address), retention=settings.retention, wait_replicas=settings.wait_replicas
    )
    ledger.durable_by_service = settings.durable_by == "service"
    return ledger


async def check_ledger(settings: Settings, ledger: Ledger, card: RateCard | None) -> AsyncIterator[Finding]:
    """Everything about the ledger, from the connection to what a gateway compares with it."""
    if settings.embedded and not settings.redis_socket.exists():
        yield Finding("ledger", "skipped", "the embedded Redis is not running", _NOT_STARTED)
        return
    where = parse_address(settings.ledger_address)
    try:
        await ledger.ping()
        for node in await ledger.servers():
            yield _version(await reply_of(node, "INFO", "server") or {})
            for finding in _writing(await reply_of(node, "INFO", "persistence") or {}):
                yield finding
        async for finding in _as_at_start(settings, ledger, card):
            yield finding
    except LedgerUnavailable as error:
        fix = "check that it runs, its address and password in FAREBOX_LEDGER_URL, and the firewall between"
        yield Finding("ledger", "error", f"{where}: {error.problem}", fix)
    except LedgerBroken as error:
        yield Finding("ledger", "error", str(error))


async def _as_at_start(settings: Settings, ledger: Ledger, card: RateCard | None) -> AsyncIterator[Finding]:
    """What a gateway checks when it starts, and every few seconds afterwards."""
    weak = await ledger.durability()
    kept = "kept by the service, as FAREBOX_DURABLE_BY says" if ledger.durable_by_service else "on disk"
    for finding in warnings_or("durability", weak, f"what is acknowledged is {kept}"):
        yield finding
    for finding in warnings_or("memory", await ledger.memory_warnings(), "set to keep ended generations small"):
        yield finding
    if hints := await ledger.failover_hints():
        for finding in warnings_or("failover", hints, ""):
            yield finding
    for shortage in await ledger.shortages():
        yield Finding("ledger", "error", shortage)
    yield await _replicas(ledger)
    await CLOCK.measure(ledger.time)
    problem = CLOCK.problem
    yield Finding("clock", "warning" if problem else "ok", problem or "this machine's clock agrees with the ledger's")
    if not await ledger.has_been_started():
        yield Finding("ledger", "ok", "empty: the first gateway makes it ready")
        return
    yield await _signing_key(settings, ledger)
    if (kept_otherwise := await ledger.kept_otherwise()) is not None:
        yield Finding("settings", "warning", kept_otherwise)
    if card is not None:
        yield await _card(ledger, card)


def _version(server: dict[str, Any]) -> Finding:
    text = str(server.get("redis_version", ""))
    found = tuple(int(part) for part in text.split(".")[:2] if part.isdecimal())
    name = f"Valkey {server['valkey_version']}" if "valkey_version" in server else f"Redis {text or 'unknown'}"
    wanted = ".".join(map(str, VERSION_MIN))
    if found and found < VERSION_MIN:
        return Finding("ledger", "error", f"{name} is too old", f"install Redis or Valkey {wanted} or newer")
    if not found:
        return Finding("ledger", "warning", "its version cannot be read", f"make sure it is {wanted} or newer")
    return Finding("ledger", "ok", f"{name} responds")


def _writing(persistence: dict[str, Any]) -> list[Finding]:
    """Whether the last writes of its log succeeded."""
    failed = [
        name for name in ("aof_last_write_status", "aof_last_bgrewrite_status") if persistence.get(name, "ok") != "ok"
    ]
    fix = "look for a full disk or a read error in the log of Redis"
    return [Finding("durability", "error", f"Redis reports {name}:{persistence[name]}", fix) for name in failed]


async def _replicas(ledger: Ledger) -> Finding:
    counts = []
    for node in await ledger.servers():
        replication = await reply_of(node, "INFO", "replication") or {}
        counts.append(int(replication.get("connected_slaves", 0)))
    fewest = min(counts, default=0)
    if ledger.wait_replicas:
        return Finding("replicas", "ok", f"{fewest} connected; {ledger.wait_replicas} must confirm every write")
    if ledger.durable_by_service:
        return Finding("replicas", "ok", f"{fewest} connected; the service keeps what it acknowledges")
    if fewest:
        fix = "set FAREBOX_WAIT_REPLICAS=1 for all processes"
        return Finding("replicas", "warning", f"{fewest} connected, and no write waits for them", fix)
    return Finding("replicas", "ok", "none: what is on this server's disk is the only copy (docs/running.md#replicas)")


async def _signing_key(settings: Settings, ledger: Ledger) -> Finding:
    known, key = await ledger.signing_key_mark(), settings.existing_secret("signing-key")
    if known is None:
        return Finding("keys", "ok", "the ledger has no signing key yet: the first gateway's is used")
    if key is None:
        fix = "set FAREBOX_SIGNING_KEY to that of the other gateways, or `signing-key` from the backup"
        return Finding("keys", "error", f"the ledger uses a signing key ({known}) that this machine does not have", fix)
    mine = mark_of(key)
    if mine != known:
        return Finding("keys", "error", difference(settings, mine, known))
    return Finding("keys", "ok", f"the signing key is the one that the ledger uses ({known})")


async def _card(ledger: Ledger, card: RateCard) -> Finding:
    found = await ledger.policies_in_force()
    if all(one is not None and one.version == card.version for one in found):
        return Finding("rate card", "ok", "is in force")
    if all(one is None for one in found):
        return Finding("rate card", "ok", "is not published yet: the first gateway does it")
    return Finding("rate card", "warning", outdated(card, found))
