"""Persons of an OpenID provider: as whom they sign in, by the provider's own id of them, which outlasts their email.

The account's fields `person` and `person:<member>` are authoritative; `fb:person:<person>` leads to the account.
"""

from __future__ import annotations

from dataclasses import dataclass

from gateway.ledger import keys, outcomes
from gateway.ledger.core import LedgerCore

ACCOUNT_ITSELF = "account"
"""In place of a member: an account without members has the email."""
PERSON_SECONDS = 400 * 86_400
"""For how long a person is found by who they are and not by their email, from their last sign-in."""


@dataclass(frozen=True, slots=True)
class PersonSignsIn:
    """As whom a person signs in; None: as the account itself."""

    member: str | None


class PersonOperations(LedgerCore):
    """Who signs in as whom."""

    async def sign_in_person(
        self, *, account: str, person: str, by_email: str | None
    ) -> outcomes.NotFound | outcomes.Refused | PersonSignsIn:
        """Whom a person signs in as; remembered from now on.

        `person` is the provider's id of them; `by_email` the member with their email, or `ACCOUNT_ITSELF`.
        Refused: `nobody`, or `taken`: another person of that provider has signed in with this email.
        """
        word, rest = await self.run("sign_in_person", self.account_key(account), person=person, by_email=by_email)
        match word:
            case "signs_in":
                await self.command("SET", keys.person(person), account, "EX", PERSON_SECONDS)
                return PersonSignsIn(rest[0].decode() or None)
            case "refused":
                return outcomes.Refused(rest[0].decode())
            case _:
                return outcomes.NotFound()

    async def find_person(self, *, person: str) -> str | None:
        """The account that a person signed in to last."""
        found = await self.command("GET", keys.person(person))
        return None if found is None else str(found.decode())

    async def person_of(self, account: str, member: str | None) -> str | None:
        """Who signs in as this member, or as the account itself."""
        found = await self.command("HGET", self.account_key(account), f"person:{member}" if member else "person")
        return None if found is None else str(found.decode())

    async def drop_person(self, account: str, member: str | None, person: str | None) -> None:
        """Forget whom the account has forgotten: it has had another email since, or the member was removed."""
        if person is not None and await self.person_of(account, member) is None:
            await self.command("DEL", keys.person(person))
