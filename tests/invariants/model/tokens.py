"""Client tokens: each with a ceiling of its own, below those of its key and its member."""

from __future__ import annotations

from dataclasses import dataclass, field

from tests.invariants.model.accounts import Answer
from tests.invariants.model.keys import Keys


@dataclass
class Token:
    """Their end is Redis's to count, and no example is that long."""

    limit: int
    spent: int = 0


@dataclass
class Tokens(Keys):
    tokens: dict[tuple[str, str], Token] = field(default_factory=dict)
    """By account and id."""

    def add_token(
        self, *, account: str, token: str, parent: str, keys_version: int, millicredits: int, lifetime_ms: int
    ) -> Answer:
        """A token that is added again keeps what it has spent."""
        del lifetime_ms
        a = self.accounts.get(account)
        if not a:
            return "not_found", None
        if keys_version != a.keys_version or parent not in a.keys:
            return "keys_changed", None
        self.tokens.setdefault((account, token), Token(0)).limit = millicredits
        return "added", None

    def beyond(self, account: str, token: str | None, price: int) -> tuple[str, int, int | None] | None:
        """As `reached`: if more than is left to the token."""
        known = self.tokens.get((account, token or ""))
        if not known or known.spent + price <= known.limit:
            return None
        return "token", known.spent, None

    def spend(self, account: str, token: str | None, price: int) -> None:
        if token:
            self.tokens[account, token].spent += price
