"""What must be true of the books when all is quiet again.

Three views that must agree: what the clients were told (`Load`), what the API says now, and what the ledger's own keys
say (`farebox audit`, and the invariants that every ledger test checks).
"""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections import Counter
from decimal import Decimal
from typing import Any, Protocol

from redis.asyncio import Redis
from redis.asyncio.cluster import RedisCluster

from chaos.box import METERED_MODEL
from chaos.checks import Checks
from chaos.faults import Scene, delivered_by, read_generation
from chaos.findings import Findings
from chaos.lifetimes import check_lifetimes
from chaos.load import Load
from chaos.processes import LEDGER
from chaos.providers import check_providers
from chaos.receipts import check_receipts
from gateway.errors import LedgerUnavailable
from gateway.ledger.ledger import Ledger
from tests.invariants.checks import check_invariants
from tests.invariants.contents import read_contents

SETTLE_SECONDS = 240
FINAL = frozenset({"succeeded", "failed", "cancelled"})
_AUDIT_EVERY_SECONDS = 10
_AUDITS = {0: "clean", 2: "no answer from the ledger"}
_TOLD_SECONDS = 8
_RESENT_MAX = 8
_PAGE = 100
_DOWNLOADS_AT_ONCE = 8
_MOVES = frozenset({"reserve", "commit", "refund"})  # what generations do; everything else is granted or expired

Shown = dict[str, Any]


class Audited(Protocol):
    """What runs, as far as its ledger is looked at."""

    ledger: Ledger
    environment: dict[str, str]

    def command(self, *words: str) -> tuple[str, ...]:
        """An operator's `farebox` command, to be run in `environment`."""


async def settle(processes: Audited) -> bool:
    """Wait until no generation is open; False if that never comes."""
    loop = asyncio.get_running_loop()
    give_up = loop.time() + SETTLE_SECONDS
    while loop.time() < give_up:
        try:
            if not (await processes.ledger.totals()).open:
                return True
        except LedgerUnavailable:
            pass
        await asyncio.sleep(0.25)
    return False


async def count(scene: Scene) -> Findings:
    """Look at everything."""
    findings, load = Findings(), scene.load
    everything = await count_books(findings, load, scene.checks)
    scene.cast.count(everything)
    await _check_told(findings, scene, everything)
    await check_providers(findings, scene, everything)
    await _check_overtaken(findings, scene)
    await _audit(findings, scene)
    return findings


async def count_books(findings: Findings, load: Load, checks: Checks) -> dict[str, Shown]:
    """Look at what the API says of every account, and compare it with what clients were told; all generations."""
    everything: dict[str, Shown] = {}
    for account in load.keys:
        generations = await _pages(load, account, "/v1/generations")
        entries = (await _pages(load, account, "/v1/journal"))[::-1]
        everything |= {shown["id"]: shown for shown in generations}
        for shown in generations:
            _check_generation(findings, shown)
        await _check_account(findings, load, account, entries, generations)
        seen = await load.call("GET", f"/v1/admin/accounts/{account}", load.admin_key)
        load.given.check(checks, seen.body, entries)
        checks.seen["refunds after a reset"] += _refunds_after_a_reset(entries)
    _check_acknowledged(findings, load, everything)
    await check_receipts(load, checks, everything.values())
    await _check_outputs(findings, load, everything)
    return everything


def _check_generation(findings: Findings, shown: Shown) -> None:
    """R9: it is final, and k of n outputs cost floor(price × k / n) to the millicredit."""
    name, credits = shown["id"], shown["credits"]
    if shown["status"] not in FINAL:
        findings.lost.append(f"{name} is still {shown['status']}")
        return
    findings.ended[shown["status"]] += 1
    price, delivered = _milli(shown["price"]["credits"]), len(shown["outputs"])
    found = {where: _milli(amount) for where, amount in credits.items() if where != "allocation"}
    charged = price * delivered // shown["outputs_requested"]
    if shown["model"] == METERED_MODEL:  # what it costs is for `Providers` to say: here, that it is within its price
        charged = min(charged, found["committed"])
    if found != {"held": 0, "committed": charged, "refunded": price - charged}:
        findings.wrong.append(f"{name} delivered {delivered} of {shown['outputs_requested']}: {found}, price {price}")
    if shown["status"] != "cancelled" and (shown["status"] == "succeeded") is not (delivered > 0):
        findings.wrong.append(f"{name} {shown['status']} with {delivered} outputs")


async def _check_account(
    findings: Findings, load: Load, account: str, entries: list[Shown], generations: list[Shown]
) -> None:
    """R19: the journal is whole, each generation was paid for once, and balance = granted − charged."""
    available = held = 0
    kinds: Counter[tuple[str, str]] = Counter()
    granted = charged = 0
    for entry in entries:
        available, held = available + _milli(entry["credits"]), held + _milli(entry["held"])
        if (available, held) != (_milli(entry["available_after"]), _milli(entry["held_after"])):
            findings.wrong.append(f"{account}: entry {entry['id']} does not follow from the one before")
        if entry["kind"] in _MOVES:
            kinds[entry["generation"], entry["kind"]] += 1
        else:
            granted += _milli(entry["credits"])
        if entry["kind"] == "commit":
            charged -= _milli(entry["held"])
    findings.entries += len(entries)
    findings.double += [f"{name} has {times} × {kind}" for (name, kind), times in kinds.items() if times > 1]
    committed = sum(_milli(shown["credits"]["committed"]) for shown in generations)
    findings.charged += Decimal(charged) / 1000
    if charged != committed:
        findings.wrong.append(f"{account}: the journal charged {charged}, its generations {committed}")
    balance = (await load.call("GET", "/v1/balance", load.keys[account])).body
    if _milli(balance["held"]):
        findings.wrong.append(f"{account}: {balance['held']} still held")
    if _milli(balance["available"]) != granted - charged:
        findings.wrong.append(f"{account}: granted {granted}, charged {charged}, has {balance['available']}")
    _check_grants(findings, load, account, entries)


def _check_grants(findings: Findings, load: Load, account: str, entries: list[Shown]) -> None:
    """Every acknowledged grant is in the journal exactly once."""
    found = [
        (entry["reason"], _milli(entry["credits"]))
        for entry in entries
        if entry["kind"] == "grant" and entry.get("reason") in load.granted[account]
    ]
    expected = [(reason, amount * 1000) for reason, amount in load.granted[account].items()]
    missing, extra = Counter(expected) - Counter(found), Counter(found) - Counter(expected)
    findings.lost += [f"{account}: the grant {grant} is missing" for grant in missing]
    findings.double += [f"{account}: the grant {grant} is there again" for grant in extra]


def _check_acknowledged(findings: Findings, load: Load, everything: dict[str, Shown]) -> None:
    """R11: what was acknowledged is there, one generation a key, and nothing that nobody was told of."""
    for key, generations in load.acknowledged.items():
        if len(generations) > 1:
            findings.double.append(f"{key} was acknowledged as {', '.join(sorted(generations))}")
        findings.lost += [f"{name} was acknowledged for {key} and is gone" for name in generations - everything.keys()]
    made = Counter(shown["metadata"].get("key", shown["id"]) for shown in everything.values())
    for key, times in made.items():
        if times > 1:
            findings.double.append(f"{key} made {times} generations")
        if key not in load.acknowledged:
            findings.double.append(f"{key} was refused ({load.refused.get(key)}) or never answered, and made one")


async def _check_outputs(findings: Findings, load: Load, everything: dict[str, Shown]) -> None:
    """What was delivered can be downloaded, and is what it was."""
    room = asyncio.Semaphore(_DOWNLOADS_AT_ONCE)

    async def check(generation: str, output: Shown) -> None:
        async with room:
            data = await load.download(output["url"])
        findings.outputs += 1
        if data is None or hashlib.sha256(data).hexdigest() != output["sha256"]:
            findings.lost.append(f"{generation}: output {output['index']} was paid for and cannot be downloaded")

    async with asyncio.TaskGroup() as all_checks:
        for shown in everything.values():
            for output in shown["outputs"]:
                all_checks.create_task(check(shown["id"], output))


async def _check_told(findings: Findings, scene: Scene, everything: dict[str, Shown]) -> None:
    """Every account was told how each of its generations ended, after its beginning, as often as it took.

    What was tried in vain a few times waits for minutes, then hours. That is not waited for: it is resent.
    """
    ended = {shown["id"]: shown["status"] for shown in everything.values()}
    await scene.receiver.wait(ended, _TOLD_SECONDS)
    for number in range(_RESENT_MAX):
        if not scene.receiver.missing(ended):
            break
        await _resend(scene, number)
        await scene.receiver.wait(ended, _TOLD_SECONDS)
    findings.lost += scene.receiver.check(ended)


async def _resend(scene: Scene, number: int) -> None:
    """Have all that was not told yet told at once, as its owner may; an end that waits for its beginning follows it."""
    load = scene.load
    for account, webhook in scene.receiver.webhooks.items():
        path = f"/v1/webhooks/{webhook}/deliveries"
        for delivery in await _pages(load, account, path):
            if delivery["status"] == "pending" and delivery["next_try_at"] is not None:
                load.counts["events resent"] += 1
                key = f"resend-{delivery['id']}-{number}"
                await load.call("POST", f"{path}/{delivery['id']}/resend", load.keys[account], None, key)


async def _check_overtaken(findings: Findings, scene: Scene) -> None:
    """What a frozen worker's attempt had delivered when it was overtaken is all that counts of it."""
    for (generation, attempt), delivered in scene.frozen.items():
        found = await read_generation(scene.processes, generation)
        if found is None or delivered_by(found, attempt) != delivered:
            findings.double.append(f"{generation}: attempt {attempt} delivered after it had been overtaken")


async def _audit(findings: Findings, scene: Scene) -> None:
    """Both proofs on the ledger's own keys, and when each of them will be gone."""
    processes = scene.processes
    async with processes.redis(LEDGER) as redis:
        await check_ledger(findings, redis, processes)
        contents = await read_contents(redis)
        check_lifetimes(scene.checks, contents, scene.started_ms, round(time.time() * 1000))


async def check_ledger(findings: Findings, redis: Redis | RedisCluster, processes: Audited) -> None:
    """The invariants that every ledger test checks, and `farebox audit`."""
    try:
        await check_invariants(redis, processes.ledger.partitions)
    except AssertionError as error:
        findings.differences.append(f"invariants: {error}")
    code, said = await run_audit(processes)
    if code:
        findings.differences.append(f"farebox audit ended with {code}: {said}")


def _refunds_after_a_reset(entries: list[Shown]) -> int:
    """How many refunds came when the allotment that they were drawn from was gone; entries oldest first."""
    since: dict[str, int] = {}
    resets = refunds = 0
    for entry in entries:
        resets += entry["kind"] in {"reset", "refresh"}
        if entry["kind"] == "reserve":
            since[entry["generation"]] = resets
        elif entry["kind"] == "refund":
            refunds += since.get(entry["generation"], resets) < resets
    return refunds


async def run_audit(processes: Audited) -> tuple[int, str]:
    """`farebox audit` as an operator runs it: its exit code, and what it said."""
    audit = await asyncio.create_subprocess_exec(
        *processes.command("audit", "--json"),
        env=processes.environment,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    try:
        said, _ = await audit.communicate()
    finally:
        if audit.returncode is None:
            audit.kill()
            await audit.wait()
    return audit.returncode or 0, said.decode()


async def audit_meanwhile(
    processes: Audited, audits: Counter[str], problems: list[str], every_seconds: float = _AUDIT_EVERY_SECONDS
) -> None:
    """Audit the ledger again and again while everything goes on; it may not get to an end, but must not find fault."""
    while True:
        code, said = await run_audit(processes)
        audits[_AUDITS.get(code, str(code))] += 1
        if code not in _AUDITS:
            problems.append(f"farebox audit ended with {code} during the faults: {said}")
        await asyncio.sleep(every_seconds)


def _milli(amount: Any) -> int:
    return int(Decimal(amount) * 1000)


async def _pages(load: Load, account: str, path: str) -> list[Shown]:
    """All pages of a list, newest first."""
    found: list[Shown] = []
    before = ""
    while True:
        page = (await load.call("GET", f"{path}?limit={_PAGE}{before}", load.keys[account])).body
        found += page["data"]
        if page["next"] is None:
            return found
        before = f"&before={page['next']}"
