"""Pages of the ledger's lists that go on in the archive, and generations that are only there."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from gateway.domain import partition_of_account
from gateway.errors import ArchiveUnavailable
from gateway.ledger import keys, outcomes
from gateway.ledger.archiving import StoredGeneration
from gateway.ledger.core import LedgerCore
from gateway.ledger.journal_records import Entry
from gateway.ledger.older import EXAMINED_MAX, EntryFilter, Older, OlderFilter, PageBuilder, decode_older


@dataclass(frozen=True, slots=True)
class ListRead:
    """Whose list is read, of when, and which page."""

    account: str
    keys_version: int | None
    member: str | None
    limit: int
    before: str | None
    created_after: int | None
    created_before: int | None


class OlderLists(LedgerCore):
    """Reads what `older` has, for a process that has it."""

    def _archive(self) -> Older:
        if self.older is None:
            msg = "this ledger reads no archive"
            raise RuntimeError(msg)
        return self.older

    async def older_generation(
        self, generation: str, account: str | None, keys_version: int | None, member: str | None
    ) -> outcomes.KeysChanged | outcomes.NotFound | outcomes.Generation:
        """One generation that the ledger does not have."""
        found = await self._archive().generation(generation)
        if found is None or account not in {None, found[0]} or member not in {None, found[1].fields.get("member")}:
            return outcomes.NotFound()
        if account is not None and await self._keys_changed(account, keys_version):
            return outcomes.KeysChanged()
        return decode_older(found[1])

    async def older_generations(
        self, asked: ListRead, page: outcomes.Page[outcomes.Generation] | None, only: OlderFilter
    ) -> outcomes.KeysChanged | outcomes.NotFound | outcomes.Page[outcomes.Generation]:
        """The rest of a page. None: `before` is not in the ledger's list, or there is no such account."""
        below, last = None, asked.before
        if page is None:
            known = await self._archive().generation(asked.before) if asked.before is not None else None
            if known is None or known[0] != asked.account or asked.member not in {None, known[1].fields.get("member")}:
                return outcomes.NotFound()
            if await self._keys_changed(asked.account, asked.keys_version):
                return outcomes.KeysChanged()
            below = known[1].place
        elif oldest := await self._oldest_listed(asked):
            last, below = oldest
        builder = PageBuilder(asked.limit, only.examined_max, list(page.data) if page else [], last)
        try:
            rows = await self._archive().generations(
                account=asked.account,
                member=asked.member,
                below=below,
                created_before=asked.created_before,
                limit=only.examined_max + 1,
            )
        except ArchiveUnavailable:
            if not builder.data:
                raise
            return outcomes.Page(tuple(builder.data), builder.last)  # the rest is a page of its own, later
        builder.add(
            _after(rows, asked.before),
            id_of=lambda one: one.id,
            wanted=lambda one: decode_older(one) if only.admits(one.fields) else None,
            is_too_old=lambda one: int(one.fields["created_at"]) < (asked.created_after or 0),
        )
        return outcomes.Page(tuple(builder.data), builder.next)

    async def older_entries(
        self, asked: ListRead, page: outcomes.Page[Entry], only: EntryFilter
    ) -> outcomes.Page[Entry]:
        """The rest of a page. Ids increase by one: the ledger's oldest entry says where the archive's part begins."""
        partition = partition_of_account(asked.account, self.partitions)
        oldest = await self.command("LINDEX", keys.journal(partition, asked.account), -1)
        first = int(oldest.partition(b"|")[0]) if oldest else 1
        below = first if asked.before is None else min(first, int(asked.before))
        if below <= 1:
            return page
        examined_max = EXAMINED_MAX if only.filters else asked.limit
        builder = PageBuilder(asked.limit, examined_max, list(page.data), str(below))
        try:
            rows = await self._archive().entries(
                account=asked.account, before=below, created_before=asked.created_before, limit=examined_max + 1
            )
        except ArchiveUnavailable:
            if not builder.data:
                raise
            return outcomes.Page(tuple(builder.data), builder.last)  # the rest is a page of its own, later
        builder.add(
            [text for text in rows if int(text.split("|", 2)[1]) >= (asked.created_after or 0)],
            id_of=lambda text: text.partition("|")[0],
            wanted=only.decode,
            is_too_old=lambda _: False,
        )
        return outcomes.Page(tuple(builder.data), builder.next)

    async def _oldest_listed(self, asked: ListRead) -> tuple[str, int] | None:
        partition = partition_of_account(asked.account, self.partitions)
        list_key = keys.recent(partition, asked.account)
        if asked.member is not None:
            list_key = keys.made_by(partition, asked.account, asked.member)
        found = await self.command("ZRANGE", list_key, 0, 0, "WITHSCORES")
        return (found[0].decode(), int(float(found[1]))) if found else None

    async def _keys_changed(self, account: str, keys_version: int | None) -> bool:
        if keys_version is None:
            return False
        return int(await self.command("HGET", self.account_key(account), "keys_version") or 0) != keys_version


def _after(rows: Sequence[StoredGeneration], before: str | None) -> Sequence[StoredGeneration]:
    """Those after `before`: the ledger may have trimmed it since it was found there, and then it is among them."""
    return next((rows[index:] for index, one in enumerate(rows, start=1) if one.id == before), rows)
