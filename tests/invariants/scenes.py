"""Where examples take place, and what may happen next: small amounts and tight limits, so that every rule is met.

Each function of `MOVES` makes one step at random, mostly a sensible one; None: there is nothing to do it with.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal
from fractions import Fraction
from random import Random
from typing import Any

from gateway.domain import (
    Bucket,
    Cost,
    FailureCode,
    GenerationRequest,
    Interval,
    Output,
    generation_id,
    partition_of_account,
)
from gateway.ledger.accounts import key_id_of
from gateway.metering import MILLIONTHS, NANOCREDITS_PER_MILLICREDIT, Meter, Metering, Reports, Unit
from tests.invariants.cards import CARDS, HOUR, MINUTE, SECOND, START, TERMS
from tests.invariants.model.credits import Account
from tests.invariants.model.generations import OPEN, Generation
from tests.invariants.model.keys import ends
from tests.invariants.model.life import DAY, Model

PARTITIONS = 2
LONGEST = 300 * DAY  # an example is shorter than the 400 days after which a journal is trimmed
ACCOUNTS = ("ann", "bob", "eve")  # bob and eve share a partition
TOOLS = ("image", "video")
PRICES = (0, 1, 7, 999, 10_000, 33_333, 60_000, 100_000, 150_001)

JOBS = ("job-1", "job-2")
SENSIBLE = 0.92
LEAPS = (1, SECOND, 2 * SECOND, 10 * SECOND, 30 * SECOND, MINUTE, HOUR, DAY // 2, DAY, 31 * DAY)

Arguments = dict[str, Any] | None
Moves = dict[str, tuple[int, Callable[[Model, Random], Arguments]]]


# --- what there is to choose from ---


def _some(model: Model, dice: Random, *states: str) -> Generation | None:
    """Mostly one in one of these states, if there is one: of the oldest, so that they come to their end."""
    all_of_them = list(model.generations.values())
    fitting = [g for g in all_of_them if g.state in (states or OPEN)][: dice.choice((2, 3, 9))]
    chosen_from = fitting if dice.random() < SENSIBLE else all_of_them
    return dice.choice(chosen_from) if chosen_from else None


def _attempt(model: Model, dice: Random, *states: str, ahead: int = 0) -> Arguments:
    """A generation and mostly the right number of an attempt at it."""
    g = _some(model, dice, *states)
    right = dice.random() < SENSIBLE
    off = ahead if right else dice.choice((-1, 0, 1, 2))
    return {"generation": g.id, "attempt": max(0, g.attempt + off)} if g else None


def _operation(dice: Random) -> dict[str, str]:
    return {"operation": f"{dice.getrandbits(64):016x}"}


def some_account(model: Model, dice: Random, *, subscribed: bool = False) -> str:
    """Mostly one with a plan, if that is asked for; and the first more often, so that its limits are met."""
    first, *others = model.accounts
    found = [name for name, a in model.accounts.items() if a.subscription] if subscribed else []
    return dice.choice(found if found and dice.random() < SENSIBLE else [first, first, first, *others])


def some_key(model: Model, dice: Random, account: str) -> str | None:
    """Mostly one of the account's, and of these the first more often, so that its limit is met."""
    own = list(model.accounts[account].keys)
    others = [None, key_id_of("fbx_nobody's")]
    return dice.choice([own[0], *own] if own and dice.random() < SENSIBLE else others)


def _on_account(model: Model, dice: Random, *, subscribed: bool = False, **asked: Any) -> dict[str, Any]:
    return {"account": some_account(model, dice, subscribed=subscribed), **_operation(dice), **asked}


def _milliseconds_to(moments: list[int], now: int, dice: Random) -> int:
    """A leap, or until something is due: to the millisecond, or one less or more."""
    ahead = [moment - now for moment in moments if moment > now]
    if ahead and dice.random() < 0.8:
        return max(1, dice.choice(ahead) + dice.choice((0, 0, 0, -1, 1)))
    return dice.choice(LEAPS)


def _account_moments(model: Model, account: str) -> list[int]:
    a = model.accounts[account]
    moments = [grant.expires for grant in a.grants.values() if grant.expires]
    if a.day:
        moments += [ends(model.policy, period, a.day[0]) or 0 for period in ("daily", "weekly", "monthly")]
    if a.subscription:
        moments += [a.subscription.refreshes, a.subscription.ends or 0, a.subscription.period_end]
    return moments


def _bucket(dice: Random) -> Bucket:
    return dice.choice(list(Bucket))


def _plan(dice: Random) -> str:
    return "never-heard-of" if dice.random() > SENSIBLE else dice.choice(("standard", "pro"))


def _when(now: int, dice: Random) -> int | None:
    return dice.choice((None, None, now + dice.choice((-40 * DAY, -DAY, 0, 1, HOUR, 31 * DAY, 100 * DAY))))


def _account_now(model: Model, account: str) -> int:
    a = model.accounts[account]
    return max(a.time, model.clock + a.offset)


# --- generations ---


def _price(a: Account, dice: Random) -> int:
    """Any; or so much that it is drawn from several grants, up to all that there is and one more."""
    share = dice.choice((0, 0, 0, 0, 2, 3, 3, 5))
    return max(0, a.available() * share // 5 + dice.choice((-1, 0, 1))) if share else dice.choice(PRICES)


def reserve(model: Model, dice: Random) -> Arguments:
    account = some_account(model, dice)
    tool, outputs, price = dice.choice(TOOLS), dice.choice((1, 2, 3, 3)), _price(model.accounts[account], dice)
    settings: dict[str, Any] = {"resolution": dice.choice(("480p", "1080p"))} if dice.random() < 0.3 else {}
    request = GenerationRequest(
        tool=tool, model=dice.choice(("plain", "fancy")), provider="sandbox", prompt="", settings=settings,
        outputs=outputs, price_millicredits=price, metering=_metering(price, outputs, dice),
        rate_card=model.policy.version,
        tags=dice.choice(({}, {}, {"project": "a"}, {"project": "b", "team|x": "a|b"})),
    )  # fmt: skip
    digest = dice.choice("abcdefgh")
    tokens = [token for owner, token in model.tokens if owner == account]
    return {
        "account": account,
        "generation": generation_id(partition_of_account(account, PARTITIONS), str(dice.getrandbits(64))),
        "request": request, "terms": dice.choice(TERMS), "pro": dice.random() < 0.08, "keys_version": None,
        "idempotency": (f"key-{digest}", dice.choice(("this", "this", "that"))) if dice.random() < 0.2 else None,
        "key": some_key(model, dice, account), "token": dice.choice([None, *tokens]), **_operation(dice),
    }  # fmt: skip


def _metering(price: int, outputs: int, dice: Random) -> Metering | None:
    """R29: sometimes a part of the price, or all of it, is charged by what is reported."""
    if dice.random() < 0.6:
        return None
    fixed = price * NANOCREDITS_PER_MILLICREDIT * dice.choice((0, 0, 1)) // 3
    units = dice.choice(((Unit.SECONDS,), (Unit.SECONDS, Unit.TOKENS)))
    each = (price * NANOCREDITS_PER_MILLICREDIT - fixed) // (30 * outputs * len(units))
    meters = (Meter(unit, each, 30 * MILLIONTHS, dice.choice((0, 10, 30)) * MILLIONTHS) for unit in units)
    return Metering(fixed, tuple(meters), 0)


def begin(model: Model, dice: Random) -> Arguments:
    parked = [g for g in model.generations.values() if g.parked]
    if parked and dice.random() < 0.3:
        g = dice.choice(parked)
        return {"generation": g.id, "attempt": g.attempt + 1} | _operation(dice)
    chosen = _attempt(model, dice, "queued", ahead=1)
    return chosen and chosen | _operation(dice)


def note(model: Model, dice: Random) -> Arguments:
    chosen = _attempt(model, dice, "running")
    return chosen and chosen | {"ref": dice.choice(JOBS)}


def call_back(model: Model, dice: Random) -> Arguments:
    """Mostly of one that runs and whose provider has a job, and about that one."""
    with_ref = [g for g in model.generations.values() if g.state == "running" and g.ref]
    g = dice.choice(with_ref) if with_ref and dice.random() < SENSIBLE else _some(model, dice)
    if not g:
        return None
    return {"generation": g.id, "job": g.ref if g.ref and dice.random() < 0.7 else dice.choice((*JOBS, "job-3"))}


def progress(model: Model, dice: Random) -> Arguments:
    """Mostly of one that is parked, and about its job."""
    with_ref = [g for g in model.generations.values() if g.parked]
    g = dice.choice(with_ref) if with_ref and dice.random() < SENSIBLE else _some(model, dice)
    job = g.ref if g and g.ref and dice.random() < SENSIBLE else dice.choice(JOBS)
    return {"generation": g.id, "job": job, "thousandths": dice.choice((1, 250, 500, 750))} if g else None


def renew(model: Model, dice: Random) -> Arguments:
    chosen = _attempt(model, dice, "running")
    return chosen and chosen | {"progress_thousandths": dice.choice((None, 1, 500))}


def deliver(model: Model, dice: Random) -> Arguments:
    chosen = _attempt(model, dice, "running")
    if not chosen:
        return None
    asked_for = model.generations[chosen["generation"]].request.outputs
    index = dice.randrange(asked_for) if dice.random() < SENSIBLE else 3
    said: Reports = dice.choice(({}, {Unit.SECONDS: 3 * MILLIONTHS}, {Unit.SECONDS: 1, Unit.TOKENS: 29_999_999},
                        {Unit.TOKENS: 31 * MILLIONTHS}, {Unit.SECONDS: None}))  # fmt: skip
    output = Output(
        index=index, object_key="out", content_type="image/png", bytes=3, width=16, height=9, sha256="00", reports=said,
        cost=_costs(model, chosen)[index],
    )  # fmt: skip
    return chosen | {"output": output}


def _costs(model: Model, chosen: dict[str, Any]) -> tuple[Cost | None, ...]:
    """R31: known or not, assumed or reported; by the generation's id, not the dice, which all mutants count on."""
    g = model.generations[chosen["generation"]]
    known = (None, Cost(g.provider, 1_000_003), Cost(g.provider, 50, 60), Cost(g.provider, None, 7))
    first = sum(map(ord, g.id)) + chosen["attempt"]
    return tuple(known[(first + index) % len(known)] for index in range(len(known)))


def settle(model: Model, dice: Random) -> Arguments:
    chosen = _attempt(model, dice, "running")
    failure = dice.choice((None, None, None, *(FailureCode.PROVIDER_FAILED,) * 3, FailureCode.MODERATED))
    if not chosen:
        return None
    lost = [cost for cost in _costs(model, chosen)[:2] if cost] if failure else []
    return chosen | _operation(dice) | {"failure": failure, "lost": lost}


def park(model: Model, dice: Random) -> Arguments:
    with_ref = [g for g in model.generations.values() if g.state == "running" and g.ref]
    if dice.random() > SENSIBLE:
        return hand_back(model, dice)  # it may have no ref, or may not run
    called_back = [g for g in with_ref if g.called_back == g.ref]  # what is rare comes first
    g = dice.choice(called_back or with_ref) if with_ref else None
    said = {"progress_thousandths": dice.choice((None, 1, 500)), "poll_ms": dice.choice((None, 7 * SECOND, MINUTE))}
    return {"generation": g.id, "attempt": g.attempt} | _operation(dice) | said if g else None


def hand_back(model: Model, dice: Random) -> Arguments:
    chosen = _attempt(model, dice, "running")
    return chosen and chosen | _operation(dice)


def wait_for_slot(model: Model, dice: Random) -> Arguments:
    return _attempt(model, dice, "queued", ahead=1)


def cancel(model: Model, dice: Random) -> Arguments:
    g = _some(model, dice)
    return {"generation": g.id, "account": dice.choice((None, g.account, g.account, "eve"))} if g else None


def dispatched(model: Model, dice: Random) -> Arguments:
    g = _some(model, dice, "queued")
    return {"generation": g.id, "deadline": g.deadline - dice.choice((0, 0, 0, 1))} if g else None


def rescue(model: Model, dice: Random) -> Arguments:
    overdue = [g for g in model.generations.values() if g.state in OPEN and g.deadline <= model.clock][:3]
    g = dice.choice(overdue) if overdue and dice.random() < SENSIBLE else _some(model, dice)
    if not g:
        return None
    deadline = g.deadline if dice.random() < SENSIBLE else g.deadline - 1
    return {"generation": g.id, "deadline": deadline, "judge_leases": dice.random() < 0.8}


# --- time, and the rate card ---


def pass_time(model: Model, dice: Random) -> Arguments:
    moments = [g.deadline for g in model.generations.values() if g.state in OPEN]
    moments += [g.give_up_at for g in model.generations.values() if g.state == "running"]
    moments += [g.not_before for g in model.generations.values() if g.state == "queued"]
    milliseconds = _milliseconds_to(moments, model.clock, dice)
    return {"milliseconds": milliseconds} if model.clock + milliseconds < START + LONGEST else None


def advance(model: Model, dice: Random) -> Arguments:
    account = some_account(model, dice)
    milliseconds = _milliseconds_to(_account_moments(model, account), _account_now(model, account), dice)
    return {"account": account, **_operation(dice), "advance_ms": milliseconds}


def publish(model: Model, dice: Random) -> Arguments:
    newer = model.policy.file_time_ms + dice.choice((-1, 0, 1, 1, 1, 1))
    policy = replace(dice.choice(CARDS), file_time_ms=newer)
    policy = replace(policy, daily_millicredits=dice.choice((0, policy.daily_millicredits)))
    policy = replace(policy, spent_is_owed=dice.random() < SENSIBLE / 2, free_for_verified=dice.random() < SENSIBLE / 2)
    return {"policy": policy}


def put_account(model: Model, dice: Random) -> Arguments:
    return {"account": some_account(model, dice), "free_credits": dice.choice((None, True, True, False))}


# --- accounts ---


def account(model: Model, dice: Random) -> Arguments:
    return {"account": dice.choice([*model.accounts, "nobody"])}


def grant(model: Model, dice: Random) -> Arguments:
    chosen = _on_account(model, dice, bucket=_bucket(dice), millicredits=dice.choice((1, 5_000, 50_000)), reason="")
    paid = (None, 0, 5_000_000)[int(chosen["operation"], 16) % 3]  # R31
    return chosen | {"expires_at": _when(_account_now(model, chosen["account"]), dice), "paid_micro": paid}


def adjust(model: Model, dice: Random) -> Arguments:
    amount = dice.choice((-100_001, -5_000, -1, 1, 30_000))
    return _on_account(model, dice, bucket=_bucket(dice), millicredits=amount, reason="")


def subscribe(model: Model, dice: Random) -> Arguments:
    chosen = _on_account(model, dice, plan=_plan(dice), interval=dice.choice(list(Interval)))
    now = _account_now(model, chosen["account"])
    own = model.accounts[chosen["account"]].subscription
    started_at = own.anchor if own and dice.random() < 0.2 else _when(now, dice)
    return chosen | {"started_at": started_at, "paid_through": _when(now, dice)}


def change(model: Model, dice: Random) -> Arguments:
    interval = dice.choice((None, *Interval))
    when = dice.choice(("now", "period_end"))
    return _on_account(model, dice, subscribed=True, plan=_plan(dice), interval=interval, when=when)


def unsubscribe(model: Model, dice: Random) -> Arguments:
    return _on_account(model, dice, subscribed=True, when=dice.choice(("now", "period_end")))


def resume(model: Model, dice: Random) -> Arguments:
    return _on_account(model, dice, subscribed=True)


def check_out(model: Model, dice: Random) -> Arguments:
    return {
        "account": some_account(model, dice, subscribed=True), "checkout": f"chk_{len(model.checkouts)}",
        "keys_version": None, "kind": "bundle", "what": "small", "interval": None, "name": "Small",
        "millicredits": 70_001, "price": Decimal(5), "currency": "USD", "provider": "local", "live": False,
    }  # fmt: skip


def _purchase(model: Model, dice: Random) -> Arguments:
    if not model.checkouts:
        return None
    name, checkout = dice.choice(list(model.checkouts))
    return {"account": name, "checkout": checkout}


def pay(model: Model, dice: Random) -> Arguments:
    chosen = _purchase(model, dice)
    return chosen and chosen | {"ref": "pi_1"}


def decline(model: Model, dice: Random) -> Arguments:
    return _purchase(model, dice)


def take_back(model: Model, dice: Random) -> Arguments:
    chosen = _purchase(model, dice)
    of, at = dice.choice(("charge", "refund:re_1", "dispute:dp_1", "dispute:dp_2")), dice.randint(1, 20)
    made = max(0, at - dice.randint(0, 3)) if of.startswith("refund:") and dice.random() < SENSIBLE / 2 else None
    part = dice.choice((Fraction(0), Fraction(1, 3), Fraction(1, 2), Fraction(1)))
    return chosen and chosen | {"part": part, "of": of, "at": at, "made": made}


MOVES: Moves = {
    "reserve": (13, reserve), "begin": (14, begin), "note": (8, note), "renew": (4, renew), "deliver": (14, deliver),
    "settle": (9, settle), "park": (7, park), "call_back": (5, call_back), "progress": (3, progress),
    "hand_back": (3, hand_back), "wait_for_slot": (2, wait_for_slot), "cancel": (3, cancel),
    "dispatched": (3, dispatched),
    "rescue": (11, rescue), "pass_time": (8, pass_time), "advance": (6, advance),
    "publish": (1, publish), "put_account": (1, put_account), "account": (2, account), "grant": (4, grant),
    "adjust": (2, adjust),
    "subscribe": (4, subscribe), "change": (3, change), "unsubscribe": (2, unsubscribe), "resume": (1, resume),
    "check_out": (2, check_out), "pay": (3, pay), "decline": (1, decline), "take_back": (2, take_back),
}  # fmt: skip
"""Each move: how often it is made, and how; those of keys and members are in `teams`."""
