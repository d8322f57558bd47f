"""Which calls a member's key may make: role × route (R25).

Each route that takes an account's key stands here once, below the least role that may call it; a route that does not is
refused when the gateway starts. `docs/limits.md` shows the table, and `tests/api/test_member_roles.py` calls each with
each. What a `member` sees of an account, their own things only, is decided in `gateway/api/ownership/`; which members
and keys an admin may change, in the ledger's scripts.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from gateway.api.access.auth import Caller
from gateway.api.errors import Forbidden
from gateway.domain import Role

_MEMBER = """
    POST /v1/generations
    GET /v1/generations
    GET /v1/generations/{generation}
    POST /v1/generations/{generation}/cancel
    GET /v1/generations/{generation}/events
    GET /v1/generations/{generation}/outputs/{index}
    GET /v1/generations/{generation}/receipt
    GET /v1/events
    POST /v1/uploads
    POST /v1/quotes
    POST /v1/estimates
    GET /v1/balance
    GET /v1/discounts
    GET /v1/alerts
    GET /v1/key
    GET /v1/journal
    GET /v1/usage
    POST /v1/sign-in-links
    POST /v1/tokens
    POST /openai/v1/images/generations
    POST /openai/v1/images/edits
    POST /openai/v1/audio/speech
    POST /openai/v1/videos
    GET /openai/v1/videos
    GET /openai/v1/videos/{video}
    DELETE /openai/v1/videos/{video}
    GET /openai/v1/videos/{video}/content
    POST /openai/v1/videos/{video}/remix
    GET /openai/v1/models
    GET /openai/v1/models/{model}
    POST /replicate/v1/predictions
    POST /replicate/v1/models/{owner}/{name}/predictions
    POST /replicate/v1/deployments/{owner}/{name}/predictions
    GET /replicate/v1/predictions
    GET /replicate/v1/predictions/{prediction}
    POST /replicate/v1/predictions/{prediction}/cancel
    GET /replicate/v1/predictions/{prediction}/stream
    GET /replicate/v1/models
    GET /replicate/v1/models/{owner}/{name}
    GET /replicate/v1/models/{owner}/{name}/versions
    GET /replicate/v1/models/{owner}/{name}/versions/{version}
    GET /replicate/v1/deployments/{owner}/{name}
    POST /replicate/v1/files
    GET /replicate/v1/files/{file}
    DELETE /replicate/v1/files/{file}
    POST /fal/{app}
    GET /fal/{app}/requests/{generation}/status
    GET /fal/{app}/requests/{generation}
    PUT /fal/{app}/requests/{generation}/cancel
"""

_ADMIN = """
    PUT /v1/alerts
    GET /v1/purchases
    GET /v1/checkouts/{checkout}
    GET /v1/subscription
    POST /v1/webhooks
    GET /v1/webhooks
    GET /v1/webhooks/{webhook}
    PATCH /v1/webhooks/{webhook}
    DELETE /v1/webhooks/{webhook}
    POST /v1/webhooks/{webhook}/rotate
    POST /v1/webhooks/{webhook}/test
    GET /v1/webhooks/{webhook}/deliveries
    GET /v1/webhooks/{webhook}/deliveries/{delivery}/request
    POST /v1/webhooks/{webhook}/deliveries/{delivery}/resend
    GET /replicate/v1/webhooks/default/secret
    GET /v1/members
    POST /v1/members
    PATCH /v1/members/{member}
    POST /v1/members/{member}/invitation
    DELETE /v1/members/{member}
    GET /v1/keys
    POST /v1/keys
    PATCH /v1/keys/{key}
    POST /v1/keys/{key}/rotate
    DELETE /v1/keys/{key}
"""

_OWNER = """
    POST /v1/top-ups
    POST /v1/subscriptions
    PATCH /v1/subscription
    DELETE /v1/subscription
    POST /v1/subscription/resume
    POST /v1/members/{member}/owner
"""


def _calls(lines: str) -> Iterable[str]:
    return (line.strip() for line in lines.strip().splitlines())


LEAST: Mapping[str, Role] = {
    call: role
    for role, lines in ((Role.MEMBER, _MEMBER), (Role.ADMIN, _ADMIN), (Role.OWNER, _OWNER))
    for call in _calls(lines)
}
"""`GET /v1/balance` → the least role of a member who may call it."""

_MEMBERS_ONLY = frozenset(
    call for call in LEAST if (" /v1/members" in call or " /v1/keys" in call) and not call.startswith("GET ")
)
"""What changes members and keys: a leaked key of the account's own must not be able to make others."""

_RANKS = list(Role)
_ONLY = {
    Role.MEMBER: "Only members of this account may",
    Role.ADMIN: "Only an admin or the owner of this account may",
    Role.OWNER: "Only the owner of this account may",
}


@dataclass(frozen=True, slots=True)
class ForMembers:
    """The least role of a member who may make a call, and whether the account's own keys may not."""

    least: Role
    only: bool = False


def for_members(method: str, named_path: str) -> ForMembers:
    """Which members may call a route; LookupError if the table does not say."""
    # The package for JavaScript appends its own version to the address.
    call = f"{method} {named_path.replace('/replicate/v1/v1/', '/replicate/v1/')}"
    if call not in LEAST:
        msg = f"gateway/api/access/member_roles.py does not say which roles may call {call}"
        raise LookupError(msg)
    return ForMembers(LEAST[call], call in _MEMBERS_ONLY)


def check_role(who: Caller, call: ForMembers | None) -> None:
    """Forbidden if a caller with an account's key may not make the call."""
    if call is None:
        raise Forbidden("This call is not for accounts' keys.")
    if who.role is None and call.only:
        raise Forbidden(f"{_ONLY[call.least]} make this call, with a key of their own. Yours belongs to the account.")
    if who.role is not None and not admits(call.least, who.role):
        raise Forbidden(f"{_ONLY[call.least]} make this call. Your role is {who.role}.")


def admits(least: Role, role: Role) -> bool:
    """Whether a role is at least this one."""
    return _RANKS.index(role) >= _RANKS.index(least)


def manages(who: Caller, call: ForMembers | None) -> bool:
    """Whether a member makes a call for which they must be an admin: if it is no read, it is logged (R37)."""
    return who.role is not None and call is not None and call.least is not Role.MEMBER
