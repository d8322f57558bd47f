"""Erasing what is of a person from an account (R38): small steps, each of which may be repeated."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from redis.exceptions import RedisError

from gateway.domain import partition_of_account
from gateway.ledger import keys
from gateway.ledger.core import LedgerCore
from gateway.ledger.generation_records import encode_request
from gateway.ledger.scripts import translated

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gateway.domain import GenerationRequest
    from gateway.ledger import outcomes

_NAMES_AT_ONCE = 1000
"""SCAN's COUNT, and how many are deleted at once: a third of a millisecond of the server's time."""


def without_person(request: GenerationRequest) -> GenerationRequest:
    """What is left of a request whose person was erased."""
    return replace(request, prompt="", inputs=(), metadata={}, tags={}, sandbox=None, erased=True)


class ErasureOperations(LedgerCore):
    """The steps; `gateway.api.ownership.persons` takes them in order."""

    async def erase_account(self, account: outcomes.Account, *, finished: bool) -> None:
        """Remove its email, metadata and API keys. `finished`: note that everything is erased."""
        for key in account.keys:
            await self.command("DEL", keys.key(key.id))  # first: the account's own list says which there were
        names = ["person", *(f"person:{member.id}" for member in account.members)]
        for person in filter(None, await self.command("HMGET", self.account_key(account.id), *names)):
            await self.command("DEL", keys.person(person.decode()))
        if account.email is not None:  # before the account forgets it: nobody would know it then
            await self.run("release_email", keys.email(account.email), account=account.id)
        await self.run("erase_account", self.account_key(account.id), finished=finished)

    async def erase_generation(self, generation: outcomes.Generation) -> bool:
        """Remove its prompt, inputs, metadata, tags and webhook; False if it is open, and nothing was done."""
        left = without_person(generation.request)
        key = self.generation_key(generation.id)
        word, _ = await self.run("erase_generation", key, request=encode_request(left))
        if word == "not_found" and self.older is not None:
            await self.older.erase_generation(generation.id, request=encode_request(left))
        return word != "open"

    async def erase_purchase(self, *, account: str, checkout: str) -> None:
        """Remove the addresses to which its buyer was sent afterwards."""
        key = keys.checkout(partition_of_account(account, self.partitions), account, checkout)
        await self.command("HDEL", key, "success_url", "cancel_url")

    async def erase_tags(self, *, account: str, days: Sequence[str]) -> None:
        """Delete the days' sums by tag: a tag's value is the person's. The sums by tool and model stay."""
        partition = partition_of_account(account, self.partitions)
        if self.older is not None:
            await self.older.erase_tags(account=account)
        for start in range(0, len(days), _NAMES_AT_ONCE):
            some = days[start : start + _NAMES_AT_ONCE]
            await self.command("DEL", *(keys.usage_tags(partition, account, day) for day in some))

    async def erase_responses(self, *, scope: str, naming: str, cursor: int) -> int:
        """Delete stored responses of a scope's idempotency keys that contain `naming`; where to continue, 0 at the end.

        What guards credits stays: which generation or operation a key stands for.
        """
        partition = partition_of_account(scope, self.partitions)
        pattern = keys.idempotency(partition, scope, "*")  # no character of an account's id is special in patterns
        after, names = await self._scan(keys.policy(partition), pattern, cursor)
        for name in names:
            value = await self.command("GET", name)
            if value is not None and b" response " in value and naming.encode() in value:
                await self.command("DEL", name)
        return after

    async def erasing(self, *, account: str) -> str | None:
        """How far an erasure has come, in the words of `note_erasing`."""
        noted = await self.command("HGET", self.account_key(account), "erasing")
        return None if noted is None else str(noted.decode())

    async def note_erasing(self, *, account: str, progress: str) -> None:
        """Note how far an erasure has come, so that the next call continues there."""
        await self.command("HSET", self.account_key(account), "erasing", progress)

    async def _scan(self, beside: str, pattern: str, cursor: int) -> tuple[int, list[str]]:
        """A page of the names on the server that has the key `beside`."""
        words = ("SCAN", cursor, "MATCH", pattern, "COUNT", _NAMES_AT_ONCE)
        try:
            server = await self._calls.server_of(beside)
            after, names = await server.execute_command(*words)
        except (RedisError, OSError, RuntimeError) as error:  # uvloop raises the last for a connection just closed
            raise translated(error, "scan") from None
        return int(after), [name.decode() for name in names]
