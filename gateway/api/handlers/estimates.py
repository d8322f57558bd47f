"""Estimates: what a month would cost, from items or from the last 30 days, and which plans cover it (R20).

Estimates need no key, because the rate card is public. With an account's key, the response also says what the account's
plan allows, and `from` can use its usage.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import replace
from decimal import Decimal
from math import prod
from zoneinfo import ZoneInfo

from aiohttp import web

from gateway.api.access.auth import ACCOUNT_CALLER, CALLER
from gateway.api.errors import InvalidKey, InvalidRequest
from gateway.api.http.parse import read_body
from gateway.api.http.respond import answer
from gateway.api.ordering.refusals import refusal_of_request
from gateway.api.ownership.own_usage import DEFAULT_DAYS, days_until, grouped, today, usage_of
from gateway.api.ownership.target_account import own, own_account
from gateway.api.services import RATE_CARDS
from gateway.clock import now_ms
from gateway.errors import FieldProblem, RequestRefused
from gateway.ledger import outcomes
from gateway.ledger.sums import Counts
from gateway.ledger.volumes import ordered_this_month
from gateway.pricing.card import RateCard
from gateway.pricing.discounts import NO_PLAN, discounts_of
from gateway.pricing.estimates import DEFAULT_BUFFER, Item, Run, estimate, priced_item
from gateway.schemas import estimates as estimate_schemas
from gateway.views.estimates import estimate_shape


async def create(request: web.Request) -> web.Response:
    """`POST /v1/estimates`: never refused because of the plan or missing credits."""
    body = await read_body(request, estimate_schemas.EstimateIn)
    _check_source(request, body)
    account = await own_account(request) if _has_account(request) else None
    priced_for = NO_PLAN if account is None else account.priced_for
    card = request.app[RATE_CARDS].at(now_ms() if account is None else account.now)
    if account is not None and body.source is not None:
        items = await _used_items(request, account, card)
    else:
        items = list(_asked_items(card, body.items or (), account))
    buffer = DEFAULT_BUFFER if body.buffer is None else body.buffer
    return answer(estimate_shape(card, estimate(card, items, buffer, priced_for), buffer, priced_for.plan))


def _has_account(request: web.Request) -> bool:
    return ACCOUNT_CALLER in request


def _check_source(request: web.Request, body: estimate_schemas.EstimateIn) -> None:
    if (body.items is None) == (body.source is None):
        text = "is required, unless `from` is given"
        raise InvalidRequest(f"`items` {text}.", fields=[FieldProblem("items", text)])
    if body.source is None or _has_account(request):
        return
    if CALLER not in request:
        raise InvalidKey(
            "An estimate from the last 30 days requires the key of the account whose usage it is based on."
        )
    text = "requires an account's key: operators have no usage of their own"
    raise InvalidRequest(f"`from` {text}.", fields=[FieldProblem("from", text)])


def _asked_items(
    card: RateCard, asked: Sequence[estimate_schemas.EstimateItemIn], account: outcomes.Account | None
) -> Iterator[Item]:
    """The items at the account's prices, one after the other; errors have the item's path in the body."""
    priced_for = NO_PLAN if account is None else account.priced_for
    above = defaultdict[str, int](int)  # model → how many outputs
    for index, item in enumerate(asked):
        ordered = 0 if account is None else ordered_this_month(account, item.model, card.free.timezone)
        try:
            yield priced_item(
                card,
                tool=item.tool,
                model=item.model,
                settings=item.settings,
                outputs=item.outputs,
                per_day=item.per_day,
                days=item.days,
                account=priced_for,
                ordered=ordered,
                ordered_above=above[item.model],
            )
        except RequestRefused as refused:
            refusal = refusal_of_request(refused)
            problems = [replace(problem, path=f"items.{index}.{problem.path}") for problem in refused.problems]
            raise type(refusal)(refusal.message, fields=problems) from None
        above[item.model] += int(item.per_day * item.days) * item.outputs


async def _used_items(request: web.Request, account: outcomes.Account, card: RateCard) -> list[Item]:
    """The account's last 30 days, including today: one item per model, at its actual average cost."""
    last = today(account, ZoneInfo(card.free.timezone))
    used = await grouped(usage_of(request, own(request), days_until(last, DEFAULT_DAYS)), ("tool", "model"))
    return [
        _used_item(card, account, str(tool), str(model), counts)
        for (tool, model), counts in used.items()
        if counts.outputs
    ]


def _used_item(card: RateCard, account: outcomes.Account, tool: str, model: str, counts: Counts) -> Item:
    """What it was on average; without the discounts of now, as if these had been in force all the time."""
    unit = Decimal(counts.credits_millicredits) / counts.outputs
    discounts = discounts_of(card, account.priced_for, tool=tool, model=model)
    factor = prod((one.factor for one in discounts), start=Decimal(1))
    list_unit = unit / factor if factor else unit
    return Item(
        tool=tool,
        model=model,
        settings={},
        outputs=1,
        per_day=Decimal(counts.outputs) / DEFAULT_DAYS,
        days=DEFAULT_DAYS,
        unit_millicredits=unit,
        millicredits=counts.credits_millicredits,
        list_millicredits=list_unit,
        runs=(Run(Decimal(counts.outputs), unit, list_unit),),
        discounts=discounts,
    )
