"""An account's members: added, changed, removed, and made its owner (R25)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from gateway.ledger import keys, outcomes
from gateway.ledger.core import texts
from gateway.ledger.limits import Limit, encode_limit
from gateway.ledger.persons import PersonOperations
from gateway.ledger.records import clean_reason, decode_account

if TYPE_CHECKING:
    from gateway.domain import Role
    from gateway.redis_link.calls import Reply

Changed = outcomes.KeysChanged | outcomes.NotFound | outcomes.Refused | outcomes.Account


class MemberOperations(PersonOperations):
    """One method per script that concerns members.

    `by` is the member who asks, None: an operator; what a role may do is decided in the script. Refused: `forbidden`,
    and what each method names.
    """

    async def add_member(
        self,
        *,
        account: str,
        member: str,
        name: str,
        email: str | None = None,
        role: Role | None = None,
        limit: Limit | None = None,
        by: str | None = None,
        keys_version: int | None = None,
    ) -> Changed:
        """Add a member, by default the owner if it is the first one.

        Refused: `needs_owner`, `has_owner`, `too_many_members`, or `email_taken` with the other member's id.
        """
        word, rest = await self.run(
            "add_member",
            self.account_key(account),
            keys_version=keys_version,
            by=by,
            member=member,
            name=clean_reason(name),
            email=email,
            role=role,
            limit=None if limit is None else encode_limit(limit),
        )
        return self._changed(account, word, rest)

    async def change_member(
        self,
        *,
        account: str,
        member: str,
        name: str | None = None,
        email: str | None = None,
        role: Role | None = None,
        limit: Limit | Literal["none"] | None = None,
        by: str | None = None,
        keys_version: int | None = None,
    ) -> Changed:
        """Change a member; None leaves what is there, "none" removes it.

        What they have spent in the period so far counts, whatever their limit was. Refused: `has_owner` and
        `needs_owner`, because ownership is handed over, and `email_taken`.
        """
        person = None if email is None else await self.person_of(account, member)
        word, rest = await self.run(
            "change_member",
            self.account_key(account),
            keys_version=keys_version,
            by=by,
            member=member,
            name=None if name is None else clean_reason(name),
            email=email,
            role=role,
            limit=encode_limit(limit) if isinstance(limit, Limit) else limit,
        )
        await self.drop_person(account, member, person)
        return self._changed(account, word, rest)

    async def hand_over(
        self, *, account: str, member: str, by: str | None = None, keys_version: int | None = None
    ) -> Changed:
        """Make a member the account's owner; the owner becomes an admin."""
        key = self.account_key(account)
        return self._changed(
            account, *await self.run("hand_over", key, keys_version=keys_version, by=by, member=member)
        )

    async def remove_member(
        self, *, account: str, member: str, by: str | None = None, keys_version: int | None = None
    ) -> Changed:
        """Remove a member and revoke their keys. Refused: `owner_stays`, unless they are the last."""
        key, person = self.account_key(account), await self.person_of(account, member)
        word, rest = await self.run("remove_member", key, keys_version=keys_version, by=by, member=member)
        await self.drop_person(account, member, person)
        if word != "removed":
            return self._changed(account, word, rest)
        for key_id in texts(rest[1:]):
            await self.command("DEL", keys.key(key_id))
        return decode_account(account, rest[0])

    def _changed(self, account: str, word: str, rest: Reply) -> Changed:
        match word:
            case "changed":
                return decode_account(account, rest[0])
            case "refused":
                return outcomes.Refused(*texts(rest))
            case "keys_changed":
                return outcomes.KeysChanged()
            case "not_found":
                return outcomes.NotFound()
            case _:
                raise self.unexpected("a script of members", word)
