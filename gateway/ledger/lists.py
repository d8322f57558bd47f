"""Generations and the journal, read: one, or an account's by page, newest first."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Required, TypedDict

from pydantic_core import to_json

from gateway.domain import is_generation_id
from gateway.ledger import outcomes
from gateway.ledger.core import texts
from gateway.ledger.generation_records import decode_generation, encode_tags
from gateway.ledger.journal_records import Entry
from gateway.ledger.older import EntryFilter, OlderFilter
from gateway.ledger.older_lists import ListRead, OlderLists
from gateway.ledger.records import decode_entry

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from gateway.domain import EntryKind, State
    from gateway.redis_link.calls import Reply


class GenerationFilters(TypedDict, total=False):
    """Which generations of an account to list."""

    limit: Required[int]
    before: str | None
    state: State | None
    tool: str | None
    model: str | None
    created_after: int | None
    created_before: int | None
    key: str | None
    tags: Mapping[str, str] | None
    metadata: Mapping[str, str] | None
    words: Sequence[str]


class ListOperations(OlderLists):
    """One method per script that reads a generation or a page."""

    async def generation(
        self,
        *,
        generation: str,
        account: str | None = None,
        keys_version: int | None = None,
        member: str | None = None,
        known: outcomes.Generation | None = None,
    ) -> outcomes.KeysChanged | outcomes.NotFound | outcomes.Generation:
        """One generation; with `account`, and `member`, NotFound if it is not theirs.

        `known` is an earlier read of it: the same object is returned if nothing has changed since.
        """
        if not is_generation_id(generation):
            return outcomes.NotFound()
        if known is not None and await self._is_unchanged(known, account, keys_version, member):
            return known
        has = None if known is None else f"{known.version} {known.operation}"
        key = self.generation_key(generation)
        word, rest = await self.run(
            "generation", key, account=account, keys_version=keys_version, member=member, known=has
        )
        if word == "same" and known is not None:
            return known
        if word == "generation":
            return decode_generation(rest[0][0].decode(), rest[0][1])
        if word == "not_found" and self.older is not None:
            return await self.older_generation(generation, account, keys_version, member)
        return outcomes.KeysChanged() if word == "keys_changed" else outcomes.NotFound()

    async def _is_unchanged(
        self, known: outcomes.Generation, account: str | None, keys_version: int | None, member: str | None
    ) -> bool:
        """Whether a script would say so: two plain reads in one batch cost the ledger a third of it.

        The key's version is read last, so a key that was revoked before this call is noticed.
        """
        if account != known.account or keys_version is None or member not in {None, known.member}:
            return False
        it = self._calls.command("HMGET", self.generation_key(known.id), "version", "operation")
        key = self._calls.command("HGET", self.account_key(known.account), "keys_version")
        (version, operation), in_force = await asyncio.gather(it, key)
        same = version == str(known.version).encode() and operation == known.operation.encode()
        return same and int(in_force or 0) == keys_version

    async def generations(
        self,
        *,
        account: str,
        keys_version: int | None,
        limit: int,
        before: str | None = None,
        state: State | None = None,
        tool: str | None = None,
        model: str | None = None,
        created_after: int | None = None,
        created_before: int | None = None,
        key: str | None = None,
        member: str | None = None,
        tags: Mapping[str, str] | None = None,
        metadata: Mapping[str, str] | None = None,
        words: Sequence[str] = (),
    ) -> outcomes.KeysChanged | outcomes.NotFound | outcomes.Page[outcomes.Generation]:
        """An account's generations, newest first. A page may hold fewer than `limit` and still have a next one.

        Created at or after `created_after` and before `created_before` (real time, ms). `key`, `member`: who made it.
        `tags` and `metadata`: every name must have this value; in metadata, numbers and booleans as in JSON.
        `words`: each must be in the prompt or in a tag (`name:value`), A to Z in either case.
        """
        word, rest = await self.run(
            "generations",
            self.account_key(account),
            keys_version=keys_version,
            limit=limit,
            before=before,
            state=state,
            tool=tool,
            model=model,
            created_after=created_after,
            created_before=created_before,
            key=key,
            member=member,
            tags=encode_tags(tags or {}),
            metadata=to_json(metadata).decode() if metadata else None,
            words="\n".join(words).encode().lower().decode(),  # of bytes, as Lua does: A to Z only
        )
        page = _generations(rest) if word == "page" else None
        if self.older is None or word == "keys_changed" or (page is not None and page.next is not None):
            return page or (outcomes.KeysChanged() if word == "keys_changed" else outcomes.NotFound())
        only = OlderFilter(
            state=state, tool=tool, model=model, key=key, tags=tags or {}, metadata=metadata or {},
            words=[word.encode().lower().decode() for word in words],
        )  # fmt: skip
        asked = ListRead(account, keys_version, member, limit, before, created_after, created_before)
        return await self.older_generations(asked, page, only)

    async def journal(
        self,
        *,
        account: str,
        keys_version: int | None,
        limit: int,
        before: str | None = None,
        created_after: int | None = None,
        created_before: int | None = None,
        kind: EntryKind | None = None,
        generation: str | None = None,
        key: str | None = None,
        member: str | None = None,
    ) -> outcomes.KeysChanged | outcomes.NotFound | outcomes.Page[Entry]:
        """An account's journal, newest first, rolled forward to now. `before` is an entry's id.

        Created at or after `created_after` and before `created_before` (account time, ms). `key`, `member`: who created
        the entry's generation. With these filters a page may hold fewer than `limit` and still have a next one.
        """
        word, rest = await self.run(
            "journal",
            self.account_key(account),
            keys_version=keys_version,
            limit=limit,
            before=before,
            created_after=created_after,
            created_before=created_before,
            kind=kind,
            generation=generation,
            key=key,
            member=member,
        )
        if word != "page":
            return outcomes.KeysChanged() if word == "keys_changed" else outcomes.NotFound()
        page = outcomes.Page(tuple(decode_entry(text) for text in texts(rest[1:])), rest[0].decode() or None)
        if self.older is None or page.next is not None:
            return page
        only = EntryFilter(kind=kind, generation=generation, key=key, member=member)
        asked = ListRead(account, keys_version, member, limit, before, created_after, created_before)
        return await self.older_entries(asked, page, only)


def _generations(rest: Reply) -> outcomes.Page[outcomes.Generation]:
    read = tuple(decode_generation(item[0].decode(), item[1]) for item in rest[1:])
    return outcomes.Page(read, rest[0].decode() or None)
