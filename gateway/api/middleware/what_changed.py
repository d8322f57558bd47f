"""What an operator's call is about, and its state as named values, compared for the audit log.

A state is what callers are shown of it, so a member that is added there is in the audit log too. Left out is what says
nothing of the change (clocks, last uses, work in progress), and what must not be kept for long (`WITHHELD`).
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from itertools import islice
from typing import Any

from aiohttp import web

from gateway.api.access.auth import CALLER
from gateway.api.ordering.retries import retry_id
from gateway.api.services import LEDGER
from gateway.domain import is_webhook_id, millicredits_to_credits
from gateway.ledger import outcomes
from gateway.schemas.base import as_number, utc
from gateway.views.accounts import account_shape, key_shape
from gateway.views.webhooks import webhook_shape

WITHHELD = frozenset({"email", "metadata", "url", "label", "name", "description", "networks"})
"""Told is only that they changed: they are of a person, or may hold a password."""
_WITHHELD = "(withheld)"
_SAYS_NOTHING = frozenset(
    {"object", "clock.now", "balance.grants", "last_used_at", "in_work", "waiting", "journal", "generations"}
)
_MEMBERS_MAX = 100  # before a call, of an account with hundreds of keys
_TEXT_MAX = 200

State = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Subject:
    """What a call is about: `state` says whose state it changes, `of` its id there; `id` names the thing itself."""

    state: str
    of: str
    id: str


def subject_in_path(request: web.Request, account: str | None) -> Subject | None:
    """What the path names; None if it names nothing. A key of an account is a part of the account's state.

    `account` is that of the caller, None: an operator.
    """
    named = dict(request.match_info)
    if account is not None and "webhook" not in named:
        return Subject("account", account, next(reversed(named.values()), account))
    for state in STATES:
        if state in named:
            return Subject(state, named[state], list(named.values())[-1])
    return None


def subject_made(request: web.Request, response: web.StreamResponse) -> Subject | None:
    """What a call made whose path names nothing: by the `id` in its response."""
    text = response.text if isinstance(response, web.Response) else None
    made = json.loads(text).get("id") if text and response.content_type == "application/json" else None
    state = _MADE_BY.get(request.path)
    return Subject(state, made, made) if state is not None and isinstance(made, str) else None


async def state_of(request: web.Request, subject: Subject | None) -> State:
    """Its state by name, `balance.available`; empty if it does not exist. LedgerUnavailable."""
    return {} if subject is None else _flat(await STATES[subject.state](request, subject.of))


def changed(before: State, after: State) -> tuple[State, State]:
    """What differs, as it was and as it is."""
    names = [name for name in {**before, **after} if before.get(name) != after.get(name)]
    was, became = ({name: _shown(name, state[name]) for name in names if name in state} for state in (before, after))
    return was, became


def kept(state: State) -> State:
    """A whole state, as an entry may hold it."""
    return {name: _shown(name, value) for name, value in islice(state.items(), _MEMBERS_MAX)}


def _shown(name: str, value: Any) -> Any:
    if value is not None and not WITHHELD.isdisjoint(name.split(".")):
        return _WITHHELD
    return value if not isinstance(value, str) else value[:_TEXT_MAX]


async def _account(request: web.Request, account: str) -> Mapping[str, Any]:
    known = await request.app[LEDGER].account(account=account)
    if not isinstance(known, outcomes.Account):
        return {}
    return account_shape(known).model_dump(mode="json")


async def _operator_key(request: web.Request, key_id: str) -> Mapping[str, Any]:
    keys = await request.app[LEDGER].operator_keys()
    return next((key_shape(key).model_dump(mode="json") for key in keys if key.id == key_id), {})


async def _webhook(request: web.Request, webhook: str) -> Mapping[str, Any]:
    if not is_webhook_id(webhook):
        return {}
    known = await request.app[LEDGER].webhook(webhook=webhook, account=request[CALLER].account)
    return {} if isinstance(known, outcomes.NotFound) else webhook_shape(known).model_dump(mode="json")


async def _payment_event(request: web.Request, event: str) -> Mapping[str, Any]:
    return {"pending": True} if await request.app[LEDGER].kept_event(event) is not None else {}


async def _pause(request: web.Request, kind: str) -> Mapping[str, Any]:
    name = request.match_info["name"]
    pause = next((one for one in await request.app[LEDGER].pauses() if (one.kind, one.name) == (kind, name)), None)
    return {} if pause is None else {"paused": pause.reason, "new": pause.new, "until": utc(pause.until)}


async def _generation(request: web.Request, generation: str) -> Mapping[str, Any]:
    """What operators can change of it, and whose it is."""
    known = await request.app[LEDGER].generation(generation=generation)
    if isinstance(known, outcomes.KeysChanged | outcomes.NotFound):
        return {}
    given_back = millicredits_to_credits(known.given_back_millicredits or 0)
    retried = bool(await request.app[LEDGER].which_exist([retry_id(generation)]))
    return {"account": known.account, "given_back": as_number(given_back), "retried": retried}


async def _bulk(request: web.Request, token: str) -> Mapping[str, Any]:
    bulk = await request.app[LEDGER].bulk(token)
    if bulk is None:
        return {}
    moved = millicredits_to_credits(bulk.moved_millicredits)
    return {"count": len(bulk.generations), "credits_moved": as_number(moved), "results": dict(bulk.counts)}


STATES: Mapping[str, Callable[[web.Request, str], Awaitable[Mapping[str, Any]]]] = {
    "account": _account,
    "key": _operator_key,
    "webhook": _webhook,
    "event": _payment_event,
    "kind": _pause,
    "bulk": _bulk,
    "generation": _generation,
}
"""How the state is read of what a path may name, by the parameter's name; the first that it has counts."""

_MADE_BY = {"/v1/admin/keys": "key", "/v1/webhooks": "webhook"} | {
    f"/v1/ops/bulk/{action}": "bulk" for action in ("cancel", "retry", "refund")
}


def _flat(state: Any, path: str = "") -> dict[str, Any]:
    if path in _SAYS_NOTHING or path.rpartition(".")[2] in _SAYS_NOTHING:
        return {}
    if isinstance(state, list) and all(isinstance(one, dict) and "id" in one for one in state):
        state = {
            one["id"]: one for one in state
        }  # keys, members: compared one by one, and nothing withheld is in a list
    if not isinstance(state, dict) or path.rpartition(".")[2] in WITHHELD:
        return {path: state}
    flat: dict[str, Any] = {}
    for name, value in state.items():
        flat |= _flat(value, f"{path}.{name}" if path else name)
    return flat
