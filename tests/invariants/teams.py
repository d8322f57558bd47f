"""Keys and members, what they may spend, and all moves that may happen next."""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import Any

from gateway.domain import LimitPeriod, Scope
from gateway.ledger.limits import Limit
from tests.invariants import scenes
from tests.invariants.cards import HOUR, MINUTE
from tests.invariants.model.life import Model
from tests.invariants.scenes import SENSIBLE, Arguments, some_account, some_key


def _limit(dice: Random) -> Limit:
    return Limit(dice.choice((0, 999, 60_000, 100_000, 150_001, 400_000)), dice.choice(list(LimitPeriod)))


def _new_key(account: str, number: int, limit: Limit | None, member: str | None = None) -> dict[str, Any]:
    made = {"key": f"fbx_{account}-{number}", "scope": Scope.ACCOUNT, "account": account, "label": None}
    return made | {"limit": limit, "member": member}


def _new_member(account: str, member: str, limit: Limit | None) -> dict[str, Any]:
    return {"account": account, "member": member, "name": "", "limit": limit}


FIRST_MEMBERS = (
    _new_member("ann", "mem_1", None), _new_member("ann", "mem_2", Limit(120_000, LimitPeriod.DAILY)),
    _new_member("eve", "mem_3", Limit(100_000, LimitPeriod.MONTHLY)),
)  # fmt: skip
FIRST_KEYS = (
    _new_key("ann", 0, Limit(100_000, LimitPeriod.DAILY)), _new_key("ann", 2, None, "mem_2"),
    _new_key("ann", 1, Limit(250_000, LimitPeriod.WEEKLY), "mem_2"), _new_key("bob", 0, None),
    _new_key("eve", 0, Limit(150_001, LimitPeriod.MONTHLY)), _new_key("eve", 1, None, "mem_3"),
)  # fmt: skip


def add_key(model: Model, dice: Random) -> Arguments:
    name = some_account(model, dice)
    return _new_key(name, dice.getrandbits(32), dice.choice((None, _limit(dice))), _member(model, dice, name))


def change_key(model: Model, dice: Random) -> Arguments:
    name = some_account(model, dice)
    key = some_key(model, dice, name)
    limit = _limit(dice) if dice.random() < SENSIBLE else "none"
    return {"account": name, "key_id": key, "limit": limit} if key else None


def revoke_key(model: Model, dice: Random) -> Arguments:
    name = some_account(model, dice)
    key = some_key(model, dice, name)
    return {"account": name, "key_id": key} if key else None


def _member(model: Model, dice: Random, account: str) -> str | None:
    """One of the account's, who may be gone; or nobody."""
    return dice.choice([None, *model.accounts[account].members])


def add_member(model: Model, dice: Random) -> Arguments:
    name = some_account(model, dice)
    return _new_member(name, f"mem_{dice.getrandbits(32)}", dice.choice((None, _limit(dice))))


def change_member(model: Model, dice: Random) -> Arguments:
    name = some_account(model, dice)
    member = _member(model, dice, name)
    limit = _limit(dice) if dice.random() < SENSIBLE else "none"
    return {"account": name, "member": member, "limit": limit} if member else None


def remove_member(model: Model, dice: Random) -> Arguments:
    name = some_account(model, dice)
    member = _member(model, dice, name)
    return {"account": name, "member": member} if member else None


def add_token(model: Model, dice: Random) -> Arguments:
    name = some_account(model, dice)
    parent = some_key(model, dice, name)
    known = [token for account, token in model.tokens if account == name]
    token = dice.choice(known) if known and dice.random() < SENSIBLE / 2 else f"tok_{dice.getrandbits(32)}"
    version = model.accounts[name].keys_version if dice.random() < SENSIBLE else 99
    if parent is None:
        return None
    return {
        "account": name, "token": token, "parent": parent, "keys_version": version,
        "millicredits": dice.choice((999, 60_000, 150_001)), "lifetime_ms": HOUR - MINUTE,
    }  # fmt: skip


def adjust_generation(model: Model, dice: Random) -> Arguments:
    """Mostly of one that was charged; otherwise of one that was corrected already, or any, which may be open."""
    everything = list(model.generations.values())
    charged = [g for g in everything if g.committed and not g.given_back]
    corrected = [g for g in everything if g.given_back]
    chosen_from = charged[-5:] if dice.random() < 0.8 else corrected or everything
    if not chosen_from:
        return None
    return {"generation": dice.choice(chosen_from).id, "operation": f"{dice.getrandbits(64):016x}", "reason": ""}


MOVES: dict[str, tuple[int, Callable[[Model, Random], Arguments]]] = scenes.MOVES | {
    "add_key": (1, add_key), "change_key": (3, change_key), "revoke_key": (1, revoke_key),
    "add_token": (2, add_token), "adjust_generation": (3, adjust_generation),
    "add_member": (1, add_member), "change_member": (2, change_member), "remove_member": (1, remove_member),
}  # fmt: skip
"""Each move: how often it is made, and how."""
