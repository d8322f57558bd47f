"""Any number of generations' lives, by the product's own scripts: its commands for one life, under other names.

The ledger reserves, begins, delivers and settles through a socket on which its commands are heard; sent again for
other accounts and generations they are the same calls, at a fifth of what Python takes to make them.
"""

from __future__ import annotations

import hashlib
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from benchmarks.accounts import CARD, PROMPT, REQUEST, Account
from benchmarks.http_calls import an_output
from benchmarks.recorded import Command, RawConnection, packed, tapped
from benchmarks.servers import ledger_at
from gateway.domain import (
    Bucket,
    FailureCode,
    GenerationRequest,
    Interval,
    Scope,
    generation_id,
    operation_id,
    partition_of_account,
)
from gateway.ledger import keys
from gateway.ledger.accounts import key_id_of
from gateway.ledger.ledger import Ledger
from gateway.ledger.policy_of_card import terms_of

PLAN_EACH = 3  # every third account has a plan
_TAGS = {"project": "apollo", "team": "design"}
_KINDS = (  # what is asked for, whether it succeeds, and how many of ten are such
    (REQUEST, True, 6),
    (replace(REQUEST, model="flux-schnell", tags=_TAGS), True, 3),
    (REQUEST, False, 1),
)
_WORDS = {"reserve": b"reserved", "begin": b"begun", "deliver": b"noted", "settle": b"ended"}


@dataclass(frozen=True, slots=True)
class Names:
    """What differs from one life to the next. All texts of a kind are equally long."""

    account: str
    key: str
    generation: str
    operations: tuple[str, str, str]
    digest: str

    @classmethod
    def new(cls, account: Account, partition: int) -> Names:
        """A new generation of the account."""
        operations = operation_id(), operation_id(), operation_id()
        digest = operation_id() + operation_id()
        return cls(account.name, key_id_of(account.key), generation_id(partition), operations, digest)

    def texts(self, partition: int) -> dict[bytes, bytes]:
        """Each by its name in a template."""
        reserving, beginning, settling = self.operations
        named = {
            "tag": keys.tag(partition), "account": self.account, "key": self.key, "generation": self.generation,
            "reserving": reserving, "beginning": beginning, "settling": settling, "digest": self.digest,
        }  # fmt: skip
        return {name.encode(): text.encode() for name, text in named.items()}


@dataclass(frozen=True, slots=True)
class Life:
    """The calls of one kind of life: each script's name, and its command with places for names."""

    calls: tuple[tuple[str, bytes], ...]


@dataclass(frozen=True, slots=True)
class Traffic:
    """The kinds of lives, by weight, and the call that notes that outputs are deleted."""

    lives: tuple[Life, ...]
    deleted: bytes

    async def live(
        self,
        raw: RawConnection,
        accounts: Sequence[tuple[Account, int]],
        kinds: Iterable[int],
        after: Callable[[str], Awaitable[None]] | None = None,
    ) -> None:
        """One life for each account, which is given with its partition: all are reserved, all begun, and so on.

        `after` is called after all calls of a script. RuntimeError if one has another outcome than it should.
        """  # fmt: skip
        batches: dict[str, list[bytes]] = {name: [] for name in _WORDS}
        for (account, partition), kind in zip(accounts, kinds, strict=True):
            texts = Names.new(account, partition).texts(partition)
            for name, template in self.lives[kind % len(self.lives)].calls:
                batches[name].append(template % texts)
        if after is None:
            words = [_WORDS[name] for name, commands in batches.items() for _ in commands]
            await _expect(raw, [command for commands in batches.values() for command in commands], words)
            return
        for name, commands in batches.items():
            await _expect(raw, commands, [_WORDS[name]] * len(commands))
            await after(name)

    async def outputs_deleted(self, raw: RawConnection, generations: Sequence[str]) -> None:
        """Note that the outputs of each have been deleted."""
        commands = [
            self.deleted % {b"tag": f"{{fb{one[4:6]}}}".encode(), b"generation": one.encode()} for one in generations
        ]
        await _expect(raw, commands, [b"noted"] * len(commands))


async def _expect(raw: RawConnection, commands: Sequence[bytes], words: Sequence[bytes]) -> None:
    at = iter(words)
    async for answer in raw.answers(b"".join(commands), len(commands)):
        if isinstance(answer, Exception) or answer[0] != next(at):
            raise RuntimeError(f"a script of a generation's life replied {answer!r}")


async def join(ledger: Ledger, number: int) -> None:
    """A new account with a key and bought credits, every third with a plan."""
    account = Account.number(number)
    await ledger.put_account(account=account.name)
    await ledger.add_key(key=account.key, scope=Scope.ACCOUNT, account=account.name, label=None)
    if number % PLAN_EACH == 0:
        await ledger.subscribe(
            account=account.name, operation=operation_id(), plan="creator", interval=Interval.MONTHLY
        )
    await ledger.grant(
        account=account.name, operation=operation_id(), bucket=Bucket.TOP_UP, millicredits=10**10, expires_at=None,
        reason="welcome",
    )  # fmt: skip


async def recorded_traffic(redis_socket: Path) -> Traffic:
    """Record each kind of life on this server, twice: under other names the first must be the second."""
    async with tapped(redis_socket) as (socket, heard), ledger_at(socket) as ledger:
        accounts = Account.number(0), Account.number(1)
        for number in range(len(accounts)):
            await join(ledger, number)
        lives: list[Life] = []
        for request, succeeds, weight in _KINDS:
            recorded = []
            for account in accounts:
                names = Names.new(account, partition_of_account(account.name, ledger.partitions))
                heard.clear()
                await _live(ledger, names, request, succeeds=succeeds)
                recorded.append((names, _scripts_of(heard)))
            lives += [Life(_templates(recorded, ledger.partitions, succeeds=succeeds))] * weight
        recorded = []
        for account in accounts:
            names = Names.new(account, partition_of_account(account.name, ledger.partitions))
            heard.clear()
            await ledger.outputs_deleted(generation=names.generation)
            recorded.append((names, _scripts_of(heard)))
        (deleted,) = _named(recorded, ledger.partitions)
    return Traffic(tuple(lives), deleted)


async def _live(ledger: Ledger, names: Names, request: GenerationRequest, *, succeeds: bool) -> None:
    reserving, beginning, settling = names.operations
    await ledger.reserve(
        account=names.account, generation=names.generation, operation=reserving, request=request,
        terms=terms_of(CARD, request.tool), pro=False, keys_version=0, key=names.key,
        idempotency=(names.digest, hashlib.sha256(PROMPT.encode()).hexdigest()),
    )  # fmt: skip
    await ledger.begin(generation=names.generation, attempt=1, operation=beginning)
    if succeeds:
        await ledger.deliver(generation=names.generation, attempt=1, output=an_output(names.generation))
    failure = None if succeeds else FailureCode.PROVIDER_REJECTED
    await ledger.settle(generation=names.generation, attempt=1, operation=settling, failure=failure)


def _scripts_of(heard: Sequence[Command]) -> list[Command]:
    """The scripts as they are called when the server has them."""
    return [command for command in heard if command[0] == b"EVALSHA"]


def _templates(
    recorded: Sequence[tuple[Names, list[Command]]], partitions: int, *, succeeds: bool
) -> tuple[tuple[str, bytes], ...]:
    scripts = [name for name in _WORDS if succeeds or name != "deliver"]
    return tuple(zip(scripts, _named(recorded, partitions), strict=True))


def _named(recorded: Sequence[tuple[Names, list[Command]]], partitions: int) -> list[bytes]:
    """The first's commands with places for names; RuntimeError if with the second's names they are not its own."""
    (first, commands), (second, others) = recorded
    templates = []
    for command, other in zip(commands, others, strict=True):
        template = packed([command]).replace(b"%", b"%%")
        for name, text in first.texts(partition_of_account(first.account, partitions)).items():
            template = template.replace(text, b"%%(%b)b" % name)
        if template % second.texts(partition_of_account(second.account, partitions)) != packed([other]):
            raise RuntimeError(f"the product calls a script with something new of each life: {other!r}")
        templates.append(template)
    return templates
