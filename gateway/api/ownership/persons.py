"""Erasing an account's person (R38): in small steps, each noted, so that any call continues where the last ended."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from time import monotonic
from zoneinfo import ZoneInfo

from aiohttp import web

from gateway.api.access.auth import found
from gateway.api.errors import InvalidRequest
from gateway.api.ownership.own_usage import days_until, today
from gateway.api.services import LEDGER, OUTPUTS, RATE_CARDS
from gateway.domain import State
from gateway.errors import StoreUnavailable
from gateway.ledger import outcomes
from gateway.ledger.webhooks import DEFAULT
from gateway.settings import DAYS_MAX

CALL_SECONDS = 10.0
_PAGE = 100
_OPEN = (State.WAITING, State.QUEUED, State.RUNNING)
_ADMIN = "admin"
"""The scope of operators' idempotency keys (`Caller.idempotency_scope`)."""


@dataclass(frozen=True, slots=True)
class Erased:
    """How far an erasure has come: `open` generations have been cancelled, but not all have ended."""

    open: int
    done: bool


class Erasure:
    """One call's part of an erasure. It takes at most `CALL_SECONDS`, plus the step that it is at then."""

    def __init__(self, request: web.Request, account: str) -> None:
        self._ledger = request.app[LEDGER]
        self._store = request.app[OUTPUTS]
        self._zone = request.app[RATE_CARDS].card.free.timezone
        self._account = account
        self._until = monotonic() + CALL_SECONDS

    async def run(self) -> Erased:
        """Erase, or continue to. NotFound; InvalidRequest if the payment provider would go on charging the person."""
        account = await self._read()
        subscription = account.subscription
        if subscription is not None and subscription.billing is not None and subscription.cancelled_to is None:
            raise InvalidRequest(
                "The payment provider still renews this account's subscription, and would go on charging a person who "
                "no longer has an account. Cancel it there first, then erase again. Nothing was erased."
            )
        await self._ledger.erase_account(account, finished=False)  # from now on, nothing new is made with its keys
        if remaining := await self._end_generations():
            return Erased(remaining, done=False)
        await self._delete_webhooks()  # now: the last end may have been sent to a URL of its request
        while True:  # at least one step, or an account with thousands of webhooks would never come to it
            phase, _, cursor = (await self._ledger.erasing(account=self._account) or "").partition(" ")
            following = await self._step(phase, cursor)
            if following is None and await self._anything_new():
                await self._ledger.note_erasing(account=self._account, progress="generations")
                return Erased(0, done=False)
            if following is None:
                await self._ledger.erase_account(await self._read(), finished=True)
                return Erased(0, done=True)
            await self._ledger.note_erasing(account=self._account, progress=following)
            if monotonic() >= self._until:
                return Erased(0, done=False)

    async def _read(self) -> outcomes.Account:
        return found(await self._ledger.account(account=self._account), f"account {self._account}")

    async def _end_generations(self) -> int:
        """Cancel what is open; how many of them have not ended: those that run, until their workers stop."""
        for state in _OPEN:
            before: str | None = None
            while True:
                page = found(
                    await self._ledger.generations(
                        account=self._account, keys_version=None, limit=_PAGE, before=before, state=state
                    ),
                    f"account {self._account}",
                )
                await asyncio.gather(*(self._ledger.cancel(generation=one.id) for one in page.data))
                before = page.next
                if before is None or monotonic() >= self._until:
                    break
        account = await self._read()
        return sum(account.in_work.values()) + sum(account.waiting.values())

    async def _delete_webhooks(self) -> None:
        listed = [webhook.id for webhook in await self._ledger.webhooks(account=self._account)]
        for webhook in (*listed, DEFAULT):
            await self._ledger.unlisten(webhook=webhook, account=self._account)

    async def _anything_new(self) -> bool:
        """Whether something was generated after the first step: an operator may have made a key meanwhile."""
        await self._ledger.erase_account(await self._read(), finished=False)  # so that there is no more
        newest = await self._ledger.generations(account=self._account, keys_version=None, limit=1)
        return isinstance(newest, outcomes.Page) and any(not one.request.erased for one in newest.data)

    async def _step(self, phase: str, cursor: str) -> str | None:
        """One step; where the next one begins, or None after the last."""
        match phase:
            case "" | "generations":
                after = await self._some_generations(cursor or None)
                return "purchases" if after is None else f"generations {after}"
            case "purchases":
                after = await self._some_purchases(cursor or None)
                return "tags" if after is None else f"purchases {after}"
            case "tags":
                zone = ZoneInfo(self._zone)
                days = days_until(today(await self._read(), zone), DAYS_MAX)
                await self._ledger.erase_tags(account=self._account, days=days)
                return "responses 0"
            case "responses":
                at = await self._ledger.erase_responses(scope=self._account, naming="", cursor=int(cursor))
                return f"responses {at}" if at else "operators 0"
            case _:
                at = await self._ledger.erase_responses(scope=_ADMIN, naming=f'"{self._account}"', cursor=int(cursor))
                return f"operators {at}" if at else None

    async def _some_generations(self, before: str | None) -> str | None:
        page = await self._ledger.generations(account=self._account, keys_version=None, limit=_PAGE, before=before)
        if not isinstance(page, outcomes.Page):
            return None  # the generation to continue after has left the list, and so has all before it
        await self._delete_files(page.data)
        await asyncio.gather(*map(self._ledger.erase_generation, page.data))
        return page.next

    async def _delete_files(self, generations: Sequence[outcomes.Generation]) -> None:
        """Delete their inputs and outputs from the store. StoreUnavailable: a later call tries again."""
        with_files = [one.id for one in generations if not one.outputs_deleted and (one.attempt or one.request.inputs)]
        deleted = await self._store.delete_generations(with_files)
        await asyncio.gather(*(self._ledger.outputs_deleted(generation=one) for one in deleted))
        if len(deleted) < len(with_files):
            msg = f"files of {len(with_files) - len(deleted)} generations could not be deleted"
            raise StoreUnavailable(msg)

    async def _some_purchases(self, before: str | None) -> str | None:
        page = await self._ledger.purchases(account=self._account, limit=_PAGE, before=before)
        if not isinstance(page, outcomes.Page):
            return None
        for purchase in page.data:
            await self._ledger.erase_purchase(account=self._account, checkout=purchase.checkout.id)
        return page.next
