"""Clients that lose nothing by retrying, and operators who go on working: the load of a run.

A client sends a request to any gateway until it is answered, each time with the same idempotency key. What it asks for
is decided by the seed alone; what it is answered, the machine and the faults decide.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
import random
from collections import Counter, defaultdict
from collections.abc import Coroutine, Iterator
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from decimal import Decimal
from itertools import cycle
from typing import Any

import aiohttp

from chaos.given import Given
from chaos.receiver import EVENTS, Receiver
from gateway.tasks import cancel

CLIENTS = 12
ACCOUNTS = {  # name → plan; who has none gets by on the free credits and what operators grant
    **{f"free-{number}": "" for number in (1, 2)},
    **{f"small-{number}": "small" for number in (1, 2)},
    **{f"large-{number}": "large" for number in (1, 2)},
    "poor": "",
}
PROBERS = {"prober": "large", "waiter": ""}  # theirs is what `full_memory` orders: nobody else takes their places
POOR = "poor"  # never granted anything: most of what it asks for is refused
GRANTED_AT_FIRST = 2000
ACCEPTED = frozenset({200, 202})
REFUSED_FOR_GOOD = frozenset({402, 403, 429})
_OK = 200
_INSIDE = 500
_UNAVAILABLE = 503
_MISUSED = 422
_GIVE_UP_SECONDS = 480  # longer than memory is kept full if each of its probes waits in vain
_CHECK_SECONDS = 0.1
_SILENT_SECONDS = 40  # streams say something every 15 s
_GRANTS_SHARE = 0.6  # of what operators do; the rest are changes of plan
# What is asked for, and what becomes of it, in a hundred. A mural nobody can pay for.
_WISHES = {"sketch": 69, "portrait": 15, "poster": 5, "etching": 3, "clip": 4, "mural": 4}
_SHORT = {"poster", "etching", "clip", "hang", "fail at first"}
"""What the clients of a short run leave out: it may take minutes, or its next attempt waits; prints have their own."""
_TOOLS = {"clip": "video", "poster": "print", "etching": "print"}
_INPUT_SHARE = 0.5  # of portraits bring a picture along, which the gateway stores
_PICTURE = base64.b64encode(b"\x89PNG\r\n\x1a\n").decode()
_FATES = {"succeed": 61, "fail": 12, "fail at first": 10, "deliver k of n": 14, "hang": 3}
_FINAL_FAILURES = ("provider_rejected", "moderated")  # not tried again
_FAILURES = ("provider_rejected", "provider_failed", "provider_timeout", "moderated", "internal")


@dataclass(frozen=True, slots=True)
class Answer:
    """What a gateway said in the end."""

    status: int
    body: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Order:
    """One request of a client. `key` is its idempotency key, and in the generation's metadata."""

    key: str
    account: str
    body: dict[str, Any]


@dataclass(slots=True)
class Load:
    """What was asked, what was answered, what was acknowledged."""

    gateways: list[str]
    admin_key: str
    seed: int
    given: Given
    clients: int = CLIENTS
    short: bool = False
    """Nobody hangs, and nothing that takes its provider long is asked for."""
    keys: dict[str, str] = field(default_factory=dict)
    answers: Counter[str] = field(default_factory=Counter)
    orders: dict[str, Order] = field(default_factory=dict)
    acknowledged: defaultdict[str, set[str]] = field(default_factory=lambda: defaultdict(set))
    """Idempotency key → the generations that were acknowledged for it: one, or something is wrong."""
    prices: dict[str, int] = field(default_factory=dict)
    """Generation → the millicredits that it was acknowledged at."""
    quoted: set[str] = field(default_factory=set)
    """Generations that were ordered by a quote: their card may be an older one."""
    refused: dict[str, int] = field(default_factory=dict)
    granted: defaultdict[str, Counter[str]] = field(default_factory=lambda: defaultdict(Counter))
    """Account → reason of an acknowledged grant → its credits."""
    counts: Counter[str] = field(default_factory=Counter)
    problems: list[str] = field(default_factory=list)
    stopping: bool = False
    _later: set[asyncio.Task[None]] = field(default_factory=set)
    _turns: Iterator[str] = field(init=False)
    _http: aiohttp.ClientSession | None = None
    _receiver: Receiver | None = None

    def __post_init__(self) -> None:
        self._turns = cycle(self.gateways)

    async def open_alone(self) -> None:
        """Wait for the gateways."""
        self._http = aiohttp.ClientSession(
            timeout=aiohttp.ClientTimeout(total=8), connector=aiohttp.TCPConnector(limit=0)
        )
        await asyncio.gather(*map(self.is_ready, self.gateways))
        self.answers.clear()

    async def open(self, receiver: Receiver) -> None:
        """Wait for the gateways, then make the accounts, and have `receiver` told of all that they make."""
        await self.open_alone()
        self._receiver = receiver
        await asyncio.gather(*(self.join(name, plan) for name, plan in (ACCOUNTS | PROBERS).items()))
        for name in (ACCOUNTS | PROBERS).keys() - {POOR}:
            await self.grant(name, GRANTED_AT_FIRST, "at first")

    async def join(self, name: str, plan: str) -> None:
        """Make an account, and have the receiver told of its generations."""
        if self._receiver is None:
            raise RuntimeError("open it first")
        await self.make_account(name, plan)
        listener = {"url": self._receiver.url(name), "events": EVENTS}
        made = await self.call("POST", "/v1/webhooks", self.keys[name], listener, f"webhook-{name}")
        self._receiver.webhooks[name], self._receiver.secrets[name] = made.body["id"], made.body["secret"]

    async def is_ready(self, gateway: str) -> None:
        """Return when a gateway says that it is ready."""
        while True:
            answer = await self.call_once(gateway, "GET", "/readyz", key="")
            if answer is not None and answer.status == _OK:
                return
            await asyncio.sleep(_CHECK_SECONDS)

    async def close(self) -> None:
        """Hang up, whatever is still to be done."""
        await cancel(*self._later)
        if self._http is not None:
            await self._http.close()

    async def run(self) -> None:
        """Be all clients and the operators until `stopping`, then see what was begun to its end."""
        async with asyncio.TaskGroup() as everybody:
            if self.clients:
                everybody.create_task(self._operate(random.Random(f"{self.seed} operators")))
            for number in range(self.clients):
                everybody.create_task(self._be_client(number, random.Random(f"{self.seed} client {number}")))
        await asyncio.gather(*self._later)

    # --- asking -----------------------------------------------------------------------------------------------------

    async def call(
        self, method: str, path: str, key: str, body: Any = None, idempotency_key: str | None = None
    ) -> Answer:
        """Ask one gateway after the other until one answers; amounts come as Decimal."""
        loop = asyncio.get_running_loop()
        give_up, tries = loop.time() + _GIVE_UP_SECONDS, 0
        while loop.time() < give_up:
            answer = await self.call_once(
                next(self._turns), method, path, key=key, body=body, idempotency_key=idempotency_key
            )
            if answer is not None and answer.status < _INSIDE:
                return answer
            tries += 1
            await asyncio.sleep(min(0.1 * 2 ** min(tries, 4), 1))
        raise RuntimeError(f"{method} {path} was not answered for {_GIVE_UP_SECONDS} s")

    async def call_once(
        self, gateway: str, method: str, path: str, *, key: str, body: Any = None, idempotency_key: str | None = None
    ) -> Answer | None:
        """Ask one gateway once; None if there was no answer."""
        headers = {"Authorization": f"Bearer {key}"}
        if idempotency_key is not None:
            headers["Idempotency-Key"] = idempotency_key
        if self._http is None:
            raise RuntimeError("open it first")
        try:
            async with self._http.request(method, gateway + path, json=body, headers=headers) as answer:
                text = await answer.text()
                self.answers[f"{answer.status}{' replay' if 'Idempotent-Replay' in answer.headers else ''}"] += 1
                self.check_status(f"{method} {path}", answer.status)
                return Answer(answer.status, json.loads(text, parse_float=Decimal))
        except (aiohttp.ClientError, TimeoutError, OSError):
            self.answers["no answer"] += 1
            return None

    def check_status(self, what: str, status: int) -> None:
        """A gateway may be unavailable. It may not have met what nobody had thought of."""
        if status >= _INSIDE and status != _UNAVAILABLE:
            self.problems.append(f"{what} was answered {status}")

    async def download(self, url: str) -> bytes | None:
        """The bytes of an output by its signed URL; None if they are not there."""
        if self._http is None:
            raise RuntimeError("open it first")
        async with self._http.get(url) as answer:
            return await answer.read() if answer.status in ACCEPTED else None

    async def press(self, path: str, form: dict[str, str]) -> int:
        """Send a page's form until a gateway has answered it; the status."""
        if self._http is None:
            raise RuntimeError("open it first")
        while True:
            with contextlib.suppress(aiohttp.ClientError, TimeoutError, OSError):
                url = next(self._turns) + path
                async with self._http.post(url, data=form, allow_redirects=False) as answer:
                    self.check_status(f"POST {path}", answer.status)
                    if answer.status < _INSIDE:
                        return answer.status
            await asyncio.sleep(_CHECK_SECONDS)

    def stream(self, path: str, key: str, last: int) -> AbstractAsyncContextManager[aiohttp.ClientResponse]:
        """A connection to the next gateway's live events, after the `last` one; one that is silent for long is gone."""
        if self._http is None:
            raise RuntimeError("open it first")
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=8, sock_read=_SILENT_SECONDS)
        headers = {"Authorization": f"Bearer {key}"} | ({"Last-Event-ID": str(last)} if last else {})
        return self._http.get(next(self._turns) + path, headers=headers, timeout=timeout)

    async def submit(self, order: Order) -> Answer:
        """Send an order until it is answered, and remember what was acknowledged."""
        self.orders[order.key] = order
        answer = await self.call("POST", "/v1/generations", self.keys[order.account], order.body, order.key)
        if answer.status in ACCEPTED:
            self.acknowledged[order.key].add(answer.body["id"])
            self.prices.setdefault(answer.body["id"], int(Decimal(answer.body["price"]["credits"]) * 1000))
        elif answer.status in REFUSED_FOR_GOOD:
            self.refused[order.key] = answer.status
        else:
            self.problems.append(f"an order of {order.account} was answered {answer.status}: {answer.body}")
        return answer

    async def cancel(self, account: str, generation: str, idempotency_key: str | None = None) -> Answer:
        """Cancel a generation, whatever has become of it."""
        self.counts["cancels"] += 1
        path = f"/v1/generations/{generation}/cancel"
        return await self.call("POST", path, self.keys[account], None, idempotency_key or f"cancel-{generation}")

    # --- the clients ------------------------------------------------------------------------------------------------

    async def _be_client(self, number: int, dice: random.Random) -> None:
        count = 0
        while not self.stopping:
            account = dice.choice(sorted(ACCOUNTS))
            key = f"order-{number}-{count}"
            await self._one_order(Order(key, account, _wish(dice, key, short=self.short)), dice)
            count += 1
            await asyncio.sleep(dice.uniform(0.05, 0.7))

    async def _one_order(self, order: Order, dice: random.Random) -> None:
        doubled, again, misused, cancelled = (dice.random() < share for share in (0.08, 0.1, 0.03, 0.15))
        cancel_after = dice.uniform(0, 5)
        answers = [self.submit(order), self.submit(order)] if doubled else [self.submit(order)]
        answer = (await asyncio.gather(*answers))[0]
        self.counts["doubled"] += doubled
        self.counts["must be refused"] += order.body["model"] == "mural"
        if order.body["model"] == "mural" and answer.status in ACCEPTED:
            self.problems.append(f"{order.account} got what nobody can pay for")
        if answer.status not in ACCEPTED:
            return
        if again:
            self.counts["replays"] += 1
            await self.submit(order)
        if misused:
            await self._misuse(order)
        if cancelled:
            self._in_background(self._cancel_later(order.account, answer.body["id"], cancel_after))

    async def _misuse(self, order: Order) -> None:
        other = {**order.body, "prompt": "something else"}
        answer = await self.call("POST", "/v1/generations", self.keys[order.account], other, order.key)
        if answer.status != _MISUSED:
            self.problems.append(f"a key used for another body was answered {answer.status}")

    async def _cancel_later(self, account: str, generation: str, seconds: float) -> None:
        await asyncio.sleep(seconds)
        answer = await self.cancel(account, generation)
        if answer.status not in ACCEPTED:
            self.problems.append(f"cancelling {generation} was answered {answer.status}")

    def _in_background(self, work: Coroutine[Any, Any, None]) -> None:
        self._later.add(asyncio.create_task(work))

    # --- the operators ----------------------------------------------------------------------------------------------

    async def make_account(self, name: str, plan: str) -> None:
        """An account, on a plan if one is given, with a key."""
        path = f"/v1/admin/accounts/{name}"
        await self.operate("PUT", path, {}, f"make {name}")
        if plan:
            await self.operate("PUT", f"{path}/subscription", {"plan": plan, "interval": "monthly"}, f"plan {name}")
            self.given.plan(name, plan)
        while name not in self.keys:  # a key is shown once: if that answer was lost, another is made
            self.counts["keys"] += 1
            made = await self.operate("POST", f"{path}/keys", {}, f"key {name} {self.counts['keys']}")
            if made.body.get("key"):
                self.keys[name] = made.body["key"]
            elif self.problems:
                raise RuntimeError(self.problems[0])

    async def grant(self, account: str, amount: int, reason: str) -> None:
        """Grant top-up credits; acknowledged, they must be there exactly once."""
        body = {"bucket": "top_up", "credits": amount, "reason": reason}
        await self.operate("POST", f"/v1/admin/accounts/{account}/grants", body, f"grant {account} {reason}")
        self.granted[account][reason] += amount
        self.given.grant(account, "top_up", amount * 1000)
        self.counts["grants"] += 1

    async def _operate(self, dice: random.Random) -> None:
        number = 0
        while not self.stopping:
            number += 1
            account = dice.choice(sorted(ACCOUNTS.keys() - {POOR}))
            if dice.random() < _GRANTS_SHARE:
                await self.grant(account, dice.randint(1, 60), f"number {number}")
            elif ACCOUNTS[account]:
                plan = {"plan": dice.choice(["small", "large"]), "when": dice.choice(["now", "period_end"])}
                path = f"/v1/admin/accounts/{account}/subscription"
                await self.operate("PATCH", path, plan, f"change {number}")
                if plan["when"] == "now":
                    self.given.plan(account, plan["plan"])
                self.counts["plan changes"] += 1
            await asyncio.sleep(dice.uniform(0.3, 1.5))

    async def operate(self, method: str, path: str, body: Any, idempotency_key: str) -> Answer:
        """A call of an operator's, which must be accepted."""
        answer = await self.call(method, path, self.admin_key, body, idempotency_key.replace(" ", "-"))
        if answer.status not in ACCEPTED | {201}:
            self.problems.append(f"{method} {path} was answered {answer.status}: {answer.body}")
        return answer


def _wish(dice: random.Random, key: str, *, short: bool) -> dict[str, Any]:
    """What a client asks for: mostly images, some of which fail, hang, come late or not all."""
    body: dict[str, Any] = {"prompt": f"chaos {key}", "metadata": {"key": key}}
    wish = _drawn(dice, {name: share for name, share in _WISHES.items() if not (short and name in _SHORT)})
    body |= {"tool": _TOOLS.get(wish, "image"), "model": wish}
    match wish:
        case "mural":
            return body
        case "clip":
            return {**body, "settings": {"duration": dice.choice([1, 2])}}
        case "poster" | "etching":  # what becomes of it is the provider's to decide
            return {**body, "outputs": dice.randint(1, 3)}
        case _:
            outputs = dice.randint(1, 4)
            if wish == "portrait" and dice.random() < _INPUT_SHARE:
                body["inputs"] = [{"kind": "image", "url": f"data:image/png;base64,{_PICTURE}"}]
            return {**body, "outputs": outputs, "sandbox": _sandbox(dice, outputs, short=short)}


def _sandbox(dice: random.Random, outputs: int, *, short: bool) -> dict[str, Any]:
    sandbox: dict[str, Any] = {"delay_seconds": round(dice.choice([0, 0, 0.5, 1, 2, 4]) * dice.random(), 3)}
    delivered = dice.randint(1 if short else 0, outputs)
    match _drawn(dice, {name: share for name, share in _FATES.items() if not (short and name in _SHORT)}):
        case "fail":
            sandbox |= {"fail": dice.choice(_FINAL_FAILURES if short else _FAILURES), "deliver": delivered}
        case "fail at first":
            sandbox |= {"fail": "provider_failed", "fail_attempts": dice.randint(1, 2), "deliver": delivered}
        case "deliver k of n":
            sandbox["deliver"] = delivered
        case "hang":
            sandbox |= {"hang": True, "deliver": delivered}
    return sandbox


def _drawn(dice: random.Random, shares: dict[str, int]) -> str:
    return dice.choices(list(shares), list(shares.values()))[0]
