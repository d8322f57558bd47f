"""Which account a read is about: the caller's own, or with an operator's key the one in `account`."""

from __future__ import annotations

from dataclasses import dataclass

from aiohttp import web

from gateway.api.access.auth import ACCOUNT_CALLER, CALLER, OWN_ACCOUNT, found
from gateway.api.errors import InvalidRequest, NotFound
from gateway.api.services import LEDGER
from gateway.errors import FieldProblem
from gateway.ledger import outcomes

_NEEDED = "is required with an operator's key: it names the account"


@dataclass(frozen=True, slots=True)
class TargetAccount:
    """The account to read. `keys_version` is that of an account's key, None for an operator's.

    `only_of`: the member whose things are all that the caller may see (R25); None: everybody's.
    """

    account: str
    keys_version: int | None
    only_of: str | None = None

    def again(self, request: web.Request) -> TargetAccount:
        """The same with the current keys version, for long requests: the caller may have been authenticated again."""
        return TargetAccount(self.account, request[CALLER].keys_version, request[CALLER].sees_only)

    def whose(self, member: str | None) -> str | None:
        """Whose things to read if the caller asks for `member`'s (None: everybody's); NotFound for another's."""
        if self.only_of is not None and member not in {None, self.only_of}:
            raise NotFound(f"There is no member {member}.")
        return self.only_of or member

    @property
    def missing(self) -> str:
        """What a NotFound names, if the ledger has no such account."""
        return f"account {self.account}" if self.keys_version is None else OWN_ACCOUNT


def target_account(request: web.Request, account: str | None) -> TargetAccount:
    """The account to read; NotFound for another's, InvalidRequest if an operator does not name one."""
    if request[CALLER].account is None:
        if account is None:
            raise InvalidRequest(f"`account` {_NEEDED}.", fields=[FieldProblem("account", _NEEDED)])
        return TargetAccount(account, None)
    target = own(request)
    if account not in {None, target.account}:
        raise NotFound(f"There is no account {account}.")
    return target


def own(request: web.Request) -> TargetAccount:
    """The account of an account's key, for calls that admit no other keys."""
    caller = request[ACCOUNT_CALLER]
    return TargetAccount(caller.account, caller.keys_version, caller.sees_only)


async def own_account(request: web.Request) -> outcomes.Account:
    """The caller's account, rolled forward to now."""
    return await account_of(request, own(request))


async def account_of(request: web.Request, target: TargetAccount) -> outcomes.Account:
    """The account to read, rolled forward to now."""
    return found(
        await request.app[LEDGER].account(account=target.account, keys_version=target.keys_version), target.missing
    )
