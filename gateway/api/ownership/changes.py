"""Changes to an account by an operator or its owner: applied, or refused with the field and the reason."""

from __future__ import annotations

from typing import Any

from aiohttp import web

from gateway.api.access.auth import ACCOUNT_CALLER, CALLER
from gateway.api.errors import Forbidden, InvalidRequest, NotFound
from gateway.api.services import RATE_CARDS, SETTINGS
from gateway.domain import Scope, credits_to_millicredits, format_credits
from gateway.errors import FieldProblem
from gateway.ledger import outcomes
from gateway.schemas.base import utc
from gateway.schemas.errors import InvalidRequestDetails, LeavingMember


def check_support_ceiling(request: web.Request, millicredits: int) -> None:
    """Forbidden if a support key gives or takes more than it may in one call (R37)."""
    ceiling = credits_to_millicredits(request.app[SETTINGS].support_max_credits)
    if request[CALLER].scope is Scope.SUPPORT and abs(millicredits) > ceiling:
        raise Forbidden(
            f"A support key may change up to {format_credits(ceiling)} credits per call; this is "
            f"{format_credits(abs(millicredits))}. Ask somebody with a billing or admin key."
        )


_NAMED_MAX = 10  # of the members who would have to go


def applied(
    request: web.Request, outcome: outcomes.NotFound | outcomes.Refused | outcomes.Applied, field: str
) -> outcomes.Applied:
    """Apply a change to the account in the path, or the caller's own; raises the refusal."""
    account = request.match_info.get("account") or request[ACCOUNT_CALLER].account
    match outcome:
        case outcomes.NotFound():
            raise NotFound(f"There is no account {account}.")
        case outcomes.Refused("too_few_seats"):
            raise too_few_seats(outcome)
        case outcomes.Refused():
            raise refusal_of_change(outcome, field, plans=request.app[RATE_CARDS].card.plans)
        case outcomes.Applied():
            return outcome


def refusal_of_change(refused: outcomes.Refused, field: str, plans: Any = ()) -> InvalidRequest:
    """The error for a refused change, field by field."""
    match refused.reason:
        case "unknown_plan":
            path, text = "plan", f"must be one of {', '.join(plans) or 'the plans of the rate card, which has none'}"
        case "starts_in_future":
            path, text = "started_at", f"must not be in the future: the account's current time is {_time(refused)}"
        case "paid_through_past":
            path, text = "paid_through", f"must be after the account's current time, {_time(refused)}"
        case "expires_in_past":
            path, text = "expires_at", f"must be after the account's current time, {_time(refused)}"
        case "not_available":
            path = "credits"
            text = f"is more than the bucket has available ({_amount(refused)}). Held credits cannot be adjusted"
        case "no_subscription" if field in {"plan", "subscription"}:
            path, text = field, "cannot be changed: the account has no subscription. Start one with PUT first"
        case "no_subscription":
            path = "bucket"
            text = (
                "must not be `subscription`: the account has no subscription. Use `top_up`, or start a subscription "
                "first"
            )
        case "too_far":
            path, text = field, f"would move the account's clock, now at {_time(refused)}, past the year 9000"
        case "too_much":
            path, text = field, "would exceed the largest balance an account can have. Use a smaller amount"
        case "too_many_grants":
            path, text = field, "would exceed the limit of 500 unspent grants per account"
        case "email_taken":
            path, text = "email", f"already belongs to account {refused.detail}"
        case reason:
            path, text = field, f"was refused: {reason.replace('_', ' ')}"
    about = f"`{path}` {text}." if path else f"It {text}."
    return InvalidRequest(f"{about} Nothing was changed.", fields=[FieldProblem(path, text)])


def too_few_seats(refused: outcomes.Refused) -> InvalidRequest:
    """The error for a plan with fewer seats than the account has members (R25): who would have to go."""
    seats, *leaving = refused.detail.split("\n")
    members = [LeavingMember(id=member, name=name) for member, _, name in (line.partition(" ") for line in leaving)]
    names = [f"{member.name} ({member.id})" for member in members]
    more = f" and {len(names) - _NAMED_MAX} more" if len(names) > _NAMED_MAX else ""
    text = (
        f"has {seats} seats, and the account has {int(seats) + len(names)} members. Remove {len(names)} first; by role "
        f"and time, these came last: {', '.join(names[:_NAMED_MAX])}{more}"
    )
    details = InvalidRequestDetails(seats=int(seats), seats_used=int(seats) + len(members), leaving=members)
    return InvalidRequest(f"`plan` {text}. Nothing was changed.", details, fields=[FieldProblem("plan", text)])


def _time(refused: outcomes.Refused) -> str:
    return utc(int(refused.detail))


def _amount(refused: outcomes.Refused) -> str:
    return f"{format_credits(int(refused.detail))} credits"
