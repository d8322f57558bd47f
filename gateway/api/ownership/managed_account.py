"""The account whose members and keys a call manages: the one in an operator's path, or the caller's own (R25)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeVar

from aiohttp import web

from gateway.api.access.auth import ACCOUNT_CALLER, OWN_ACCOUNT, found
from gateway.api.errors import ApiError, Forbidden, InvalidRequest
from gateway.api.ownership.target_account import TargetAccount, account_of, own
from gateway.domain import Role
from gateway.errors import FieldProblem
from gateway.ledger import outcomes
from gateway.ledger.member_records import Member

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class ManagedAccount:
    """The account, and who manages it: `by` is a member, None an operator."""

    account: str
    keys_version: int | None = None
    by: str | None = None

    @property
    def missing(self) -> str:
        """What a NotFound names, if the ledger has no such account."""
        return OWN_ACCOUNT if self.by is not None else f"account {self.account}"

    def named(self, what: str) -> str:
        """What a NotFound names, if the account has no such thing."""
        return what if self.by is not None else f"{what} of account {self.account}"


def managed_account(request: web.Request) -> ManagedAccount:
    """The account in an operator's path, or the caller's own."""
    named = request.match_info.get("account")
    if named is not None:
        return ManagedAccount(named)
    caller = request[ACCOUNT_CALLER]
    if caller.member is None:  # the table of roles refuses this first; nobody else may pass for an operator
        raise Forbidden("Only members of this account may change its members and keys. Nothing was changed.")
    return ManagedAccount(caller.account, caller.keys_version, caller.member)


async def read_account(request: web.Request) -> outcomes.Account:
    """The account in an operator's path, or the caller's own, to be read."""
    named = request.match_info.get("account")
    return await account_of(request, own(request) if named is None else TargetAccount(named, None))


def check_may_act_as(managed: ManagedAccount, account: outcomes.Account, member: Member) -> None:
    """Forbidden for a member whose role is not above the other's: as in `members.may` of the scripts."""
    if managed.by is not None and not may_act_as(account, managed.by, member):
        raise _refusal(outcomes.Refused("forbidden"))


def may_act_as(account: outcomes.Account, by: str, member: Member) -> bool:
    """Whether one member may sign another in: their role is above, and they have not been removed."""
    role = next((one.role for one in account.members if one.id == by and one.removed_at is None), None)
    return role is Role.OWNER or (role is Role.ADMIN and member.role is Role.MEMBER)


def changed(outcome: T | outcomes.KeysChanged | outcomes.NotFound | outcomes.Refused, what: str) -> T:
    """The outcome of a change to members or their keys; raises the refusal. `what` names what is not found."""
    if isinstance(outcome, outcomes.Refused):
        raise _refusal(outcome)
    return found(outcome, what)


def _refusal(refused: outcomes.Refused) -> ApiError:
    """What to do instead."""
    match refused.reason:
        case "forbidden":
            return Forbidden(
                "Your role does not allow this: admins manage members and their keys; the account's own keys, other "
                "admins and the owner are managed by the owner. Nothing was changed."
            )
        case "needs_owner" if refused.detail:
            field, text = "role", "of the owner changes when they hand ownership over"
        case "needs_owner":
            field, text = "role", f"must be `{Role.OWNER}`: an account's first member is its owner"
        case "owner_stays":
            field, text = "member", "is the account's owner: hand ownership over first"
        case "has_owner":
            field, text = "role", f"must not be `{Role.OWNER}`: member {refused.detail} is. Hand ownership over instead"
        case "email_taken":
            field, text = "email", f"already belongs to member {refused.detail}"
        case "unknown_member":
            field, text = "member", "must be a member of this account"
        case "no_seat":
            plan, _, seats = refused.detail.partition(" ")
            field = ""
            text = (
                f"needs another seat: the {plan} plan has {seats}, and all are taken. Remove a member, or choose a "
                "plan with more seats (GET /v1/plans)"
            )
        case "too_many_members":
            field, text = "", "would exceed the limit of 500 members per account"
        case reason:
            field, text = "", f"was refused: {reason.replace('_', ' ')}"
    about = f"`{field}` {text}." if field else f"It {text}."
    return InvalidRequest(f"{about} Nothing was changed.", fields=[FieldProblem(field, text)] if field else ())
