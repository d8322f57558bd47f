"""An archive of any number of accounts: the product lives a few lives, and PostgreSQL copies their rows for others.

The lives are decided here, so what each account must have is known without asking the ledger: what it was given, less
what it was charged, less what it holds. Every row is one that `farebox archivist` wrote, under another name.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from random import Random
from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry

from benchmarks.accounts import CARD, REQUEST
from benchmarks.http_calls import an_output
from benchmarks.servers import durable_redis, ledger_at
from gateway.archive.archivist import Archivist
from gateway.archive.figures import ArchivistFigures
from gateway.archive.migrating import migrate
from gateway.clock import now_ms
from gateway.domain import Bucket, FailureCode, Scope, generation_id, operation_id, partition_of_account
from gateway.ledger.accounts import key_id_of
from gateway.ledger.ledger import Ledger
from gateway.ledger.policy_of_card import policy_of, terms_of

if TYPE_CHECKING:
    from asyncpg import Connection

LIVES = 64
_DAILY = policy_of(CARD).daily_millicredits
_CLONES_AT_ONCE = 20_000
_BEFORE = """
    CREATE TEMPORARY TABLE clones (
        life text, account text, partition smallint, mark text, life_digest text, digest text
    );
    -- A generation's id: the partition in two digits, and 24 of which the last eight are the clone's.
    CREATE FUNCTION pg_temp.of_clone(id text, clone clones) RETURNS text IMMUTABLE AS $$
        SELECT 'gen_' || lpad(to_hex(clone.partition::int), 2, '0') || substr(id, 7, 16) || clone.mark
    $$ LANGUAGE sql;
    -- The two halves of a key's digest: the first is its id.
    CREATE FUNCTION pg_temp.renamed(value text, clone clones) RETURNS text IMMUTABLE AS $$
        SELECT replace(replace(replace(value, clone.life, clone.account), left(clone.life_digest, 32),
            left(clone.digest, 32)), right(clone.life_digest, 32), right(clone.digest, 32))
    $$ LANGUAGE sql;
"""
_CLONING = (
    """
    INSERT INTO accounts (account, partition, last_entry, at_entry, copied_at, fields, api_keys, webhooks, billing)
    SELECT c.account, c.partition, last_entry, at_entry, copied_at, pg_temp.renamed(fields::text, c)::jsonb,
        pg_temp.renamed(api_keys::text, c)::jsonb, webhooks, billing
    FROM clones c JOIN accounts known ON known.account = c.life
    """,
    """
    INSERT INTO entries (account, id, at, kind, available_after, held_after, changes, generation, key, member, reason)
    SELECT c.account, id, at, kind, available_after, held_after, changes, pg_temp.of_clone(generation, c),
        pg_temp.renamed(key, c), member, reason
    FROM clones c JOIN entries known ON known.account = c.life ORDER BY id
    """,
    """
    INSERT INTO generations (
        id, account, place, state, tool, model, key, member, price, committed, refunded, version, created_at,
        finished_at, fields
    )
    SELECT pg_temp.of_clone(id, c), c.account, place, state, tool, model, pg_temp.renamed(key, c), member, price,
        committed, refunded, version, created_at, finished_at,
        replace(pg_temp.renamed(fields::text, c), id, pg_temp.of_clone(id, c))::jsonb
    FROM clones c JOIN generations known ON known.account = c.life
    """,
    """
    INSERT INTO usage (account, day, sums, by_key, by_tag)
    SELECT c.account, day, sums, pg_temp.renamed(by_key::text, c)::jsonb, by_tag
    FROM clones c JOIN usage known ON known.account = c.life
    """,
)


@dataclass(frozen=True, slots=True)
class Life:
    """What happens to an account, in millicredits: a grant, a generation, and what `then` says about `further`.

    An account has five journal entries on average: the free credits of the day, the grant, two of the generation, and
    one for `further`: held by an open generation, charged for another one (two entries), granted, or nothing.
    """

    number: int
    granted: int
    price: int
    succeeds: bool
    further: int
    then: str

    @classmethod
    def of(cls, number: int) -> Life:
        """The life of a clone: amounts differ from those of all other lives."""
        return _LIVES[number % LIVES]

    @classmethod
    def new(cls, number: int) -> Life:
        """One of the lives, by dice that fall alike each time."""
        dice = Random(number)
        return cls(
            number,
            granted=dice.randrange(10**6, 10**9),
            price=dice.randrange(1_000, 80_000),
            succeeds=dice.random() < 0.7,  # noqa: PLR2004 - most do
            further=dice.randrange(1_000, 10_000),
            then=("held", "charged", "granted", "nothing")[number % 4],
        )

    @property
    def account(self) -> str:
        """The account that the product makes of it."""
        return f"lived-{self.number:08}"

    @property
    def key(self) -> str:
        """Its API key."""
        return f"fbx_lived{self.number:035}"

    @property
    def prices(self) -> set[int]:
        """Of its generations."""
        return {self.price, self.further} if self.then in {"held", "charged"} else {self.price}

    @property
    def held(self) -> int:
        """What is held in the end."""
        return self.further if self.then == "held" else 0

    @property
    def available(self) -> int:
        """What is available in the end: what was given, less what was charged and what is held."""
        given = _DAILY + self.granted + (self.further if self.then == "granted" else 0)
        charged = (self.price if self.succeeds else 0) + (self.further if self.then == "charged" else 0)
        return given - charged - self.held


_LIVES = tuple(map(Life.new, range(LIVES)))


def clone(number: int) -> str:
    """The account of this number, which has had the life `Life.of(number)`."""
    return f"clone-{number:08}"


def key_of(number: int) -> str:
    """The API key of this account."""
    return f"fbx_clone{number:035}"


async def make_archive(connection: Connection, url: str, accounts: int) -> AsyncIterator[int]:
    """Make an archive with so many accounts; yields how many it has so far. The connection finds its tables."""
    await migrate(url)
    with durable_redis() as redis_socket:
        async with ledger_at(redis_socket) as ledger:
            await _live_and_copy(ledger, url)
            partitions = ledger.partitions
    await connection.execute(_BEFORE)
    for first in range(0, accounts, _CLONES_AT_ONCE):
        numbers = range(first, min(first + _CLONES_AT_ONCE, accounts))
        await connection.copy_records_to_table("clones", records=[_clone(number, partitions) for number in numbers])
        for statement in _CLONING:
            await connection.execute(statement)
        await connection.execute("TRUNCATE clones")
        yield numbers.stop
    for table in ("accounts", "entries", "generations", "usage"):
        await connection.execute(f"DELETE FROM {table} WHERE account LIKE 'lived-%'")  # noqa: S608 - names of ours
    await connection.execute("ANALYZE")


def _clone(number: int, partitions: int) -> tuple[str, str, int, str, str, str]:
    """Whose rows it gets, and what is different in them."""
    name, life = clone(number), Life.of(number)
    mark = base64.b32encode(number.to_bytes(5)).decode().lower()
    return life.account, name, partition_of_account(name, partitions), mark, _digest(life.key), _digest(key_of(number))


def _digest(key: str) -> str:
    return hashlib.sha256(key.encode()).hexdigest()


async def _live_and_copy(ledger: Ledger, url: str) -> None:
    for number in range(LIVES):
        life = Life.of(number)
        await ledger.put_account(account=life.account)
        await ledger.add_key(key=life.key, scope=Scope.ACCOUNT, account=life.account, label="bench")
        await _grant(ledger, life, life.granted)
        await _generate(ledger, life, life.price, succeeds=life.succeeds)
        if life.then == "held":
            await _reserve(ledger, life, life.further)
        elif life.then == "charged":
            await _generate(ledger, life, life.further, succeeds=True)
        elif life.then == "granted":
            await _grant(ledger, life, life.further)
    archivist = Archivist(ledger, url, ArchivistFigures(CollectorRegistry()))
    await archivist.writer.claim()
    await ledger.switch_archive(on=True)
    for number in range(LIVES):
        await ledger.mark_all_of(Life.of(number).account, now=now_ms())
    while (await archivist.round())[0]:
        pass
    await archivist.writer.close()


async def _grant(ledger: Ledger, life: Life, millicredits: int) -> None:
    await ledger.grant(
        account=life.account, operation=operation_id(), bucket=Bucket.TOP_UP, millicredits=millicredits,
        expires_at=None, reason="benchmark",
    )  # fmt: skip


async def _reserve(ledger: Ledger, life: Life, millicredits: int) -> str:
    generation = generation_id(partition_of_account(life.account, ledger.partitions))
    await ledger.reserve(
        account=life.account, generation=generation, request=replace(REQUEST, price_millicredits=millicredits),
        terms=terms_of(CARD, REQUEST.tool), pro=False, keys_version=0, operation=operation_id(),
        key=key_id_of(life.key),
    )  # fmt: skip
    return generation


async def _generate(ledger: Ledger, life: Life, millicredits: int, *, succeeds: bool) -> None:
    generation = await _reserve(ledger, life, millicredits)
    await ledger.begin(generation=generation, attempt=1, operation=operation_id())
    if succeeds:
        await ledger.deliver(generation=generation, attempt=1, output=an_output(generation))
    failure = None if succeeds else FailureCode.PROVIDER_REJECTED
    await ledger.settle(generation=generation, attempt=1, operation=operation_id(), failure=failure)
