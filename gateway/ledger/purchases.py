"""An account's purchases: one, or a page of the list."""

from __future__ import annotations

from dataclasses import dataclass

from gateway.ledger import keys, outcomes
from gateway.ledger.core import LedgerCore
from gateway.ledger.payments import Checkout, decode_checkout


@dataclass(frozen=True, slots=True)
class Purchase:
    """A purchase. `returned_cents`: for a plan, the refunds of all its payments; a bundle's are in its record."""

    checkout: Checkout
    returned_cents: int


class PurchaseOperations(LedgerCore):
    """One method per script that reads purchases."""

    async def purchase(
        self, *, account: str, checkout: str, keys_version: int | None = None
    ) -> outcomes.NotFound | outcomes.KeysChanged | Purchase:
        """One purchase of an account."""
        word, rest = await self.run("purchase", self.account_key(account), keys_version=keys_version, checkout=checkout)
        if word == "purchase":
            return Purchase(decode_checkout(account, rest[0]), int(rest[1]))
        return outcomes.KeysChanged() if word == "keys_changed" else outcomes.NotFound()

    async def purchases(
        self,
        *,
        account: str,
        keys_version: int | None = None,
        limit: int,
        before: str | None = None,
        created_after: int | None = None,
        created_before: int | None = None,
    ) -> outcomes.NotFound | outcomes.KeysChanged | outcomes.Page[Purchase]:
        """A page of purchases, newest first: started at or after `created_after` and before `created_before`.

        `before` is the previous page's `next`; NotFound if it is not in the list.
        """
        word, rest = await self.run(
            "purchases",
            self.account_key(account),
            keys_version=keys_version,
            limit=limit,
            after=before,
            begun_after=created_after,
            begun_before=created_before,
        )
        if word == "page":
            data = tuple(Purchase(decode_checkout(account, record), int(cents)) for record, cents in rest[1:])
            return outcomes.Page(data, rest[0].decode() or None)
        return outcomes.KeysChanged() if word == "keys_changed" else outcomes.NotFound()

    async def owner_of_purchase(self, *, checkout: str) -> str | None:
        """The account that started a purchase; None if none did, or an earlier version of Farebox wrote it."""
        owner = await self.command("GET", keys.checkout_owner(checkout))
        return None if owner is None else str(owner.decode())

    async def list_purchase(self, *, account: str, checkout: str) -> bool:
        """Add a purchase to its account's list; False if it is listed already, or does not exist."""
        word, rest = await self.run("list_purchase", self.account_key(account), checkout=checkout)
        return word == "listed" and rest[0] == b"1"
