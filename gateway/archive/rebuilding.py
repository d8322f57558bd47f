"""`farebox rebuild --from-archive`: makes a ledger on an empty Redis from what the archive has.

Accounts come back as they were after the entry `at_entry`, with their recent journal, generations and usage. What the
archive does not hold is derived: deadlines, waiting rooms, counts, totals. While it runs, the ledger says that it has
schema version 0, so no process starts on half of it. Interrupted, it goes on after the last account that was written.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from redis.exceptions import RedisError

from gateway.archive.connection import connect, translated
from gateway.archive.rows import as_json, entry_text, fields_of, moment
from gateway.domain import partition_of_account, partition_of_generation
from gateway.errors import RebuildRefused
from gateway.ledger import keys
from gateway.ledger.ledger import REBUILDING, Ledger
from gateway.ledger.persons import PERSON_SECONDS
from gateway.ledger.scripts import translated as translated_redis

if TYPE_CHECKING:
    from asyncpg import Connection

    from gateway.ledger.policy import Policy

ACCOUNTS_AT_ONCE = 500
_DAY_MS = 86_400_000
_FAILED_SHOWN_MS = 30 * _DAY_MS
_OPEN = frozenset({"waiting", "queued", "running"})
_END_FIELDS = ("committed", "refunded", "finished_at", "error", "charged", "given_back", "given_back_by", "booked")

Progress = Callable[[int, int], None]
"""Called with how many accounts are written, of how many."""


@dataclass(slots=True)
class Rebuilt:
    """What was written. `incomplete`: accounts that the archive has no whole copy of, so they are missing.

    `cut`: accounts whose last entries were copied without what belongs to them; they come back as before those.
    """

    accounts: int = 0
    entries: int = 0
    generations: int = 0
    open: int = 0
    incomplete: int = 0
    cut: int = 0


@dataclass(slots=True)
class Rebuild:
    """One rebuild. `policy` is the rate card's; it says what stays in Redis."""

    ledger: Ledger
    url: str
    policy: Policy
    now: int
    done: Rebuilt = field(default_factory=Rebuilt)

    @property
    def kept_from(self) -> int:
        """What ended before this stays in the archive only."""
        kept_ms = self.policy.keep_archived_ms
        return self.now - (40 * _DAY_MS if kept_ms is None else kept_ms)

    async def run(self, progress: Progress = lambda _done, _of: None) -> Rebuilt:
        """Write everything; RebuildRefused if the ledger is not empty, ArchiveUnavailable, LedgerUnavailable."""
        archive = await connect(self.url)
        try:
            after = await self._begin(archive)
            total = await archive.fetchval("SELECT count(*) FROM accounts")
            written = await archive.fetchval("SELECT count(*) FROM accounts WHERE account <= $1", after)
            while rows := await archive.fetch(_ACCOUNTS, after, ACCOUNTS_AT_ONCE):
                with translated("rebuild"):
                    await self._write_accounts(archive, rows)
                after = rows[-1]["account"]
                await _note(archive, after)
                written += len(rows)
                progress(written, total)
            await self._finish(archive)
        finally:
            archive.terminate()
        return self.done

    async def _begin(self, archive: Connection) -> str:
        """Claim the empty ledger, or find where an interrupted rebuild of it goes on."""
        mark = f"{REBUILDING},{self.ledger.partitions}"
        found = await self.ledger.command("GET", keys.META)
        if found is not None and found.decode() == mark:
            noted = await archive.fetchval("SELECT value FROM state WHERE name = 'rebuild'")
            return "" if noted is None else str(fields_of(noted)["after"])
        if found is not None or await self._has_anything():
            raise RebuildRefused(
                "the ledger is not empty: a rebuild writes to an empty Redis only. Set FAREBOX_LEDGER_URL to a new "
                "one, or empty this one if you are sure that the archive has everything."
            )
        await _note(archive, "")
        await self.ledger.command("SET", keys.META, mark)
        return ""

    async def _has_anything(self) -> bool:
        for partition in range(self.ledger.partitions):
            names = (keys.policy(partition), keys.totals(partition))
            if any([await self.ledger.command("EXISTS", name) for name in names]):
                return True
        return False

    async def _write_accounts(self, archive: Connection, rows: Sequence[Any]) -> None:
        whole = [row for row in rows if row["fields"] is not None]
        self.done.incomplete += len(rows) - len(whole)
        names = [row["account"] for row in whole]
        behind = {row["account"]: row["at_entry"] for row in whole if row["at_entry"] < row["last_entry"]}
        self.done.cut += len(behind)
        for account, entry in behind.items():
            await archive.execute("DELETE FROM entries WHERE account = $1 AND id > $2", account, entry)
            await archive.execute("UPDATE accounts SET last_entry = $2 WHERE account = $1", account, entry)
        since = moment(self.kept_from)
        entries = _by_account(await archive.fetch(_ENTRIES, names, since))
        generations = _by_account(await archive.fetch(_GENERATIONS, names, since))
        usage = _by_account(await archive.fetch(_USAGE, names, since.date()))
        commands: list[tuple[Any, ...]] = []
        for row in whole:
            account = row["account"]
            commands += self._account(row, entries[account], self._current(row, generations[account]), usage[account])
        await self._send(commands)

    @staticmethod
    def _current(row: Any, generations: Sequence[Any]) -> list[tuple[str, int, dict[str, str]]]:
        """The generations as the account knew them when it was copied."""
        found = []
        for one in generations:
            fields = as_of(fields_of(one["fields"]), row["at_entry"])
            if fields is not None:
                found.append((one["id"], one["place"], fields))
        return found

    def _account(
        self,
        row: Any,
        entries: Sequence[Any],
        generations: Sequence[tuple[str, int, dict[str, str]]],
        usage: Sequence[Any],
    ) -> list[tuple[Any, ...]]:
        account, partition = row["account"], partition_of_account(row["account"], self.ledger.partitions)
        fields: dict[str, str] = {
            name: value
            for name, value in fields_of(row["fields"]).items()
            if not name.startswith(("work:", "waiting:"))
        }
        fields["archived"] = f"{row['at_entry']},{fields.get('time', 0)}"
        commands: list[tuple[Any, ...]] = []
        for identifier, place, stored in generations:
            commands += self._generation(partition, account, identifier, place, stored)
            if stored["state"] in _OPEN:
                count = f"{'waiting' if stored['state'] == 'waiting' else 'work'}:{stored['tool']}"
                fields[count] = str(int(fields.get(count, 0)) + 1)
        key, journal = keys.account(partition, account), keys.journal(partition, account)
        commands += [("DEL", key), ("HSET", key, *_flat(fields)), ("DEL", journal)]
        texts = [entry_text(one) for one in entries]
        commands += [("RPUSH", journal, *texts[start : start + 500]) for start in range(0, len(texts), 500)]
        commands += self._beside(partition, account, row, fields)
        commands += self._usage(partition, account, usage)
        self.done.accounts += 1
        self.done.entries += len(texts)
        self.done.generations += len(generations)
        return commands

    def _generation(
        self, partition: int, account: str, identifier: str, place: int, stored: Mapping[str, str]
    ) -> list[tuple[Any, ...]]:
        own, home = (
            partition_of_generation(identifier),
            keys.generation(partition_of_generation(identifier), identifier),
        )
        commands: list[tuple[Any, ...]] = [
            ("HSET", home, *_flat(stored)),
            ("ZADD", keys.recent(partition, account), place, identifier),
        ]
        if "member" in stored:
            listed = keys.made_by(partition, account, stored["member"])
            commands += [("ZADD", listed, place, identifier), ("PEXPIRE", listed, 40 * _DAY_MS)]
        if stored["state"] in _OPEN:
            self.done.open += 1
            commands.append(("ZADD", keys.deadlines(own), self.now, identifier))
            if stored["state"] == "waiting":
                commands.append(("ZADD", keys.waiting(partition, account, stored["tool"]), place, identifier))
            return commands
        finished_at, outputs_kept = int(stored["finished_at"]), int(stored["terms"].split(",")[4])
        has_files = int(stored.get("delivered", 0)) > 0 or "stored_inputs" in stored
        if has_files and "outputs_deleted" not in stored:
            commands.append(("ZADD", keys.outputs(own), finished_at + outputs_kept, identifier))
        if stored["state"] == "failed" and finished_at > self.now - _FAILED_SHOWN_MS:
            commands += [
                ("ZADD", keys.failed(own), finished_at, identifier),
                ("PEXPIRE", keys.failed(own), _FAILED_SHOWN_MS),
            ]
        return commands

    def _beside(self, partition: int, account: str, row: Any, fields: Mapping[str, str]) -> list[tuple[Any, ...]]:
        """Keys, webhooks, billing, and what leads to the account: its email and its persons."""
        commands: list[tuple[Any, ...]] = [
            ("SET", keys.key(key_id), record) for key_id, record in fields_of(row["api_keys"] or "{}").items()
        ]
        for webhook, stored in fields_of(row["webhooks"] or "{}").items():
            commands.append(("HSET", keys.webhook(partition, account, webhook), *_flat(stored)))
        if billing := fields_of(row["billing"] or "{}"):
            key = keys.billing(partition, account)
            commands += [("HSET", key, *_flat(billing)), ("PEXPIRE", key, 400 * _DAY_MS)]
        if "email" in fields:
            commands.append(("SET", keys.email(fields["email"]), f"{account},{self.now}"))
        commands += [
            ("SET", keys.person(person), account, "EX", PERSON_SECONDS)
            for name, person in fields.items()
            if name.partition(":")[0] == "person"
        ]
        return commands

    def _usage(self, partition: int, account: str, usage: Sequence[Any]) -> list[tuple[Any, ...]]:
        commands: list[tuple[Any, ...]] = []
        for one in usage:
            day = str(one["day"])
            for name, key in (
                ("sums", keys.usage(partition, account, day)),
                ("by_key", keys.usage_keys(partition, account, day)),
                ("by_tag", keys.usage_tags(partition, account, day)),
            ):
                if sums := fields_of(one[name]):
                    kept_ms = self.policy.keep_archived_ms or 400 * _DAY_MS
                    commands += [("DEL", key), ("HSET", key, *_flat(sums)), ("PEXPIRE", key, kept_ms)]
        return commands

    async def _finish(self, archive: Connection) -> None:
        """Totals, operators' keys, the policy; then the ledger is one."""
        await self._write_totals(archive)
        operators = await archive.fetchval("SELECT value FROM state WHERE name = 'operators'")
        if operators is not None:
            known = fields_of(operators)
            await self._send(
                [
                    *([("HSET", keys.OPERATORS, *_flat(known["listed"]))] if known["listed"] else []),
                    *(("SET", keys.key(key_id), record) for key_id, record in known["records"].items()),
                ]
            )
        await self.ledger.publish(self.policy)
        await self.ledger.switch_archive(on=True)
        await self._send(
            [
                ("HSET", keys.policy(partition), "keep:journal_least", "0")  # journals begin anywhere
                for partition in range(self.ledger.partitions)
            ]
        )
        await self.ledger.finish_rebuild()
        await archive.execute("DELETE FROM state WHERE name = 'rebuild'")

    async def _write_totals(self, archive: Connection) -> None:
        accounts = await archive.fetch(
            "SELECT partition, count(*) AS number FROM accounts WHERE fields IS NOT NULL GROUP BY partition"
        )
        totals: defaultdict[int, defaultdict[str, int]] = defaultdict(lambda: defaultdict(int))
        for row in accounts:
            totals[row["partition"]]["accounts"] = row["number"]
        for row in await archive.fetch(_OUTCOMES):
            outcome = "|".join(("outcome", row["tool"], row["model"], row["state"], row["code"]))
            totals[int(row["home"], 16)][outcome] = row["number"]
        for partition in range(self.ledger.partitions):
            for one in await self.ledger.command("ZRANGE", keys.deadlines(partition), 0, -1):
                key = keys.generation(partition, one.decode())
                state, tool, price = await self.ledger.command("HMGET", key, "state", "tool", "price")
                totals[partition]["open"] += 1
                totals[partition]["held"] += int(price)
                totals[partition][f"{state.decode()}:{tool.decode()}"] += 1
        await self._send(
            [
                command
                for partition, sums in totals.items()
                for command in (
                    ("DEL", keys.totals(partition)),
                    ("HSET", keys.totals(partition), *_flat({name: str(number) for name, number in sums.items()})),
                )
            ]
        )

    async def _send(self, commands: Sequence[tuple[Any, ...]]) -> None:
        """Send them in pipelines, which write to all nodes of a cluster."""
        try:
            for start in range(0, len(commands), 2_000):
                async with self.ledger.redis.pipeline(transaction=False) as pipeline:
                    for command in commands[start : start + 2_000]:
                        pipeline.execute_command(*command)
                    await pipeline.execute()
        except (RedisError, OSError) as error:
            raise translated_redis(error, "rebuild") from None


def as_of(fields: dict[str, str], entry: int) -> dict[str, str] | None:
    """A generation as its account knew it after an entry; None: it was created later.

    If it has ended since, it is open again: queued, with the outputs that were delivered.
    """
    lines = [line for line in fields.get("entries", "").split("\n") if line]
    known = [line for line in lines if int(line.partition("|")[0]) <= entry]
    if len(known) == len(lines):
        return fields
    if not known:
        return None
    changed = {name: value for name, value in fields.items() if name not in _END_FIELDS}
    if len(known) == 1:
        changed["state"] = "queued"
    else:
        changed |= {name: fields[name] for name in ("committed", "refunded", "finished_at", "error") if name in fields}
    return {**changed, "entries": "\n".join(known)}


_ACCOUNTS = """
    SELECT account, at_entry, last_entry, fields, api_keys, webhooks, billing FROM accounts
    WHERE account > $1 ORDER BY account LIMIT $2
"""
# Newest first, as the journal has them, and always the newest one.
_ENTRIES = """
    SELECT e.* FROM entries e JOIN accounts a USING (account)
    WHERE account = ANY($1) AND (e.at >= $2 OR e.id = a.at_entry) AND e.id <= a.at_entry
    ORDER BY account, e.id DESC
"""
# From the oldest that is kept on, all: the ledger's part of a list has no holes.
_GENERATIONS = """
    SELECT g.account, g.id, g.place, g.fields FROM generations g JOIN (
        SELECT account, min(place) AS first FROM generations
        WHERE account = ANY($1) AND (finished_at IS NULL OR finished_at >= $2) GROUP BY account
    ) kept ON g.account = kept.account AND g.place >= kept.first
"""
_OUTCOMES = """
    SELECT substr(id, 5, 2) AS home, tool, model, state, fields->>'error' AS code, count(*) AS number
    FROM generations WHERE finished_at IS NOT NULL GROUP BY 1, 2, 3, 4, 5
"""
_USAGE = "SELECT account, day, sums, by_key, by_tag FROM usage WHERE account = ANY($1) AND day >= $2"


async def _note(archive: Connection, after: str) -> None:
    await archive.execute(
        "INSERT INTO state (name, value) VALUES ('rebuild', $1) "
        "ON CONFLICT (name) DO UPDATE SET value = excluded.value",
        as_json({"after": after}),
    )


def _by_account(rows: Sequence[Any]) -> defaultdict[str, list[Any]]:
    found: defaultdict[str, list[Any]] = defaultdict(list)
    for row in rows:
        found[row["account"]].append(row)
    return found


def _flat(fields: Mapping[str, str]) -> list[str]:
    return [text for pair in fields.items() for text in pair]
